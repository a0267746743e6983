"""What is told about a reconstruction: the report for the caller, and the provenance that stays in the avatar."""

from __future__ import annotations

import platform
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import metadata
from typing import TYPE_CHECKING, Any

import numpy as np

import meshlam_core
from meshlam_core.avatar.record import Avatar
from meshlam_core.head.model import HeadModel
from meshlam_core.model.files import AUTO, data_folder
from meshlam_core.tracker.types import TrackedFace

if TYPE_CHECKING:
    from meshlam_core.model.weights import WeightsInfo

IMPLAUSIBLE = 0.5  # plausibility below which the user is warned
ROUGH_FIT = 0.025  # landmark error above which the user is warned
TURNED = np.radians(40)  # yaw from which half of the face is a guess
USUAL_PRESET = "small"  # the others are chosen on purpose, so that missing weights are worth a warning


@dataclass(frozen=True)
class Making:
    """How an avatar was made."""

    photo: str  # file name
    photo_sha256: str
    head: HeadModel
    tracked: TrackedFace
    weights: WeightsInfo | None  # None: the tracker's result stands
    preset: str
    wanted_weights: str
    device: str
    seed: int
    timings: Mapping[str, float]  # s

    @property
    def total_timings(self) -> dict[str, float]:
        """With their sum."""
        return dict(self.timings) | {"total": round(sum(self.timings.values()), 4)}

    def warnings(self) -> list[str]:
        """Sentences for the user."""
        tracked, found = self.tracked, []
        if tracked.plausibility < IMPLAUSIBLE:
            found.append("This hardly looks like a human face: the head is a guess. Use a portrait of a person.")
        elif tracked.landmark_error > ROUGH_FIT:
            found.append("The head fits this face only roughly. A sharper photo from the front helps.")
        if abs(tracked.rotations[0, 1]) > TURNED:
            found.append("The face is turned far to the side: its hidden half is mirrored from the other one.")
        if tracked.hair and tracked.hair.doubt:
            found.append(f"The hair could not be made out ({tracked.hair.doubt}): the head is bald.")
        if self.weights is None and self.wanted_weights == AUTO and self.preset != USUAL_PRESET:
            found.append(
                f"The preset {self.preset} has no weights here ({data_folder() / self.preset}.safetensors): "
                "the head is the tracker's, not refined by the network."
            )
        return found

    def provenance(self) -> dict[str, Any]:
        """What AVATAR_FORMAT.md lists."""
        weights = self.weights
        return {
            "photo": self.photo,
            "photo_sha256": self.photo_sha256,
            "head": self.head.name,
            "head_licence": self.head.licence,
            "weights": weights.file if weights else None,
            **({"weights_sha256": weights.sha256, "weights_licence": weights.licence} if weights else {}),
            "preset": self.preset,
            "versions": {
                "meshlam": meshlam_core.__version__,
                "python": platform.python_version(),
                **{name: metadata.version(name) for name in ("torch", "numpy", "warp-lang")},
            },
            "seed": self.seed,
            **self._quality(),
        }

    def report(self, avatar: Avatar) -> dict[str, Any]:
        """What `reconstruct --json` prints."""
        return {
            "device": self.device,
            "preset": self.preset,
            "refined": self.weights is not None,
            "weights": self.weights.file if self.weights else None,
            "vertices": len(avatar.vertices),
            "faces": len(avatar.faces),
            **self._quality(),
        }

    def _hair(self) -> dict[str, Any]:
        """Whether the head has a hull of hair, how far it reaches, and which ears it hides."""
        hull = self.tracked.hair
        if hull is None or not hull.displacement.any():
            return {"kind": "bald"}
        left, right = (ear > 0.5 for ear in hull.hidden_ears)
        return {
            "kind": "hull",
            "largest_growth": round(float(hull.growth.max()), 4),  # m
            "hidden_ears": {"left": left, "right": right},
        }

    def _quality(self) -> dict[str, Any]:
        return {
            "landmark_error": round(self.tracked.landmark_error, 5),
            "plausibility": round(self.tracked.plausibility, 3),
            "hair": self._hair(),
            "timings": self.total_timings,
            "warnings": self.warnings(),
        }
