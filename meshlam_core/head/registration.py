"""Register the open head to the template of another head model: the same head on both meshes.

The open head's identity modes come first (lay_over.lay_over). Then every vertex may move: in rounds, vertices
are drawn to closest points of similar orientation and the model's vertices draw the surface towards them, against the
bending of the displacement, which counts less from round to round (non-rigid ICP; Amberg et al., "Optimal step
nonrigid ICP algorithms for surface registration", 2007, with a thin plate instead of their local affine stiffness).
The neck's border follows the model's. Eyeballs are laid by a similarity; teeth, tongue and lashes go with the skin.

Frame: avatar frame of the model, metres. Dims: O vertices of the open head, S of its skin, V of the model, F triangles.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from scipy.sparse.linalg import splu
from scipy.spatial import cKDTree

from meshlam_core.head.lay_over import lay_over
from meshlam_core.head.model import HeadModel
from meshlam_core.head.pieces import connected_labels
from meshlam_core.head.surface import Surface, vertex_normals

F64 = NDArray[np.float64]
I64 = NDArray[np.int64]
Indices = NDArray[np.intp]

STIFFNESS = (100.0, 50.0, 30.0, 20.0, 10.0, 10.0)  # of the plate, round by round
REACH = 0.012  # m from which a closest point is believed less
FOLLOWING = 0.3  # weight with which the mouth's inside and the eye sockets follow the skin around them
INNER = 0.05  # and that of the model's vertices that find them
BORDER = 20.0  # weight of the neck's border
INSIDE = ("mouth_interior", "eye_sockets")
EYEBALLS = ("eyeball_left", "eyeball_right")


@dataclass(frozen=True)
class Target:
    """The mesh that the open head is laid onto."""

    template: F64  # [V, 3] m
    faces: NDArray[np.integer]  # [F, 3] counter-clockwise from outside
    skin: Indices  # [S'] vertices of the outer skin
    eyes: tuple[Indices, Indices]  # vertices of the left and the right eyeball; empty where it has none
    joints: F64  # [5, 3] m: root, neck, jaw, left eye, right eye


def register(
    source: HeadModel,  # the open head
    target: Target,
) -> F64:  # [O, 3] m
    """The open head's vertices on the target's surface."""
    goal, skin_faces = target.template, np.isin(target.faces[:, 0], target.skin)
    laid = lay_over(source, goal, goal[target.skin], target.joints)
    label = connected_labels(source.faces, len(source.template))
    skin = np.flatnonzero(label == np.bincount(label).argmax())
    faces = np.searchsorted(skin, source.faces[np.isin(source.faces[:, 0], skin)])
    inside = np.isin(np.array(source.parts)[source.part[skin]], INSIDE)
    surface = Surface(goal, target.faces, skin_faces)
    border = neck_border(faces), neck_border(target.faces[skin_faces])
    normals = vertex_normals(goal, target.faces)[target.skin]
    plate = bending(faces, len(skin))
    start = laid[skin]
    placed = start
    _, beside = cKDTree(start[~inside]).query(start[inside], 8)
    for stiffness in STIFFNESS:
        rows, wanted, weight = pulls(placed, faces, inside, surface, goal[target.skin], normals)
        # what lies inside goes with the skin around it: few models have it, and skin must not draw it out
        wanted[: len(skin)][inside] = start[inside] + (placed - start)[~inside][beside].mean(axis=1)
        ring, at = border_pulls(placed, border[0], goal, border[1])
        matrix = sparse.vstack([rows, ring]).tocsr()
        weights = np.concatenate([weight, np.full(len(at), BORDER)])
        wanted = np.concatenate([wanted, at]) - matrix @ start
        weighted = matrix.multiply(weights[:, None]).T.tocsr()
        system = (weighted @ matrix + stiffness * plate + 1e-6 * sparse.identity(len(skin))).tocsc()
        placed = start + splu(system).solve(weighted @ wanted)
    result = following(laid, skin, placed, label)
    for name, ball in zip(EYEBALLS, target.eyes, strict=True):
        own = np.flatnonzero(source.part == source.parts.index(name))
        if len(ball):
            result[own] = ball_onto(source.template[own].astype(np.float64), goal[ball])
    return result


def pulls(
    placed: F64,  # [S, 3]
    faces: I64,  # [., 3]
    inside: NDArray[np.bool_],  # [S]
    surface: Surface,  # of the target
    points: F64,  # [S', 3] the target's vertices
    normals: F64,  # [S', 3]
) -> tuple[sparse.csr_matrix, F64, F64]:  # [R, S] rows, [R, 3] where they should be, [R] weights
    """Closest points in both directions: of the open head's vertices on the target, and the other way round.

    The first S rows are the open head's own; of what lies inside, the points are not its.
    """
    own = vertex_normals(placed, faces)
    _, _, at = surface.nearest(placed, own)
    weight = np.where(inside, FOLLOWING, trust(at - placed))
    under = Surface(placed, faces, np.ones(len(faces), bool))
    triangle, bary, below = under.nearest(points, normals)
    back_weight = trust(points - below) * np.where(inside[faces[triangle]].any(axis=1), INNER, 1.0)
    row = np.repeat(np.arange(len(points)), 3)
    back = sparse.csr_matrix((bary.ravel(), (row, faces[triangle].ravel())), (len(points), len(placed)))
    rows = sparse.vstack([sparse.identity(len(placed)), back]).tocsr()
    return rows, np.concatenate([at, points]), np.concatenate([weight, back_weight])


def trust(offset: F64) -> F64:  # [P, 3] m -> [P] 0..1
    return np.asarray(1 / (1 + (offset**2).sum(1) / REACH**2))


def border_pulls(placed: F64, ring: Indices, goal: F64, goal_ring: Indices) -> tuple[sparse.csr_matrix, F64]:
    """The neck's border vertices, and the points of the target's border in the same directions from its middle."""
    middle, goal_middle = placed[ring].mean(0), goal[goal_ring].mean(0)
    angle, goal_angle = (
        np.arctan2(p[:, 0] - m[0], p[:, 2] - m[2]) for p, m in ((placed[ring], middle), (goal[goal_ring], goal_middle))
    )
    order = np.argsort(goal_angle)
    at = np.stack(
        [np.interp(angle, goal_angle[order], goal[goal_ring[order], k], period=2 * np.pi) for k in range(3)], axis=1
    )
    rows = sparse.csr_matrix((np.ones(len(ring)), (np.arange(len(ring)), ring)), (len(ring), len(placed)))
    return rows, at


def neck_border(faces: NDArray[np.integer]) -> Indices:
    """Vertices of the longest loop of border edges: the neck's."""
    edges = np.sort(faces[:, [0, 1, 1, 2, 2, 0]].reshape(-1, 2), axis=1)
    found, count = np.unique(edges, axis=0, return_counts=True)
    open_edges = found[count == 1]
    vertices, compact = np.unique(open_edges, return_inverse=True)
    if not len(vertices):
        return np.zeros(0, np.intp)
    pairs = compact.reshape(-1, 2)
    label = connected_labels(np.concatenate([pairs, pairs[:, :1]], axis=1), len(vertices))
    return np.asarray(vertices[label == np.bincount(label).argmax()], np.intp)


