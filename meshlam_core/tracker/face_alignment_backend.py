"""The optional second detector: the `face-alignment` package (BSD-3-Clause), 68 points by the 300-W annotation.

It holds up better than MediaPipe on strongly turned or half covered faces, but knows no expression coefficients. The
package would download its two networks by itself; here they are files that the user has put into the data folder, and
they are checked before anything is loaded from them. Its 68 points become the project's 478 by laying a neutral head's
landmarks over them (weak perspective) and bending the rest along. Image frame: frames.py, pixels of the array that is
passed in.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from meshlam_core.arkit import ARKIT_NAMES
from meshlam_core.assets import asset_path
from meshlam_core.errors import AssetError
from meshlam_core.points import CLASSIC_68
from meshlam_core.tracker.types import Detection

U8 = NDArray[np.uint8]
F32 = NDArray[np.float32]
F64 = NDArray[np.float64]

NETWORKS = ("s3fd", "fan4")  # assets
BEND_REACH = 0.06  # face heights over which a point's offset carries its neighbours along
JAW = 17  # the first of the 68 that is not on the outline


def find_networks() -> Path:
    """The folder whose `checkpoints` hold the networks, whole. AssetError says what is missing and how to get it."""
    detector, _ = map(asset_path, NETWORKS)
    return detector.parents[1]


def _package() -> Any:
    try:
        import face_alignment
    except ImportError as error:
        raise AssetError(
            "The face-alignment detector was asked for, but the package is not installed.",
            "Run `pip install face-alignment`, or use --landmarks mediapipe.",
        ) from error
    return face_alignment


@contextmanager
def _hub_folder(folder: Path | None) -> Iterator[None]:
    """Let torch's hub, by which the package loads its networks, look only here."""
    import torch

    before = torch.hub.get_dir()
    if folder is not None:
        torch.hub.set_dir(str(folder))
    try:
        yield
    finally:
        torch.hub.set_dir(before)


class FaceAlignmentDetector:
    """LandmarkDetector over face_alignment.FaceAlignment."""

    def __init__(
        self,
        template: F32,  # [478, 3] m, landmarks of a neutral head, avatar frame
        device: str = "cpu",
        networks: Path | None = None,  # the folder of find_networks; None leaves it to the package
    ) -> None:
        face_alignment = _package()
        kinds = face_alignment.LandmarksType
        kind = getattr(kinds, "TWO_D", None) or kinds._2D  # renamed in version 1.4
        with _hub_folder(networks):
            self._network: Any = face_alignment.FaceAlignment(kind, device=device, flip_input=False)
        self._template = template.astype(np.float64)

    @classmethod
    def open(cls, template: F32, device: str) -> FaceAlignmentDetector:
        """With the networks of the data folder."""
        _package()  # to be told first when both are missing
        return cls(template, device, find_networks())

    def detect(self, image: U8, every: bool = True) -> list[Detection]:
        """Every face, from left to right."""
        points = self._network.get_landmarks_from_image(image) or []
        faces = [self._detection(np.asarray(face, np.float64)[:, :2]) for face in points]
        return sorted(faces, key=lambda face: face.box[0] + face.box[2])

    def refine(self, image: U8, detection: Detection) -> Detection:
        """The network has said all it knows."""
        return detection

    def follow(self, image: U8, previous: Detection) -> Detection | None:
        """The face nearest to the previous frame's; it must overlap its box."""
        middle = np.add(previous.box[:2], previous.box[2:]) / 2
        for face in sorted(self.detect(image), key=lambda face: _distance(face, middle)):
            x0, y0, x1, y1 = face.box
            if x0 < middle[0] < x1 and y0 < middle[1] < y1:
                return face
        return None

    def _detection(self, points: F64) -> Detection:
        landmarks = spread_68(points, self._template).astype(np.float32)
        low, high = landmarks[:, :2].min(axis=0), landmarks[:, :2].max(axis=0)
        box = (float(low[0]), float(low[1]), float(high[0]), float(high[1]))
        return Detection(landmarks, np.zeros(len(ARKIT_NAMES), np.float32), box, 1.0)


def _distance(face: Detection, point: NDArray[np.floating]) -> float:
    return float(np.hypot(*(np.add(face.box[:2], face.box[2:]) / 2 - point)))


def spread_68(
    points: F64,  # [68, 2] px
    template: F64,  # [478, 3] m, avatar frame
) -> F64:  # [478, 3] px, z towards the back
    """All 478 landmarks from the 68."""
    known = template[CLASSIC_68]
    middle, target = known.mean(axis=0), points.mean(axis=0)
    # the best affine camera, then the rotation and scale nearest to it: its rows made orthonormal, a third one added
    affine = np.linalg.lstsq(known - middle, points - target, rcond=None)[0].T  # [2, 3]
    u, s, vt = np.linalg.svd(affine, full_matrices=False)
    rows, scale = u @ vt, float(s.mean())
    camera = scale * np.stack([rows[0], rows[1], np.cross(rows[0], rows[1])])
    laid = (template - middle) @ camera.T
    laid[:, :2] += target
    inner = CLASSIC_68[JAW:]
    offset = points[JAW:] - laid[inner, :2]
    reach = BEND_REACH * float(np.ptp(laid[:, 1]))
    # Shepard's normalised Gaussian weights; the jaw's points slide along the outline, so they pull nothing along
    distance = np.linalg.norm(laid[:, None, :2] - laid[None, inner, :2], axis=-1) / reach
    weight = np.exp(-(distance**2)) + 1e-12
    laid[:, :2] += (weight @ offset) / weight.sum(axis=1, keepdims=True)
    laid[CLASSIC_68, :2] = points
    spread: F64 = laid
    return spread
