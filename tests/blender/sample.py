"""A small made-up avatar, and the file format's posing formula, written from AVATAR_FORMAT.md alone.

The head is a ball with eyes, a row of teeth and lashes; its 52 expressions are smooth bumps, its pose is turned, its
photo is cropped off-centre and resampled, so that a mistake in any convention shows.
"""

from __future__ import annotations

import io
import json
import struct
import zipfile
import zlib
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

_NAMES = """
    browDownLeft browDownRight browInnerUp browOuterUpLeft browOuterUpRight cheekPuff cheekSquintLeft
    cheekSquintRight eyeBlinkLeft eyeBlinkRight eyeLookDownLeft eyeLookDownRight eyeLookInLeft eyeLookInRight
    eyeLookOutLeft eyeLookOutRight eyeLookUpLeft eyeLookUpRight eyeSquintLeft eyeSquintRight eyeWideLeft eyeWideRight
    jawForward jawLeft jawOpen jawRight mouthClose mouthDimpleLeft mouthDimpleRight mouthFrownLeft mouthFrownRight
    mouthFunnel mouthLeft mouthLowerDownLeft mouthLowerDownRight mouthPressLeft mouthPressRight mouthPucker mouthRight
    mouthRollLower mouthRollUpper mouthShrugLower mouthShrugUpper mouthSmileLeft mouthSmileRight mouthStretchLeft
    mouthStretchRight mouthUpperUpLeft mouthUpperUpRight noseSneerLeft noseSneerRight tongueOut
"""
ARKIT_NAMES = tuple(_NAMES.split())
PARTS = ("face", "scalp", "neck", "eyeballs", "teeth", "tongue", "lashes")
JOINTS = ("root", "neck", "jaw", "left_eye", "right_eye")
PARENTS = (-1, 0, 1, 1, 1)


@dataclass
class Sample:
    """The file's content: arrays and PNGs by name, the rest of avatar.json in `header`."""

    arrays: dict[str, np.ndarray]
    images: dict[str, bytes]
    header: dict[str, Any] = field(default_factory=dict)


def encode_png(pixels: np.ndarray) -> bytes:
    """[H, W] or [H, W, 3 or 4] uint8 -> PNG."""
    height, width = pixels.shape[:2]
    colour = {1: 0, 3: 2, 4: 6}[1 if pixels.ndim == 2 else pixels.shape[2]]
    rows = np.ascontiguousarray(pixels).reshape(height, -1)
    raw = b"".join(b"\0" + row.tobytes() for row in rows)

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, 8, colour, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(raw)) + chunk(b"IEND", b"")


def _ball(centre: tuple[float, float, float], radius: float, rows: int, columns: int) -> tuple[np.ndarray, ...]:
    """Vertices, triangles (counter-clockwise from outside), uvs and uv triangles of a sphere, poles along y."""
    theta = np.linspace(0, np.pi, rows + 1)[1:-1]
    phi = np.arange(columns) * 2 * np.pi / columns
    ring = np.stack(
        [
            np.sin(theta)[:, None] * np.sin(phi),
            np.repeat(np.cos(theta)[:, None], columns, axis=1),
            np.sin(theta)[:, None] * np.cos(phi),
        ],
        axis=-1,
    ).reshape(-1, 3)
    vertices = np.concatenate([[[0, 1, 0]], ring, [[0, -1, 0]]]) * radius + np.array(centre)
    faces, uvs, uv_faces = [], [], []
    index = lambda row, column: 1 + (row - 1) * columns + column % columns
    for column in range(columns):
        faces.append((0, index(1, column), index(1, column + 1)))
        for row in range(1, rows - 1):
            a, b = index(row, column), index(row, column + 1)
            c, d = index(row + 1, column), index(row + 1, column + 1)
            faces += [(a, c, b), (b, c, d)]
        faces.append((len(vertices) - 1, index(rows - 1, column + 1), index(rows - 1, column)))
    for face in faces:
        corners = vertices[list(face)] - np.array(centre)
        angle = np.arctan2(corners[:, 0], corners[:, 2]) / (2 * np.pi) + 0.5
        angle[angle - angle.min() > 0.5] -= 1.0  # triangles on the seam keep together
        uv_faces.append((len(uvs), len(uvs) + 1, len(uvs) + 2))
        uvs += list(np.stack([np.clip(angle, 0, 1), corners[:, 1] / radius * 0.5 + 0.5], axis=1))
    return vertices, np.array(faces), np.array(uvs), np.array(uv_faces)