def bending(faces: I64, count: int) -> sparse.csr_matrix:  # [S, S]
    """The thin plate: squared umbrella Laplacian."""
    edges = faces[:, [0, 1, 1, 2, 2, 0, 1, 0, 2, 1, 0, 2]].reshape(-1, 2)
    neighbour = sparse.csr_matrix((np.ones(len(edges)), edges.T), (count, count)).sign()
    degree = np.asarray(neighbour.sum(axis=1)).ravel().clip(1)
    laplacian = sparse.identity(count) - sparse.diags(1 / degree) @ neighbour
    plate: sparse.csr_matrix = (laplacian.T @ laplacian).tocsr()
    return plate


def following(laid: F64, skin: Indices, placed: F64, label: I64) -> F64:  # [O, 3]
    """All vertices: the pieces inside the head move as the skin around them does, each as a whole."""
    result = laid.copy()
    result[skin] = placed
    tree = cKDTree(laid[skin])
    loose = np.setdiff1d(np.arange(len(laid)), skin)
    for piece in np.unique(label[loose]):
        rows = np.flatnonzero(label == piece)
        _, near = tree.query(laid[rows], 8)
        result[rows] += (placed - laid[skin])[near].mean(axis=(0, 1))
    return result


def ball_onto(ball: F64, goal: F64) -> F64:
    """An eyeball's vertices, moved and scaled to the middle and the size of another."""
    middle, goal_middle = (points.min(0) / 2 + points.max(0) / 2 for points in (ball, goal))
    sizes = [float(np.median(np.linalg.norm(p - m, axis=1))) for p, m in ((ball, middle), (goal, goal_middle))]
    return np.asarray(goal_middle + (ball - middle) * sizes[1] / max(sizes[0], 1e-9))
