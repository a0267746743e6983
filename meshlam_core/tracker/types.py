"""What the tracker hands on. Frames and units: frames.py; L landmarks, K blendshapes, J joints, N identity modes,
V vertices."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from meshlam_core.frames import Camera

if TYPE_CHECKING:
    from meshlam_core.head.model import HeadModel

F32 = NDArray[np.float32]


@dataclass(frozen=True)
class Detection:
    """One face as the landmark network sees it."""

    landmarks: F32  # [L, 3] px x, px y of the upright photo; z relative depth in px (MediaPipe's), 0 at the head centre
    coefficients: F32  # [52] ARKit coefficients in the order of the 52 names (BLENDSHAPE_NAMES)
    box: tuple[float, float, float, float]  # px, (x0, y0, x1, y1) around the landmarks
    score: float  # plausibility of the fitted detection in 0..1


@dataclass(frozen=True)
class TrackedFace:
    """A head model fitted to one photo or frame."""

    camera: Camera  # of the upright photo
    identity: F32  # [N]
    vertices: F32  # [V, 3] neutral head of this person: identity and, where used, a smooth residual on top
    expression: F32  # [K]
    rotations: F32  # [J, 3] axis-angle, rad
    translation: F32  # [3] m, view frame
    detection: Detection
    landmark_error: float  # rms over the visible landmarks / face height
    plausibility: float  # 0..1; low for what hardly looks like a human face
    blendshapes: F32 | None = None  # [K, V, 3] m, this person's own; None where they are the head model's

    def blendshapes_on(self, model: HeadModel) -> F32:  # [K, V, 3] m
        """The person's own blendshapes, or the head model's where the tracker found none."""
        return model.blendshapes if self.blendshapes is None else self.blendshapes