def make_sample(correctives: bool = False, kind: str = "arkit", hair: bool = False) -> Sample:
    """The made-up avatar; the same bytes every time. With hair, its scalp is a hull 2 cm above the skull."""
    rng = np.random.default_rng(7)
    pieces = [
        ((0.0, 0.08, 0.03), 0.1, 16, 24, 0),
        ((0.032, 0.1, 0.115), 0.012, 8, 12, 3),
        ((-0.032, 0.1, 0.115), 0.012, 8, 12, 3),
        ((0.0, 0.04, 0.1), 0.01, 6, 8, 4),
        ((0.0, 0.035, 0.09), 0.008, 6, 8, 5),
        ((0.032, 0.113, 0.12), 0.003, 4, 6, 6),
    ]
    lists: list[list[np.ndarray]] = [[], [], [], [], []]
    count = uv_count = 0
    for centre, radius, rows, columns, label in pieces:
        vertices, faces, uvs, uv_faces = _ball(centre, radius, rows, columns)
        for store, item in zip(
            lists,
            (vertices, faces + count, uvs, uv_faces + uv_count, np.full(len(vertices), label)),
            strict=True,
        ):
            store.append(item)
        count, uv_count = count + len(vertices), uv_count + len(uvs)
    vertices, faces, uvs, uv_faces, part = (np.concatenate(store) for store in lists)
    part[(part == 0) & (vertices[:, 1] > 0.13)] = 1
    part[(part == 0) & (vertices[:, 1] < 0.0)] = 2

    joints = np.array([[0, 0, 0], [0, 0.02, 0.01], [0, 0.06, 0.03], [0.032, 0.1, 0.115], [-0.032, 0.1, 0.115]])
    distance = np.linalg.norm(vertices[:, None] - joints[None], axis=2)
    weights = np.exp(-distance / 0.03) + 1e-3
    weights /= weights.sum(axis=1, keepdims=True)
    weights[np.isin(part, [3])] = [0, 0, 0, 0.5, 0.5]

    names = ARKIT_NAMES if kind == "arkit" else tuple(f"expression{index:02d}" for index in range(10))
    shapes = np.zeros((len(names), len(vertices), 3))
    for index in range(len(names)):
        centre = vertices[rng.integers(len(vertices))]
        bump = np.exp(-(np.linalg.norm(vertices - centre, axis=1) ** 2) / (2 * 0.02**2))
        shapes[index] = bump[:, None] * rng.normal(size=3) * 0.004
    if "jawOpen" in names:
        chin = np.exp(-(np.linalg.norm(vertices - [0, 0.0, 0.1], axis=1) ** 2) / (2 * 0.03**2))
        shapes[names.index("jawOpen")] = chin[:, None] * [0, -0.02, -0.003]
    ranges = np.tile([0.0, 1.0] if kind == "arkit" else [-3.0, 3.0], (len(names), 1))
    expression = np.clip(rng.normal(0.1, 0.3, size=len(names)), ranges[:, 0], ranges[:, 1])

    arrays: dict[str, np.ndarray] = {
        "vertices": vertices.astype("<f4"),
        "faces": faces.astype("<i4"),
        "uvs": uvs.astype("<f4"),
        "uv_faces": uv_faces.astype("<i4"),
        "part": part.astype("u1"),
        "joints": joints.astype("<f4"),
        "weights": weights.astype("<f4"),
        "blendshapes": shapes.astype("<f4"),
        "photo_focal": np.array([1500.0], "<f4"),
        "photo_centre": np.array([512.0, 400.0], "<f4"),
        "photo_size": np.array([1024, 800], "<i4"),
        # every joint turns about every axis, or a mixed-up axis would not show
        "photo_rotations": np.array(
            [[0.2, -0.4, 0.1], [0.04, 0.1, -0.06], [0.15, 0.02, 0.03], [0.1, 0.2, 0.05], [-0.05, 0.2, 0.07]], "<f4"
        ),
        "photo_translation": np.array([0.07, -0.05, -0.75], "<f4"),
        "photo_expression": expression.astype("<f4"),
        "photo_crop": np.array([300.0, -50.0, 940.0, 430.0], "<f4"),
    }
    if correctives:
        arrays["pose_correctives"] = (rng.normal(size=(36, len(vertices), 3)) * 1e-3).astype("<f4")

    if hair:
        lift = np.where(part == 1, 0.02 * np.clip((vertices[:, 1] - 0.13) / 0.02, 0, 1), 0)[:, None]
        hull = lift * (vertices - [0.0, 0.08, 0.03]) / 0.1
        arrays["hair"] = hull.astype("<f4")
        arrays["vertices"] = (vertices + hull).astype("<f4")

    y, x = np.mgrid[0:64, 0:64]
    albedo = np.stack([150 + x, 110 + y, np.full_like(x, 100)], axis=-1).astype(np.uint8)
    photo = np.zeros((240, 320, 3), np.uint8)
    photo[..., 0], photo[..., 2] = np.arange(320) * 255 // 319, (np.arange(240) * 255 // 239)[:, None]
    images = {
        "albedo": encode_png(albedo),
        "albedo_seen": encode_png(((x > 32) * 255).astype(np.uint8)),
        "photo": encode_png(photo),
        "thumbnail": encode_png(np.full((256, 256, 4), 200, np.uint8)),
    }
    header = {
        "format": "meshlam-avatar",
        "version": 1,
        "parts": list(PARTS),
        "joint_names": list(JOINTS),
        "joint_parents": list(PARENTS),
        "blendshape_names": list(names),
        "blendshape_ranges": ranges.tolist(),
        "blendshape_kind": kind,
        "provenance": {
            "photo": "sample.png",
            "head": "sample",
            "head_licence": "CC0-1.0",
            "weights": None,
            "warnings": [],
        },
    }
    return Sample(arrays, images, header)


