"""How far a head is from the true one, in millimetres, and how well its outlines agree.

The head is laid onto the truth by its face (a similarity over the landmarks: one photo does not tell how large a head
is), then every point of the true outer surface looks for the nearest point of the head's outer surface.

Frame: avatar frame, metres unless a name says mm. Dims: V vertices, F triangles, L landmarks, P points.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from meshlam_core.avatar.record import Avatar
from meshlam_core.frames import Camera
from meshlam_core.head.lay_over import similarity
from meshlam_core.head.model import HeadModel
from meshlam_core.raster.backends import get_rasteriser
from meshlam_core.raster.project import project
from meshlam_core.tracker.retarget import avatar_rig
from meshlam_core.tracker.rig import landmark_rig
from training.evaluate.known_heads import KnownHead
from training.evaluate.mesh import looks, outer_faces
from training.hairstyles.wrap import surface_points
from training.metrics import overlap

SPACING = 0.002  # m between points on a surface
POINTS = 20000  # of the true surface that are asked
SEEN = 2  # px in some look from which a triangle is on the outside
SIDE = 384  # px of a silhouette
DISTANCE = 1.2  # m from which it is seen
ACROSS = 0.5  # m that it shows
SCALP = ("scalp", "hair")  # parts that are scalp on the skull
YAWS = {"front": 0.0, "side": 90.0, "back": 180.0}  # degrees

F64 = NDArray[np.float64]
Faces = NDArray[np.int32]


@dataclass(frozen=True)
class Millimetres:
    """Distances from points of the true surface to the head's."""

    median: float
    worst: float  # 90 %


@dataclass(frozen=True)
class GeometryScores:
    """One head against its truth. Hair is all hair on the outside; scalp where there is none."""

    face: Millimetres
    ears: Millimetres
    hair: Millimetres
    hair_front: Millimetres  # the half of the hair before the skull's middle
    hair_back: Millimetres
    scalp: Millimetres
    grown: Millimetres  # how far the avatar's scalp lies off its own skull
    silhouettes: dict[str, float]  # intersection over union by YAWS


def compare_geometry(avatar: Avatar, truth: KnownHead, head: HeadModel) -> GeometryScores:
    """Lay the avatar onto the truth and measure."""
    vertices = laid_on(avatar, truth, head)
    outside = avatar.faces[outer_faces(avatar)]
    near = cKDTree(surface_points(vertices, outside.astype(np.int64), SPACING)[0])

    def measured(points: F64) -> Millimetres:
        if not len(points):
            return Millimetres(float("nan"), float("nan"))
        distance = 1000 * near.query(points[:: max(1, len(points) // POINTS)])[0]
        return Millimetres(float(np.median(distance)), float(np.quantile(distance, 0.9)))

    seen = np.max([count for count, _ in looks(truth.vertices, truth.faces)], axis=0) >= SEEN
    skin = np.arange(len(truth.faces)) < len(head.faces)
    part = np.full(len(truth.faces), "", dtype=object)
    part[skin] = np.array(head.parts, dtype=object)[head.part[head.faces]].min(axis=1)

    def of(chosen: NDArray[np.bool_]) -> F64:
        faces = truth.faces[chosen & seen]
        return surface_points(truth.vertices, faces.astype(np.int64), SPACING)[0] if len(faces) else np.zeros((0, 3))

    hair, middle = of(truth.hair), float(np.median(truth.bald[:, 2]))
    return GeometryScores(
        face=measured(of((part == "face") & ~truth.hair)),
        ears=measured(of((part == "ears") & ~truth.hair)),
        hair=measured(hair),
        hair_front=measured(hair[hair[:, 2] > middle]),
        hair_back=measured(hair[hair[:, 2] <= middle]),
        scalp=measured(of((part == "scalp") & ~truth.hair)),
        grown=_grown(avatar),
        silhouettes={
            name: overlap(silhouette(vertices, outside, yaw), silhouette(truth.vertices, truth.faces, yaw))
            for name, yaw in YAWS.items()
        },
    )


def _grown(avatar: Avatar) -> Millimetres:
    if avatar.hair is None:
        return Millimetres(0.0, 0.0)
    scalp = np.isin(avatar.part, [avatar.parts.index(name) for name in SCALP if name in avatar.parts])
    growth = 1000 * np.linalg.norm(avatar.hair, axis=1)[scalp]
    return Millimetres(float(np.median(growth)), float(np.quantile(growth, 0.9)))


def laid_on(avatar: Avatar, truth: KnownHead, head: HeadModel) -> F64:  # [V, 3] m
    """The avatar's vertices in the true head's place."""
    own = avatar_rig(avatar, head).neutral.T
    rig = landmark_rig(head)
    wanted = np.einsum("lk,lkd->ld", rig.bary, truth.bald[rig.corners])
    scale, rotation, shift = similarity(own, wanted)
    return np.asarray(scale * avatar.vertices.astype(np.float64) @ rotation.T + shift)


def silhouette(
    vertices: F64,  # [V, 3] m
    faces: Faces,  # [F, 3]
    yaw: float,  # degrees
) -> NDArray[np.bool_]:  # [SIDE, SIDE]
    """The head's outline as a mask, seen from one side."""
    turn = np.radians(yaw)
    rotation = np.array([[np.cos(turn), 0, np.sin(turn)], [0, 1, 0], [-np.sin(turn), 0, np.cos(turn)]])
    placed = (vertices - [0, 0.08, 0.03]) @ rotation.T - [0, 0, DISTANCE]
    camera = Camera(SIDE * DISTANCE / ACROSS, (SIDE / 2, SIDE / 2), (SIDE, SIDE))
    points = project(torch.from_numpy(placed)[None].float(), camera)
    fragments = get_rasteriser().rasterise(points, torch.from_numpy(np.array(faces)), (SIDE, SIDE))
    return np.asarray(fragments.mask[0].numpy())
