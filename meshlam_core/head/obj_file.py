"""Wavefront OBJ files of head models: vertices, triangles, texture coordinates. Units and axes are the file's.

Dims: V vertices, F triangles (polygons as fans), U texture vertices.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from meshlam_core.errors import UnreadableInput

MOST_BYTES = 200_000_000


@dataclass(frozen=True)
class ObjMesh:
    """A mesh as the file has it."""

    vertices: NDArray[np.float64]  # [V, 3]
    faces: NDArray[np.int64]  # [F, 3]
    uvs: NDArray[np.float64]  # [U, 2]; none where the file has none
    uv_faces: NDArray[np.int64]  # [F, 3]


def read_obj(path: Path) -> ObjMesh:
    """The whole mesh. UnreadableInput where the file is none, or points outside itself."""
    vertices: list[list[float]] = []
    uvs: list[list[float]] = []
    corners: list[list[tuple[int, int]]] = []
    try:
        if path.stat().st_size > MOST_BYTES:
            raise UnreadableInput(f"{path.name}: expected an OBJ file of at most {MOST_BYTES // 10**6} MB.")
        for line in path.read_text("ascii", errors="replace").splitlines():
            key, _, rest = line.partition(" ")
            if key == "v":
                vertices.append([float(x) for x in rest.split()[:3]])
            elif key == "vt":
                uvs.append([float(x) for x in rest.split()[:2]])
            elif key == "f":
                face = [_corner(text, len(vertices), len(uvs)) for text in rest.split()]
                corners += [[face[0], face[i], face[i + 1]] for i in range(1, len(face) - 1)]
        places, coordinates = np.array(vertices).reshape(-1, 3), np.array(uvs).reshape(-1, 2)
    except (OSError, ValueError) as error:
        raise UnreadableInput(f"{path.name} cannot be read as an OBJ file: {str(error)[:80]}.") from error
    both = np.array(corners, np.int64).reshape(-1, 3, 2)
    faces, uv_faces = both[..., 0], both[..., 1]
    whole = len(faces) and faces.min() >= 0 and faces.max() < len(places) and uv_faces.max() < len(coordinates)
    if not (whole and np.isfinite(places).all() and np.isfinite(coordinates).all()):
        raise UnreadableInput(f"{path.name} is no whole OBJ mesh: {len(places)} vertices, {len(faces)} triangles.")
    return ObjMesh(places, faces, coordinates, uv_faces)


def _corner(text: str, vertices: int, uvs: int) -> tuple[int, int]:
    """Vertex and texture vertex of a corner, from 0; -1 where it has no texture vertex."""
    parts = text.split("/")
    vertex = int(parts[0])
    uv = int(parts[1]) if len(parts) > 1 and parts[1] else 0
    return vertex - 1 if vertex > 0 else vertices + vertex, uv - 1 if uv >= 0 else uvs + uv