def write_sample(path: Path, sample: Sample) -> Path:
    """Write the avatar file; tables of arrays and images are made from the content unless the header brings its own."""
    modes = {1: "L", 3: "RGB", 4: "RGBA"}
    header = {
        "arrays": {
            name: {"file": f"{name}.npy", "shape": list(array.shape), "dtype": str(array.dtype)}
            for name, array in sample.arrays.items()
        },
        "images": {
            name: {
                "file": f"{name}.png",
                "size": list(struct.unpack(">II", data[16:24])),
                "mode": modes[{0: 1, 2: 3, 6: 4}.get(data[25], 3)],
            }
            for name, data in sample.images.items()
        },
        **sample.header,
    }
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("avatar.json", json.dumps(header))
        for name, array in sample.arrays.items():
            buffer = io.BytesIO()
            np.lib.format.write_array(buffer, array, allow_pickle=False)
            archive.writestr(f"{name}.npy", buffer.getvalue())
        for name, data in sample.images.items():
            archive.writestr(f"{name}.png", data)
    return path


def with_arrays(sample: Sample, **arrays: np.ndarray) -> Sample:
    """A copy with some arrays replaced."""
    return replace(sample, arrays={**sample.arrays, **arrays})


def rotation_matrix(axis_angle: np.ndarray) -> np.ndarray:
    """Rodrigues' formula."""
    angle = float(np.linalg.norm(axis_angle))
    if angle == 0:
        return np.eye(3)
    x, y, z = np.asarray(axis_angle, dtype=float) / angle
    k = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]])
    return np.eye(3) + np.sin(angle) * k + (1 - np.cos(angle)) * k @ k


def posed(
    arrays: dict[str, np.ndarray],
    parents: tuple[int, ...],
    rotations: np.ndarray,  # [J, 3] axis-angle
    expression: np.ndarray,  # [K]
    weights: np.ndarray | None = None,  # [V, J] instead of the file's
) -> np.ndarray:  # [V, 3] avatar frame, translation not added
    """AVATAR_FORMAT.md's "Posing it", word for word."""
    weights = arrays["weights"] if weights is None else weights
    rest = arrays["vertices"].astype(float) + np.tensordot(expression, arrays["blendshapes"].astype(float), axes=1)
    local = [rotation_matrix(rotation) for rotation in rotations]
    if "pose_correctives" in arrays:
        features = np.concatenate([(matrix - np.eye(3)).ravel() for matrix in local[1:5]])
        rest = rest + np.tensordot(features, arrays["pose_correctives"].astype(float), axes=1)
    joints = arrays["joints"].astype(float)
    turn, place = [local[0]], [joints[0]]
    for joint in range(1, len(joints)):
        parent = parents[joint]
        turn.append(turn[parent] @ local[joint])
        place.append(turn[parent] @ (joints[joint] - joints[parent]) + place[parent])
    result = np.zeros_like(rest)
    for joint in range(len(joints)):
        result += weights[:, joint : joint + 1] * ((rest - joints[joint]) @ turn[joint].T + place[joint])
    return result


def project(arrays: dict[str, np.ndarray], view: np.ndarray) -> np.ndarray:  # [V, 3] -> [V, 2] px of the upright photo
    """AVATAR_FORMAT.md's projection."""
    focal, centre = float(arrays["photo_focal"][0]), arrays["photo_centre"].astype(float)
    depth = -view[:, 2]
    return np.stack([focal * view[:, 0] / depth + centre[0], -focal * view[:, 1] / depth + centre[1]], axis=1)


def gltf_json(path: Path) -> dict[str, Any]:
    """What a .glb file says of its contents."""
    data = path.read_bytes()
    told: dict[str, Any] = json.loads(data[20 : 20 + struct.unpack("<I", data[12:16])[0]])
    return told
