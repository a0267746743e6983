"""A small, valid, made-up avatar: a round head with two eyeballs, five joints and the 52 ARKit names.

`python tests/sample_avatar.py OUT.meshlam` writes it. numpy only, so it also runs inside Blender's Python.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from meshlam_core.avatar.record import Avatar, PhotoFit

# fmt: off
ARKIT_NAMES = (
    "browDownLeft", "browDownRight", "browInnerUp", "browOuterUpLeft", "browOuterUpRight", "cheekPuff",
    "cheekSquintLeft", "cheekSquintRight", "eyeBlinkLeft", "eyeBlinkRight", "eyeLookDownLeft", "eyeLookDownRight",
    "eyeLookInLeft", "eyeLookInRight", "eyeLookOutLeft", "eyeLookOutRight", "eyeLookUpLeft", "eyeLookUpRight",
    "eyeSquintLeft", "eyeSquintRight", "eyeWideLeft", "eyeWideRight", "jawForward", "jawLeft", "jawOpen",
    "jawRight", "mouthClose", "mouthDimpleLeft", "mouthDimpleRight", "mouthFrownLeft", "mouthFrownRight",
    "mouthFunnel", "mouthLeft", "mouthLowerDownLeft", "mouthLowerDownRight", "mouthPressLeft", "mouthPressRight",
    "mouthPucker", "mouthRight", "mouthRollLower", "mouthRollUpper", "mouthShrugLower", "mouthShrugUpper",
    "mouthSmileLeft", "mouthSmileRight", "mouthStretchLeft", "mouthStretchRight", "mouthUpperUpLeft",
    "mouthUpperUpRight", "noseSneerLeft", "noseSneerRight", "tongueOut",
)
# fmt: on
JOINT_NAMES = ("root", "neck", "jaw", "left_eye", "right_eye")
PARENTS = (-1, 0, 1, 1, 1)
PARTS = ("face", "scalp", "eyeballs")
JOINTS = np.array(
    [[0, 0, 0], [0, 0.05, 0], [0, 0.12, 0.03], [0.035, 0.2, 0.075], [-0.035, 0.2, 0.075]], np.float32
)  # m


def make_avatar(rows: int = 16, columns: int = 24, texture_size: int = 64, **changes: Any) -> Avatar:
    """The sample; `rows` x `columns` is the head's mesh, `changes` replace fields of Avatar."""
    pieces = [
        _ellipsoid((0, 0.17, 0), (0.075, 0.115, 0.09), rows, columns, (0.02, 0.30, 0.98, 0.98)),
        _ellipsoid(tuple(JOINTS[3]), (0.014, 0.014, 0.018), 8, 12, (0.02, 0.02, 0.30, 0.28)),
        _ellipsoid(tuple(JOINTS[4]), (0.014, 0.014, 0.018), 8, 12, (0.35, 0.02, 0.63, 0.28)),
    ]
    offsets = np.cumsum([0, *(len(piece[0]) for piece in pieces)])
    uv_offsets = np.cumsum([0, *(len(piece[2]) for piece in pieces)])
    vertices = np.concatenate([piece[0] for piece in pieces]).astype(np.float32)
    skin = offsets[1]
    part = np.where(np.arange(len(vertices)) >= skin, 2, np.where(vertices[:, 2] < 0, 1, 0)).astype(np.uint8)
    weights = _weights(vertices, skin, offsets[2])
    fields: dict[str, Any] = {
        "vertices": vertices,
        "faces": np.concatenate([p[1] + o for p, o in zip(pieces, offsets, strict=False)]).astype(np.int32),
        "uvs": np.concatenate([piece[2] for piece in pieces]).astype(np.float32),
        "uv_faces": np.concatenate([p[3] + o for p, o in zip(pieces, uv_offsets, strict=False)]).astype(np.int32),
        "part": part,
        "parts": PARTS,
        "joints": JOINTS.copy(),
        "joint_names": JOINT_NAMES,
        "joint_parents": PARENTS,
        "weights": weights,
        "blendshapes": _blendshapes(vertices, skin),
        "blendshape_names": ARKIT_NAMES,
        "blendshape_ranges": np.tile(np.array([0, 1], np.float32), (len(ARKIT_NAMES), 1)),
        "blendshape_kind": "arkit",
        "photo": _photo(),
        "albedo": _albedo(texture_size),
        "albedo_seen": np.repeat(np.linspace(0, 255, texture_size)[None], texture_size, 0).astype(np.uint8),
        "photo_image": np.full((80, 64, 3), 120, np.uint8),
        "thumbnail": np.full((256, 256, 4), 200, np.uint8),
        "provenance": {"head": "sample", "head_licence": "CC0-1.0", "preset": "small", "seed": 0, "warnings": []},
    }
    return Avatar(**(fields | changes))


