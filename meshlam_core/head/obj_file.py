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
    lines = _lines(path)
    try:
        places, uvs = _numbers(lines, "v ", 3), _numbers(lines, "vt ", 2)
        corners: list[list[tuple[int, int]]] = []
        for line in lines:
            if line.startswith("f "):
                face = [_corner(text, len(places), len(uvs)) for text in line[2:].split()]
                corners += [[face[0], face[i], face[i + 1]] for i in range(1, len(face) - 1)]
    except ValueError as error:
        raise _unreadable(path, error) from error
    both = np.array(corners, np.int64).reshape(-1, 3, 2)
    faces, uv_faces = both[..., 0], both[..., 1]
    whole = len(faces) and faces.min() >= 0 and faces.max() < len(places) and uv_faces.max() < len(uvs)
    if not (whole and np.isfinite(places).all() and np.isfinite(uvs).all()):
        raise UnreadableInput(f"{path.name} is no whole OBJ mesh: {len(places)} vertices, {len(faces)} triangles.")
    return ObjMesh(places, faces, uvs, uv_faces)


def read_vertices(path: Path) -> NDArray[np.float64]:  # [V, 3]
    """The vertices alone, of a mesh whose triangles are known."""
    try:
        return _numbers(_lines(path), "v ", 3)
    except ValueError as error:
        raise _unreadable(path, error) from error


def _lines(path: Path) -> list[str]:
    try:
        if path.stat().st_size > MOST_BYTES:
            raise UnreadableInput(f"{path.name}: expected an OBJ file of at most {MOST_BYTES // 10**6} MB.")
        return path.read_text("ascii", errors="replace").splitlines()
    except OSError as error:
        raise _unreadable(path, error) from error


def _numbers(lines: list[str], key: str, count: int) -> NDArray[np.float64]:
    """The first numbers of each line of a kind."""
    rows = [line[len(key) :] for line in lines if line.startswith(key)]
    return np.array([row.split()[:count] for row in rows], np.float64).reshape(-1, count)


def _unreadable(path: Path, error: Exception) -> UnreadableInput:
    return UnreadableInput(f"{path.name} cannot be read as an OBJ file: {str(error)[:80]}.")


def _corner(text: str, vertices: int, uvs: int) -> tuple[int, int]:
    """Vertex and texture vertex of a corner, from 0; -1 where it has no texture vertex."""
    parts = text.split("/")
    vertex = int(parts[0])
    uv = int(parts[1]) if len(parts) > 1 and parts[1] else 0
    return vertex - 1 if vertex > 0 else vertices + vertex, uv - 1 if uv >= 0 else uvs + uv
