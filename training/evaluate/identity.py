"""CSIM: whether two pictures show the same person, as the cosine of dlib's face descriptors.

Optional: `pip install 'meshlam[evaluate]'`. The network (CC0) lies in the package face_recognition_models, of which
only the file is used. Frame: image frame (frames.py). Dims: L landmarks.
"""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from meshlam_core.points import LEFT_EYE_OUTER, RIGHT_EYE_OUTER

MODEL = "models/dlib_face_recognition_resnet_model_v1.dat"
# the corners of both eyes and the base of the nose, in the order that dlib's network was trained with
FIVE_POINTS = (LEFT_EYE_OUTER, 362, RIGHT_EYE_OUTER, 133, 2)
CHIP = 150  # px, the network's input

U8 = NDArray[np.uint8]
F64 = NDArray[np.float64]


class FaceIdentity:
    """dlib's face recognition network."""

    def __init__(self, model: Path) -> None:
        import dlib

        self._dlib: Any = dlib
        self._net = dlib.face_recognition_model_v1(str(model))

    @classmethod
    def open(cls) -> FaceIdentity | None:
        """The network, if dlib and the model's package are installed."""
        package = find_spec("face_recognition_models")
        if find_spec("dlib") is None or package is None or not package.submodule_search_locations:
            return None
        return cls(Path(package.submodule_search_locations[0]) / MODEL)

    def __call__(
        self,
        picture: U8,  # [H, W, 3]
        landmarks: NDArray[np.floating],  # [L, >=2] px
    ) -> F64:  # [128]
        """Who is on the picture."""
        points = landmarks[list(FIVE_POINTS), :2]
        corners = [self._dlib.point(round(float(x)), round(float(y))) for x, y in points]
        (x0, y0), (x1, y1) = points.min(0), points.max(0)
        box = self._dlib.rectangle(int(x0), int(y0), int(x1), int(y1))
        shape = self._dlib.full_object_detection(box, corners)
        chip = self._dlib.get_face_chip(np.ascontiguousarray(picture), shape, CHIP)
        return np.array(self._net.compute_face_descriptor(chip), np.float64)
