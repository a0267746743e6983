"""Expressions of the open head on another mesh: each triangle bends as the open head's does at its place.

Sumner and Popovic, "Deformation transfer for triangle meshes" (2004), eqs. 5-9: the affine change of each source
triangle, asked of the target's triangles in the least-squares sense. Where the surfaces lie is tied softly to the
source's displacement, so that pieces and holes stay together.

Frame: avatar frame, metres. Dims: O vertices of the open head, V of the model, F its triangles, K shapes.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from scipy.sparse.linalg import splu

from meshlam_core.head.carry import Group
from meshlam_core.head.correspondence import Correspondence
from meshlam_core.head.model import HeadModel
from meshlam_core.head.surface import Surface

F64 = NDArray[np.float64]
I64 = NDArray[np.int64]

TIE = 200.0**2  # 1/m^2: over distances longer than 1/200 m the source's displacement is believed, below its bending


def transfer(
    source: HeadModel,  # the open head
    place: Correspondence,
    template: F64,  # [V, 3] m
    faces: NDArray[np.integer],  # [F, 3]
    skin: Group,
) -> F64:  # [K, V, 3] m; the skin's displacements, 0 elsewhere
    """All blendshapes of the open head on the model's skin."""
    rows = np.flatnonzero(np.isin(faces, skin.vertices).all(axis=1))
    triangles = faces[rows]
    middles = template[triangles].mean(axis=1)
    cross = normals_of(template[triangles])
    area = np.linalg.norm(cross, axis=1) / 2
    laid = place.laid.astype(np.float64)
    unit = cross / np.maximum(2 * area, 1e-20)[:, None]
    under, _, _ = Surface(laid, source.faces, skin.on).nearest(middles, unit)
    gradient = gradients(template, triangles)  # [3 F', V]
    weight = np.repeat(area, 3)
    mass = np.bincount(triangles.ravel(), np.repeat(area / 3, 3), len(template))
    moving = mass > 0
    tie = sparse.diags(TIE * mass + ~moving)
    weighted = sparse.diags(weight) @ gradient
    solver = splu((gradient.T @ weighted + tie).tocsc())
    rest = source.template.astype(np.float64)
    corners = source.faces[under]
    inverse = np.linalg.inv(frames(rest[corners]))
    size = float(np.linalg.norm(laid - laid.mean(0)) / np.linalg.norm(rest - rest.mean(0)))
    result = np.zeros((len(source.blendshapes), *template.shape))
    for k, shape in enumerate(source.blendshapes.astype(np.float64)):
        if not shape.any():
            continue
        change = frames((rest + shape)[corners]) @ inverse - np.eye(3)  # [F', 3, 3]
        # displacement u with gradient G u = (Q - I): rows of the gradient are d/dx, d/dy, d/dz
        wanted = change.transpose(0, 2, 1).reshape(-1, 3)
        moved = size * place.to_model(shape).astype(np.float64)
        result[k] = solver.solve(weighted.T @ wanted + TIE * mass[:, None] * moved)
    result[:, ~moving] = 0
    return result


def gradients(template: F64, faces: NDArray[np.integer]) -> sparse.csr_matrix:  # [3 F, V]
    """The gradient of values at vertices, constant on each triangle, within its plane."""
    corners = template[faces]
    normal = normals_of(corners)
    double = np.maximum((normal**2).sum(1), 1e-24)  # (2 area)^2
    rows, columns, values = [], [], []
    for k in range(3):
        edge = corners[:, (k + 2) % 3] - corners[:, (k + 1) % 3]
        slope = np.cross(normal, edge) / double[:, None]  # [F, 3]
        rows.append(np.arange(3 * len(faces)))
        columns.append(np.repeat(faces[:, k], 3))
        values.append(slope.ravel())
    shape = (3 * len(faces), len(template))
    entries = (np.concatenate(values), (np.concatenate(rows), np.concatenate(columns)))
    return sparse.csr_matrix(entries, shape)


def frames(corners: F64) -> F64:  # [F, 3, 3] -> [F, 3, 3], columns
    """Two edges and a normal of each triangle, its length that of an edge."""
    a, b = corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]
    normal = np.cross(a, b)
    normal = normal / np.maximum(np.sqrt(np.linalg.norm(normal, axis=1, keepdims=True)), 1e-9)
    return np.stack([a, b, normal], axis=2)


def normals_of(corners: F64) -> F64:  # [F, 3, 3] -> [F, 3], of twice the area's length
    return np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
