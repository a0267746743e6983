"""Flatten a disc-shaped piece of mesh without flips: Tutte's embedding, then the symmetric Dirichlet energy.

Dims: V vertices, F triangles; 3D lengths in the mesh's unit, UV lengths in the same unit until they are packed.

Sources: W. Tutte, "How to draw a graph" (1963); Rabinovich et al., "Scalable Locally Injective Mappings" (2017), whose
reweighted quadratic proxy is the descent step here; Smith & Schaefer, "Bijective Parameterization with Free
Boundaries" (2015), for the longest step that flips no triangle.
"""

from __future__ import annotations

import numpy as np
import scipy.sparse as sp
from scipy.sparse.linalg import splu

from meshlam_core.head.builder.crop import border_loops
from meshlam_core.head.builder.source import F64, I64


def tutte(
    faces: I64,  # [F, 3] a disc
    count: int,
    boundary: I64,  # [B] its border in order
    circle: F64,  # [B, 2] convex positions of the border
) -> F64:  # [V, 2]
    """Every inner vertex at the mean of its neighbours: no triangle flips when the border is convex."""
    links = sp.coo_matrix((np.ones(faces.size), (faces.ravel(), faces[:, [1, 2, 0]].ravel())), (count, count))
    adjacency = ((links + links.T) > 0).astype(float).tocsr()
    laplacian = sp.diags(np.asarray(adjacency.sum(axis=1)).ravel()) - adjacency
    inner = np.setdiff1d(np.arange(count), boundary)
    uv = np.zeros((count, 2))
    uv[boundary] = circle
    system = laplacian.tocsr()[inner]
    uv[inner] = splu(system[:, inner].tocsc()).solve(-system[:, boundary] @ circle)
    return uv


def border_circle(
    vertices: F64,  # [V, 3]
    loop: I64,  # [B]
    start: int,  # index in the loop that lies at the top
) -> F64:  # [B, 2] on the unit circle, spaced by edge length, counter-clockwise
    """Positions for Tutte's border."""
    loop = np.roll(loop, -start)
    length = np.linalg.norm(np.roll(vertices[loop], -1, axis=0) - vertices[loop], axis=1)
    angle = np.pi / 2 + 2 * np.pi * np.concatenate([[0], np.cumsum(length)[:-1]]) / length.sum()
    return np.asarray(np.roll(np.stack([np.cos(angle), np.sin(angle)], axis=1), start, axis=0))


def fill_holes(
    faces: I64,  # [F, 3]
    count: int,
    keep_open: int,  # a vertex on the border that stays
) -> tuple[I64, list[list[int]]]:
    """Close every border but one with a fan around a new vertex; returns the added triangles and the loops."""
    loops = [loop for loop in border_loops(faces) if keep_open not in loop]
    added = [
        [after, here, count + i]
        for i, loop in enumerate(loops)
        for here, after in zip(loop, loop[1:] + loop[:1], strict=True)
    ]
    return np.array(added, dtype=np.int64).reshape(-1, 3), loops


def reference_inverse(
    corners: F64,  # [F, 3, 3] positions
    scale: F64,  # [F] wanted UV length per length
) -> tuple[F64, F64]:  # [F, 2, 2] inverse of the flat triangle's edge matrix, [F] its area
    """Each triangle laid flat at its wanted size."""
    e1, e2 = corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]
    length = np.linalg.norm(e1, axis=1)
    x = (e1 * e2).sum(axis=1) / length
    y = np.linalg.norm(np.cross(e1, e2), axis=1) / length
    edges = np.zeros((len(corners), 2, 2))  # columns are the flat edges
    edges[:, 0, 0], edges[:, 0, 1], edges[:, 1, 1] = length, x, y
    edges *= scale[:, None, None]
    return np.asarray(np.linalg.inv(edges)), np.asarray(np.abs(np.linalg.det(edges)) / 2)


