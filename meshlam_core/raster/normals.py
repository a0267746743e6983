"""Face and vertex normals.

Frame: any right-handed frame, pointing outwards where triangles run counter-clockwise seen from outside.
Dims:  B batch, V vertices, F triangles.
"""

from __future__ import annotations

import torch
from torch import Tensor

from meshlam_core.raster import quick
from meshlam_core.raster.shapes import check_shape


def face_normals(
    vertices: Tensor,  # [B, V, 3]
    faces: Tensor,  # [F, 3] int
    unit: bool = True,
) -> Tensor:  # [B, F, 3] zero for triangles without area; with unit=False their length is twice the area
    """One normal per triangle."""
    check_shape("vertices", vertices, "B V 3")
    check_shape("faces", faces, "F 3")
    a, b, c = (vertices.index_select(1, faces[:, i].long()) for i in range(3))
    normals = torch.linalg.cross(b - a, c - a)
    return _unit(normals) if unit else normals


def vertex_normals(
    vertices: Tensor,  # [B, V, 3]
    faces: Tensor,  # [F, 3] int
) -> Tensor:  # [B, V, 3] unit; zero where a vertex has no triangle
    """The area-weighted mean of the surrounding triangles' normals."""
    check_shape("vertices", vertices, "B V 3")
    check_shape("faces", faces, "F 3")
    return _unit(quick.corner_normals(vertices, faces) if quick.fits(vertices) else corner_normals(vertices, faces))


def corner_normals(
    vertices: Tensor,  # [B, V, 3]
    faces: Tensor,  # [F, 3] int
) -> Tensor:  # [B, V, 3]
    """The twin of quick.corner_normals, for any dtype."""
    weighted = face_normals(vertices, faces, unit=False)
    corners = faces.long().T.reshape(-1)  # all first corners, all second, all third
    return torch.zeros_like(vertices).index_add(1, corners, weighted.repeat(1, 3, 1))


def _unit(vectors: Tensor) -> Tensor:
    # the floor is far below the area of any real triangle and keeps the gradient of a zero vector finite
    return vectors / (vectors.square().sum(-1, keepdim=True) + 1e-30).sqrt()
