"""Rendered figures whose masks are known exactly: CC0 bodies, skins and hair cards before CC0 panoramas.

A ray gathers every strand it passes, so the masks have the softness of real hair. Some figures wear hats, the
collars of all are drawn by a line around the neck.

Frame: MakeHuman's: decimetres, +Y up, +Z out of the face. Dims: S source vertices, F triangles, N image side.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor
from torch.nn import functional

from meshlam_core.head.builder.source import Source, SourceMesh
from meshlam_core.tracker.landmarks import LandmarkDetector
from training.parser.portraits import figure_sample
from training.parser.rays import BODY, EYE, HAIR, HAT, Scene, gather

F32 = NDArray[np.float32]
F64 = NDArray[np.float64]
I64 = NDArray[np.int64]
U8 = NDArray[np.uint8]

VIEW = 448  # px
TEXTURE = 1024  # px
FACE = np.array([0.0, 7.35, 1.0])  # dm, about the face's middle on the base mesh
KEPT_BACK = ("bob02", "long01", "short02")  # hair that only judges
SKINS_KEPT_BACK, MAPS_KEPT_BACK = 3, 8
HAIR_TINTS = (
    (0.08, 0.07, 0.07), (0.2, 0.14, 0.11), (0.36, 0.25, 0.17), (0.7, 0.55, 0.36), (0.88, 0.78, 0.6), (0.55, 0.25, 0.12),
    (0.55, 0.55, 0.55), (0.92, 0.92, 0.9),
)  # fmt: skip


@dataclass(frozen=True)
class Hairstyle:
    """A hair mesh bound to the base mesh."""

    anchors: I64  # [V, 3] vertices of the base mesh
    weights: F64  # [V, 3]
    offsets: F64  # [V, 3] in units of the head's size
    rulers: tuple[tuple[int, int, float], ...]  # for x, y, z: two vertices and their distance on the figure made for
    faces: I64  # [F, 3]
    corner_uvs: F32  # [F, 3, 2]
    card: F32  # [T, T, 4]

    def placed(self, body: F64) -> F64:  # [S, 3] -> [V, 3]
        """On a body."""
        scale = [abs(body[a, axis] - body[b, axis]) / size for axis, (a, b, size) in enumerate(self.rulers)]
        return np.asarray((body[self.anchors] * self.weights[..., None]).sum(1) + self.offsets * scale)


@dataclass(frozen=True)
class Figure:
    """A rendered picture and what is true of it."""

    pixels: U8  # [N, N, 3]
    landmarks: F32  # [478, 3] px
    truth: F32  # [N, N, 3] shares of hair, skin and other


class Figures:
    """Draws figures at random."""

    def __init__(self, source: Source, data: Path, kept_back: bool) -> None:
        self._mesh = source.mesh()
        self._source = source
        names = sorted(path.stem for path in (data / "hair_meshes").glob("*.obj"))
        self._styles = [load_hairstyle(data, name) for name in names if (name in KEPT_BACK) == kept_back]
        skins, maps = sorted((data / "skins").glob("*.jpg")), sorted((data / "light").glob("*.jpg"))
        self._skins = [load_texture(path) for path in _part(skins, SKINS_KEPT_BACK, kept_back)]
        self._maps = [np.array(Image.open(path).convert("RGB")) for path in _part(maps, MAPS_KEPT_BACK, kept_back)]
        groups = np.array(self._mesh.group)
        self._parts = {BODY: groups == "body", EYE: (groups == "helper-l-eye") | (groups == "helper-r-eye")}

    def draw(self, random: np.random.Generator, detector: LandmarkDetector) -> Tensor | None:  # [9, M, M] uint8
        """A training sample, None when no face is found in it."""
        figure = self.picture(random, detector)
        return (
            None
            if figure is None
            else figure_sample(figure.pixels, figure.landmarks[:, :2].astype(np.float64), figure.truth)
        )

    def picture(self, random: np.random.Generator, detector: LandmarkDetector) -> Figure | None:
        """A figure before a panorama, None when no face is found in it."""
        scene, body = self._scene(random)
        colours, truth = gather(scene, *_camera(random, body), VIEW)
        hidden = truth.sum(axis=-1, keepdims=True).clip(0, 1)
        shown = (colours + (1 - hidden) * _room(self._maps, random)).clip(0, 1)
        pixels = (shown * 255 + 0.5).astype(np.uint8)
        faces = detector.detect(np.ascontiguousarray(pixels.repeat(2, 0).repeat(2, 1)))  # finds small faces, too
        return Figure(pixels, faces[0].landmarks / np.float32(2), truth) if faces else None

    def _scene(self, random: np.random.Generator) -> tuple[Scene, F64]:
        body = self._body(random)
        style = self._styles[random.integers(len(self._styles))] if random.random() < 0.92 else None
        hat = random.random() < 0.2
        brow = float(body[:, 1].max()) - random.uniform(0.55, 0.85)  # dm, the hat's lower edge in front
        points = [body]
        layers: list[tuple[int, I64, F32]] = [
            (kind, *_triangles(self._mesh, chosen)) for kind, chosen in self._parts.items()
        ]
        if hat:
            corners, corner_uvs = _triangles(self._mesh, self._parts[BODY])
            above = (body[corners][..., 1] - 0.25 * (1.0 - body[corners][..., 2])).min(axis=1) > brow - 0.1
            centre = np.array([0, brow, body[corners[above]][..., 2].mean()])
            points.append(centre + (body - centre) * random.uniform(1.1, 1.25, 3))
            layers.append((HAT, corners[above] + len(body), corner_uvs[above]))
        if style is not None:
            layers.append((HAIR, style.faces + sum(map(len, points)), style.corner_uvs))
            points.append(FACE + (style.placed(body) - FACE) * random.uniform(0.96, 1.12))
        tint = np.array(HAIR_TINTS[random.integers(len(HAIR_TINTS))]) * random.uniform(0.8, 1.2)
        return Scene(
            points=np.concatenate(points),
            faces=np.concatenate([faces for _, faces, _ in layers]),
            corner_uvs=np.concatenate([uvs for _, _, uvs in layers]).astype(np.float32),
            kind=np.concatenate([np.full(len(faces), kind, np.int32) for kind, faces, _ in layers]),
            skin=self._skins[random.integers(len(self._skins))],
            card=style.card if style is not None else np.ones((2, 2, 4), np.float32),
            tint=tint if random.random() < 0.7 else None,
            collar=float(random.uniform(5.9, 6.55)) + body[:, 1].max() - 8.49,
            neckline=float(random.uniform(0.0, 0.6)),
            cloth=random.random((2, 3)),
            stripes=float(random.choice([0.0, 0.0, random.uniform(2, 25)])),
            hat_from=brow if hat else None,
            light=_direction(random),
            ambient=float(random.uniform(0.25, 0.8)),
        ), body

    def _body(self, random: np.random.Generator) -> F64:  # [S, 3] dm
        race, sex = random.choice(["african", "asian", "caucasian"]), random.choice(["female", "male"])
        age = random.choice(["young", "young", "old"])
        body = self._mesh.vertices.copy()
        body += self._target(f"macrodetails/{race}-{sex}-{age}")
        body += self._target(f"macrodetails/universal-{sex}-{age}-averagemuscle-averageweight")
        return body

    def _target(self, name: str) -> F64:
        return self._source.target(name, len(self._mesh.vertices))


def load_hairstyle(data: Path, name: str) -> Hairstyle:
    """A mesh of hair_meshes with its binding; strands without a card of their own get a woven one."""
    rulers = {}
    rows: list[list[float]] = []
    reading = False
    for line in (data / "hair_meshes" / f"{name}.mhclo").read_text("utf-8", "replace").splitlines():
        tokens = line.split()
        if tokens and tokens[0] in ("x_scale", "y_scale", "z_scale"):
            rulers[tokens[0][0]] = (int(tokens[1]), int(tokens[2]), float(tokens[3]))
        elif tokens and tokens[0] == "verts":
            reading = True
        elif reading and len(tokens) in (1, 9) and tokens[0].isdigit():
            rows.append([float(t) for t in tokens] if len(tokens) == 9 else [float(tokens[0])] * 3 + [1, 0, 0, 0, 0, 0])
        elif tokens and tokens[0] in ("delete_verts", "weights"):
            reading = False
    table = np.array(rows)
    faces, corner_uvs = [], []
    uvs: list[list[float]] = []
    for line in (data / "hair_meshes" / f"{name}.obj").read_text().splitlines():
        key, _, rest = line.partition(" ")
        if key == "vt":
            uvs.append([float(x) for x in rest.split()[:2]])
        elif key == "f":
            corners = [[int(i) - 1 for i in corner.split("/")[:2]] for corner in rest.split()]
            for second, third in pairwise(corners[1:]):
                faces.append([corners[0][0], second[0], third[0]])
                corner_uvs.append([uvs[c[1]] for c in (corners[0], second, third)])
    path = data / "hair_cards" / f"{name}.png"
    return Hairstyle(
        anchors=table[:, :3].astype(np.int64),
        weights=table[:, 3:6],
        offsets=table[:, 6:],
        rulers=(rulers["x"], rulers["y"], rulers["z"]),
        faces=np.array(faces),
        corner_uvs=np.array(corner_uvs, np.float32),
        card=load_texture(path, "RGBA") if path.is_file() else woven(),
    )


def woven() -> F32:  # [T, T, 4]
    """A card of grey curls with holes."""
    random = np.random.default_rng(0)
    layers = [torch.from_numpy(random.random((1, 1, n, n))).float() for n in (24, 96, 256)]
    noise = sum(
        functional.interpolate(x, size=(512, 512), mode="bilinear") * w
        for x, w in zip(layers, (0.4, 0.35, 0.25), strict=True)
    )
    assert isinstance(noise, Tensor)
    level = noise[0, 0].numpy()
    alpha = ((level - 0.22) * 12).clip(0, 1)
    return np.asarray(np.dstack([(0.2 + 0.6 * level)] * 3 + [alpha]), np.float32)


def load_texture(path: Path, mode: str = "RGB") -> F32:  # [T, T, 3 or 4]
    """At most TEXTURE wide, 0..1."""
    image = Image.open(path).convert(mode)
    image.thumbnail((TEXTURE, TEXTURE))
    return np.asarray(image, np.float32) / np.float32(255)


def _triangles(mesh: SourceMesh, chosen: NDArray[np.bool_]) -> tuple[I64, F32]:
    quads, uvs = mesh.quads[chosen], mesh.uvs[mesh.uv_quads[chosen]].astype(np.float32)
    return np.concatenate([quads[:, [0, 1, 2]], quads[:, [0, 2, 3]]]), np.concatenate(
        [uvs[:, [0, 1, 2]], uvs[:, [0, 2, 3]]]
    )


def _part(items: list[Path], count: int, kept_back: bool) -> list[Path]:
    return items[-count:] if kept_back else items[:-count]


def _direction(random: np.random.Generator) -> F64:
    light = random.standard_normal(3) + np.array([0, 0.6, 1.2])
    return np.asarray(light / np.linalg.norm(light))


def _camera(random: np.random.Generator, body: F64) -> tuple[F64, F64, float]:
    """Position, what it looks at, and focal length in image sides."""
    middle = FACE + np.array([0, body[:, 1].max() - 8.49, 0])
    yaw, pitch = random.normal(0, 0.35), random.normal(0, 0.12)
    distance = random.uniform(5, 14)
    towards = np.array([np.sin(yaw) * np.cos(pitch), np.sin(pitch), np.cos(yaw) * np.cos(pitch)])
    shown = random.uniform(3.9, 5.2)  # dm
    return middle + distance * towards, middle + random.normal(0, 0.12, 3) - [0, 0.1, 0], distance / shown


def _room(maps: list[U8], random: np.random.Generator) -> F32:  # [N, N, 3]
    whole = maps[random.integers(len(maps))]
    side = int(random.integers(100, 420))
    top, left = (int(random.integers(size - side)) for size in whole.shape[:2])
    part = Image.fromarray(whole[top : top + side, left : left + side]).resize((VIEW, VIEW), Image.Resampling.BICUBIC)
    return np.asarray(part, np.float32) / np.float32(255)
