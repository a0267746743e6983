"""The three networks of MediaPipe's Face Landmarker, run by LiteRT straight from `face_landmarker.task`.

The task file is a zip of TensorFlow Lite models. Running them here rather than through MediaPipe's graph gives what
that graph hides: the presence score, the choice of the region, and no temporal filter with its lag. Constants and
decoding follow MediaPipe's graphs (face_detection_short_range, face_landmarks_detector, face_blendshapes; Apache-2.0).
"""

from __future__ import annotations

import zipfile
from dataclasses import dataclass
from pathlib import Path
from queue import LifoQueue
from typing import Any

import numpy as np
from numpy.typing import NDArray

from meshlam_core.arkit import ARKIT_NAMES
from meshlam_core.errors import AssetError
from meshlam_core.points import BLENDSHAPE_INPUTS, COUNT

U8 = NDArray[np.uint8]
F32 = NDArray[np.float32]

DETECTOR_SIZE = 128  # px
MESH_SIZE = 256  # px
MIN_SCORE = 0.5
LOOKS_AT_ONCE = 2
_FILES = ("face_detector.tflite", "face_landmarks_detector.tflite", "face_blendshapes.tflite")
_GET_IT = "Run `meshlam assets fetch`."


@dataclass(frozen=True)
class FaceBoxes:
    """What the face detector found in one square picture, in units of its side."""

    boxes: F32  # [N, 4] x0, y0, x1, y1
    keypoints: F32  # [N, 6, 2] right eye, left eye, nose, mouth, right ear, left ear
    scores: F32  # [N]


class FaceNets:
    """The networks. Several threads may ask at once."""

    def __init__(self, task_file: Path, threads: int = 1) -> None:
        detector, mesh, blendshapes = _unpack(Path(task_file))
        self._detector = _Interpreters(detector, 1, threads)
        self._mesh = _Interpreters(mesh, LOOKS_AT_ONCE, threads)
        self._blendshapes = _Interpreters(blendshapes, LOOKS_AT_ONCE, threads)
        self._anchors = _anchors()

    def find(
        self,
        picture: U8,  # [128, 128, 3]
    ) -> FaceBoxes:
        """Faces in a picture, most certain first, overlapping answers merged."""
        pixels = picture.astype(np.float32)[None] / np.float32(127.5) - np.float32(1)
        regressors, logits = self._detector.run(pixels, "regr", "class")
        return _merge(_decode_boxes(regressors[0], logits[0, :, 0], self._anchors))

    def landmarks(
        self,
        picture: U8,  # [256, 256, 3] an upright face filling about two thirds
    ) -> tuple[F32, float]:  # [478, 3] in units of the side, z towards the back; log odds of a face
        """The face's landmarks and how surely there is a face."""
        pixels = picture.astype(np.float32)[None] / np.float32(255)
        points, presence = self._mesh.run(pixels, "Identity", "Identity_1")
        return (points.reshape(COUNT, 3) / MESH_SIZE).astype(np.float32), float(presence.ravel()[0])

    def expression(
        self,
        landmarks: F32,  # [478, >=2] px
    ) -> F32:  # [52] in the order of ARKIT_NAMES
        """ARKit coefficients of a face."""
        (scores,) = self._blendshapes.run(landmarks[None, BLENDSHAPE_INPUTS, :2].astype(np.float32), "")
        # the network's first output is "_neutral"; its other 51 stand in the order of our names, without the tongue
        return np.append(scores.ravel()[1:], 0.0).astype(np.float32)[: len(ARKIT_NAMES)]


def _unpack(task_file: Path) -> list[bytes]:
    try:
        with zipfile.ZipFile(task_file) as archive:
            return [archive.read(name) for name in _FILES]
    except FileNotFoundError as error:
        raise AssetError(f"The face landmark model is missing: there is no file {task_file}.", _GET_IT) from error
    except (OSError, KeyError, zipfile.BadZipFile) as error:
        raise AssetError(f"The face landmark model {task_file} is damaged: {error}.", _GET_IT) from error