class Flattener:
    """Minimises sum_t area_t (|J_t|^2 + |J_t^-1|^2) over UV positions, J_t mapping the flat triangle to the layout."""

    def __init__(self, faces: I64, inverse: F64, area: F64, count: int) -> None:
        self.faces, self.inverse, self.area, self.count = faces, inverse, area / area.sum(), count
        # J = [uv_b - uv_a, uv_c - uv_a] @ inverse, so dJ/duv is one gradient vector per corner
        bc = inverse  # [F, corner b or c, 2]
        self.gradient = np.concatenate([-bc.sum(axis=1, keepdims=True), bc], axis=1)  # [F, 3, 2]

    def jacobians(self, uv: F64) -> F64:  # [F, 2, 2]
        return np.asarray(np.einsum("fck,fcj->fkj", uv[self.faces], self.gradient))

    def energy(self, uv: F64) -> float:
        jacobian = self.jacobians(uv)
        det = np.linalg.det(jacobian)
        if (det <= 0).any():
            return float("inf")
        square = (jacobian**2).sum(axis=(1, 2))
        return float((self.area * square * (1 + 1 / det**2)).sum())

    def step(self, uv: F64, limit: float = 1e3) -> tuple[F64, float]:
        """One reweighted least-squares step with a line search; returns the new layout and the step length."""
        jacobian = self.jacobians(uv)
        u, sigma, vt = np.linalg.svd(jacobian)
        rotation = u @ vt
        gap = sigma - 1
        ratio = np.where(np.abs(gap) < 1e-6, 4.0, (sigma - sigma**-3) / np.where(np.abs(gap) < 1e-6, 1, gap))
        root = np.sqrt(ratio.clip(1e-8, limit**2))
        weight = np.einsum("fik,fk,fjk->fij", u, root, u)  # [F, 2, 2]
        metric = self.area[:, None, None] * np.einsum("fki,fkj->fij", weight, weight)  # W^T W
        stiffness = np.einsum("fcj,fdj->fcd", self.gradient, self.gradient)  # [F, 3, 3]
        blocks = np.einsum("fcd,fij->fcidj", stiffness, metric).reshape(len(self.faces), 6, 6)
        dofs = (2 * self.faces[:, :, None] + np.arange(2)).reshape(-1, 6)
        rows, columns = np.repeat(dofs, 6, axis=1).ravel(), np.tile(dofs, (1, 6)).ravel()
        system = sp.csc_matrix((blocks.ravel(), (rows, columns)), shape=(2 * self.count, 2 * self.count))
        system = system + 1e-9 * system.diagonal().mean() * sp.identity(2 * self.count)  # pins the free translation
        residual = np.einsum("fij,fjk->fik", metric, rotation - jacobian)
        force = np.bincount(dofs.ravel(), np.einsum("fcj,fij->fci", self.gradient, residual).ravel(), 2 * self.count)
        direction = splu(sp.csc_matrix(system)).solve(force).reshape(-1, 2)
        return self._search(uv, direction)

    def _search(self, uv: F64, direction: F64) -> tuple[F64, float]:
        """Backtrack from just short of the first flip until the energy falls."""
        length = min(1.0, 0.8 * self._first_flip(uv, direction))
        before = self.energy(uv)
        while length > 1e-8:
            after = uv + length * direction
            if self.energy(after) < before:
                return after, length
            length /= 2
        return uv, 0.0

    def _first_flip(self, uv: F64, direction: F64) -> float:
        """Smallest positive step at which a triangle's area reaches zero."""
        p, d = uv[self.faces], direction[self.faces]
        e1, e2, f1, f2 = p[:, 1] - p[:, 0], p[:, 2] - p[:, 0], d[:, 1] - d[:, 0], d[:, 2] - d[:, 0]

        def cross(x: F64, y: F64) -> F64:
            return np.asarray(x[:, 0] * y[:, 1] - x[:, 1] * y[:, 0])

        a, b, c = cross(f1, f2), cross(e1, f2) + cross(f1, e2), cross(e1, e2)
        discriminant = b * b - 4 * a * c
        with np.errstate(divide="ignore", invalid="ignore"):
            q = -0.5 * (b + np.where(b < 0, -1, 1) * np.sqrt(discriminant.clip(0)))
            roots = np.stack([q / a, c / q])
        roots = np.where((discriminant >= 0) & np.isfinite(roots) & (roots > 0), roots, np.inf)
        return float(roots.min(initial=np.inf))

    def solve(self, uv: F64, steps: int = 60, tolerance: float = 1e-6) -> F64:
        """Iterate until the energy hardly falls."""
        energy = self.energy(uv)
        for _ in range(steps):
            uv, length = self.step(uv)
            now = self.energy(uv)
            if length == 0.0 or energy - now < tolerance * energy:
                break
            energy = now
        return uv