def _ellipsoid(centre: tuple[float, ...], radii: tuple[float, ...], rows: int, columns: int, box: tuple[float, ...]):  # type: ignore[no-untyped-def]
    """Vertices, faces, uvs and uv_faces; the seam runs down the back (-Z), outside is counter-clockwise."""
    ring = [(i, j) for i in range(1, rows) for j in range(columns)]
    polar = np.array([0.0] + [np.pi * i / rows for i, _ in ring] + [np.pi])
    around = np.array([0.0] + [2 * np.pi * j / columns for _, j in ring] + [0.0])
    unit = np.stack([-np.sin(polar) * np.sin(around), np.cos(polar), -np.sin(polar) * np.cos(around)], 1)
    last = len(unit) - 1

    def vertex(i: int, j: int) -> int:
        return 0 if i == 0 else last if i == rows else 1 + (i - 1) * columns + j % columns

    faces, uv_faces = [], []
    for i in range(rows):
        for j in range(columns):
            corners = [(i, j), (i + 1, j), (i + 1, j + 1), (i, j + 1)]
            for triangle in ([corners[0], corners[1], corners[2]], [corners[0], corners[2], corners[3]]):
                if len({vertex(*corner) for corner in triangle}) == 3:
                    faces.append([vertex(*corner) for corner in triangle])
                    uv_faces.append([r * (columns + 1) + c for r, c in triangle])
    u0, v0, u1, v1 = box
    # going round from the back over the subject's right (-X) shows the right side on the left of the texture
    uvs = [
        (u0 + (u1 - u0) * j / columns, v1 - (v1 - v0) * i / rows) for i in range(rows + 1) for j in range(columns + 1)
    ]
    return np.array(centre) + unit * np.array(radii), np.array(faces), np.array(uvs), np.array(uv_faces)


def _weights(vertices: np.ndarray, skin: int, right_eye: int) -> np.ndarray:
    weights = np.zeros((len(vertices), len(JOINTS)), np.float32)
    neck = np.clip((vertices[:skin, 1] - 0.05) / 0.05, 0, 1)
    jaw = np.clip((0.14 - vertices[:skin, 1]) / 0.04, 0, 1) * np.clip(vertices[:skin, 2] / 0.05, 0, 1) * neck
    weights[:skin, 0], weights[:skin, 1], weights[:skin, 2] = 1 - neck, neck - jaw, jaw
    weights[skin:right_eye, 3] = 1
    weights[right_eye:, 4] = 1
    return weights


def _blendshapes(vertices: np.ndarray, skin: int) -> np.ndarray:
    """A small bump for each name at its own place on the face; jawOpen lowers the chin by 2 cm."""
    shapes = np.zeros((len(ARKIT_NAMES), len(vertices), 3), np.float32)
    rng = np.random.default_rng(52)
    for k, name in enumerate(ARKIT_NAMES):
        side = 1 if name.endswith("Left") else -1 if name.endswith("Right") else 0
        height = 0.12 if name.startswith(("mouth", "jaw", "tongue")) else 0.21
        centre = np.array([side * 0.03, height, 0.08])
        near = np.exp(-((vertices[:skin] - centre) ** 2).sum(1) / 0.02**2)
        near[near < 0.05] = 0
        shapes[k, :skin] = near[:, None] * rng.uniform(-0.005, 0.005, 3)
    chin = np.clip((0.14 - vertices[:skin, 1]) / 0.05, 0, 1) * np.clip(vertices[:skin, 2] / 0.05, 0, 1)
    shapes[ARKIT_NAMES.index("jawOpen"), :skin] = chin[:, None] * np.array([0, -0.02, 0])
    return shapes


def _photo() -> PhotoFit:
    expression = np.zeros(len(ARKIT_NAMES), np.float32)
    expression[ARKIT_NAMES.index("jawOpen")] = 0.25
    rotations = np.zeros((len(JOINTS), 3), np.float32)
    rotations[0] = (0.05, 0.3, 0.0)
    return PhotoFit(
        focal=900.0,
        centre=np.array([160, 200], np.float32),
        size=np.array([320, 400], np.int32),
        rotations=rotations,
        translation=np.array([0.0, -0.16, -0.9], np.float32),
        expression=expression,
        crop=np.array([40, 20, 280, 320], np.float32),
    )


def _albedo(size: int) -> np.ndarray:
    rows, columns = np.mgrid[0:size, 0:size] / size
    checks = ((rows * 16).astype(int) + (columns * 16).astype(int)) % 2
    colour = np.stack([200 + 30 * checks, 150 + 60 * columns, 130 + 60 * rows], -1)
    return colour.astype(np.uint8)


if __name__ == "__main__":
    from meshlam_core.avatar.io import write_avatar

    write_avatar(make_avatar(), Path(sys.argv[1]))
