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
from meshlam_core.frames import rotation_from_axis_angle
from meshlam_core.head.model import HeadModel
from meshlam_core.model.files import AUTO, data_folder
from meshlam_core.points import CHIN, FOREHEAD, OVAL
from meshlam_core.tracker.types import TrackedFace

if TYPE_CHECKING:
    from meshlam_core.model.weights import WeightsInfo
    from meshlam_core.tracker.glasses import FoundGlasses

# plausibility below which the user is warned: 261 photos of people have at least 0.85, three of animals at most 0.20
IMPLAUSIBLE = 0.35
ROUGH_FIT = 0.025  # landmark error above which the user is warned
TURNED = np.radians(40)  # yaw from which half of the face is a guess
FACE_CUT = 0.1  # share of the face's outline outside the picture from which a part of the face is missing
CROWN = 0.18  # of the face's height, from the forehead's top up to where the skull ends
# what covers a face, by its name in tracker/parsing.COVERS
COVERING = {
    "glasses": "glasses", "mask": "a mask or a scarf", "hand": "a hand", "object": "something in front of it"
}  # fmt: skip
USUAL_PRESET = "small"  # the others are chosen on purpose, so that missing weights are worth a warning


def yaw_of(tracked: TrackedFace) -> float:  # rad
    """How far the face is turned away from the camera to one side, however the head is tilted or nods."""
    ahead = rotation_from_axis_angle(tracked.rotations[0])[:, 2]  # where the nose points, view frame
    return float(abs(np.arctan2(ahead[0], ahead[2])))


def cut_off(tracked: TrackedFace) -> str:
    """What of the head lies beyond the picture's border, in words; empty where all of it is inside."""
    width, height = tracked.camera.size
    points = tracked.detection.landmarks[:, :2]
    span = float(np.linalg.norm(points[FOREHEAD] - points[CHIN]))
    oval = points[OVAL]
    outside = (oval < 0).any(axis=1) | (oval > (width, height)).any(axis=1)
    if outside.mean() > FACE_CUT:
        return "a part of the face"
    up = (points[FOREHEAD] - points[CHIN]) / max(span, 1e-6)
    crown = points[FOREHEAD] + up * CROWN * span
    return "" if (crown >= 0).all() and (crown <= (width, height)).all() else "the top of the head"


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
    unlit: bool  # whether the texture is without the photo's light
    wanted_unlit: bool
    tone_doubt: float | None  # standard deviation of the logarithm of the skin's tone; None: light and skin are one
    covered: tuple[str, ...] = ()  # what covers the face: names of tracker/parsing.COVERS
    glasses: FoundGlasses | None = None  # that were found by their frame and taken off the skin
    wanted_glasses: bool = False  # as a mesh

    @property
    def total_timings(self) -> dict[str, float]:
        """With their sum."""
        return dict(self.timings) | {"total": round(sum(self.timings.values()), 4)}

    def warnings(self) -> list[str]:
        """Sentences for the user."""
        tracked, found = self.tracked, []
        if tracked.plausibility < IMPLAUSIBLE:
            found.append(
                "The face is seen too unsurely in this picture, so that the head may be a guess. "
                "A photo from the front, well lit and with nothing in front of the face, helps."
            )
        elif tracked.landmark_error > ROUGH_FIT:
            found.append("The head fits this face only roughly. A sharper photo from the front helps.")
        if yaw_of(tracked) > TURNED:
            found.append("The face is turned far to the side: its hidden half is mirrored from the other one.")
        if cut := cut_off(tracked):
            found.append(
                f"The picture's border cuts off {cut}: what is not in the picture is completed. "
                "A photo that shows the whole head helps."
            )
        if self.covered:
            things = [COVERING[name] for name in self.covered]
            told = f"{', '.join(things[:-1])} and {things[-1]}" if things[1:] else things[0]
            found.append(f"Part of the face is covered by {told}: what is behind was completed.")
        if self.wanted_glasses and self.glasses is None:
            found.append("No frame of glasses was found in the photo: none was built.")
        if tracked.hair and tracked.hair.doubt:
            found.append(f"The hair could not be made out ({tracked.hair.doubt}): the head is bald.")
        if self.wanted_unlit and not self.unlit:
            found.append("The texture has the photo's light: for this head model or these weights no skin is known.")
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

    def _texture(self) -> dict[str, Any]:
        """Whether the photo's light is in it, and how well the skin's tone is known without that light."""
        doubt = None if self.tone_doubt is None else round(self.tone_doubt, 3)
        return {"kind": "albedo" if self.unlit else "photo", "tone_uncertainty": doubt}

    def _quality(self) -> dict[str, Any]:
        return {
            "landmark_error": round(self.tracked.landmark_error, 5),
            "plausibility": round(self.tracked.plausibility, 3),
            "hair": self._hair(),
            "covered": list(self.covered),
            "glasses": self.glasses.told() if self.glasses else None,
            "texture": self._texture(),
            "timings": self.total_timings,
            "warnings": self.warnings(),
        }