class _Interpreters:
    """One network, ready to run in a few threads: an interpreter keeps its tensors between calls."""

    def __init__(self, model: bytes, count: int, threads: int) -> None:
        from ai_edge_litert.interpreter import Interpreter

        self._free: LifoQueue[Any] = LifoQueue()
        for _ in range(count):
            interpreter = Interpreter(model_content=model, num_threads=threads)
            interpreter.allocate_tensors()
            self._free.put(interpreter)

    def run(self, value: F32, *outputs: str) -> list[F32]:
        """The outputs of these names, or whose names begin like that; of "" the only one."""
        interpreter = self._free.get()
        try:
            return _run(interpreter, value, *outputs)
        finally:
            self._free.put(interpreter)


def _run(interpreter: Any, value: F32, *outputs: str) -> list[F32]:
    interpreter.set_tensor(interpreter.get_input_details()[0]["index"], np.ascontiguousarray(value))
    interpreter.invoke()
    details = interpreter.get_output_details()
    if outputs == ("",):
        return [interpreter.get_tensor(details[0]["index"])]
    exact = {detail["name"]: detail["index"] for detail in details}
    found = [exact.get(name, next((i for n, i in exact.items() if n.startswith(name)), None)) for name in outputs]
    return [interpreter.get_tensor(index) for index in found]


def sigmoid(x: Any) -> Any:
    """1 / (1 + e^-x), without overflow."""
    return 1 / (1 + np.exp(-np.clip(x, -60.0, 60.0)))


def _anchors() -> F32:  # [896, 2]
    """Centres of the detector's anchors: a 16x16 grid with 2 a cell, then an 8x8 grid with 6."""
    grids = []
    for cells, repeat in ((16, 2), (8, 6)):
        y, x = np.mgrid[0:cells, 0:cells]
        grids.append(np.repeat((np.stack([x, y], axis=-1).reshape(-1, 2) + 0.5) / cells, repeat, axis=0))
    return np.concatenate(grids).astype(np.float32)


def _decode_boxes(raw: F32, logits: F32, anchors: F32) -> FaceBoxes:
    scores = sigmoid(logits)
    keep = np.flatnonzero(scores >= MIN_SCORE)
    raw, anchor = raw[keep] / np.float32(DETECTOR_SIZE), anchors[keep]
    centre, half = raw[:, :2] + anchor, raw[:, 2:4] / 2
    keypoints = raw[:, 4:16].reshape(-1, 6, 2) + anchor[:, None]
    return FaceBoxes(np.concatenate([centre - half, centre + half], axis=1), keypoints, scores[keep])


def _merge(found: FaceBoxes, overlap: float = 0.3) -> FaceBoxes:
    """Weighted non-maximum suppression (BlazeFace, arXiv 1907.05047, sec. 3.4): overlapping boxes are averaged."""
    boxes, keypoints, scores = [], [], []
    order = np.argsort(-found.scores)
    while len(order):
        near = overlaps(found.boxes[order[0]], found.boxes[order]) > overlap
        near[0] = True
        group = order[near]
        weight = found.scores[group] / found.scores[group].sum()
        boxes.append(np.tensordot(weight, found.boxes[group], 1))
        keypoints.append(np.tensordot(weight, found.keypoints[group], 1))
        scores.append(found.scores[order[0]])
        order = order[~near]
    return FaceBoxes(
        np.array(boxes, np.float32).reshape(-1, 4),
        np.array(keypoints, np.float32).reshape(-1, 6, 2),
        np.array(scores, np.float32),
    )


def overlaps(
    box: F32,  # [4]
    boxes: F32,  # [N, 4]
) -> F32:  # [N]
    """Intersection over union of one box with each of many."""
    size = np.minimum(box[2:], boxes[:, 2:]) - np.maximum(box[:2], boxes[:, :2])
    common = np.prod(np.maximum(size, 0), axis=1)
    area = np.prod(boxes[:, 2:] - boxes[:, :2], axis=1)
    union: F32 = common / np.maximum(np.prod(box[2:] - box[:2]) + area - common, 1e-12)
    return union
