"""The open head's own texture layout: one island for the skin with its seam down the back, the rest below it.

UV: (0, 0) bottom left. Dims: V head vertices, F triangles, U texture vertices.

The face is wanted larger than the scalp and the neck: each region has a scale, smoothed over the mesh, and the
flattening keeps angles and those scales as well as it can. Left and right mirror each other exactly.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from meshlam_core.head.builder.assemble import Assembly
from meshlam_core.head.builder.crop import border_loops
from meshlam_core.head.builder.density import neighbour_mean
from meshlam_core.head.builder.eyes import MERIDIANS, RINGS
from meshlam_core.head.builder.islands import Island, split_islands
from meshlam_core.head.builder.parts import PARTS
from meshlam_core.head.builder.source import F64, I64
from meshlam_core.head.builder.unwrap import Flattener, border_circle, fill_holes, reference_inverse, tutte

MARGIN = 6 / 1024  # between islands and to the border, in units of the texture
SKIN_SCALE = {"face": 1.0, "lips": 1.15, "eyelids": 1.15, "ears": 0.5, "scalp": 0.43, "neck": 0.26}
SMOOTHING = 8  # rounds of averaging the logarithm of the scale over neighbours
FILL_WEIGHT = 0.05  # of the fans that close the mouth and eye openings while flattening
EYE_LINEAR = 62.0  # degrees: up to here the eyeball's island shows it undistorted
EYE_SQUEEZE = 0.22  # radial scale beyond that
# width of each small island in the strip below the skin, in units of the texture
STRIP = {
    "mouth": 0.11, "tongue": 0.10, "teeth_upper": 0.15, "teeth_lower": 0.15, "eye_socket": 0.03,
    "lash_upper": 0.09, "lash_lower": 0.06,
}  # fmt: skip
EYE_WIDTH = 0.18


@dataclass(frozen=True)
class Layout:
    """Texture vertices and triangles."""

    uvs: F64  # [U, 2]
    uv_faces: I64  # [F, 3]
    face_share: float  # of the texels inside UV triangles, those of the part "face"


def texture_layout(assembly: Assembly) -> Layout:
    """Flatten every island, mirror the right ones, pack, number the texture vertices."""
    islands = split_islands(assembly)
    flat: list[F64] = []
    for i, island in enumerate(islands):
        if island.mirrors_previous:
            flat.append(mirrored(flat[-1], islands[i - 1], island, assembly))
        elif island.name.startswith("eyeball"):
            flat.append(eyeball_disc())
        elif island.name.startswith("lash"):
            flat.append(comb(island))
        else:
            flat.append(flatten(island, assembly))
    return number(islands, pack(islands, flat), assembly)


def pack(islands: list[Island], flat: list[F64]) -> list[F64]:  # [U, 2] each, inside the unit square
    """The skin fills the width at the top, the small islands a strip at the bottom, the eyeballs the corners between.

    As everywhere, the subject's left is on the right.
    """
    skin = flat[0] - flat[0].min(axis=0)
    skin *= (1 - 2 * MARGIN) / skin[:, 0].max()
    skin += [MARGIN, 1 - MARGIN - skin[:, 1].max()]
    placed = {0: skin}
    x, row = MARGIN, 0.0
    for i, (island, uv) in enumerate(zip(islands, flat, strict=True)):
        kind = island.name.removesuffix("_left").removesuffix("_right")
        if kind in STRIP:
            uv = uv - uv.min(axis=0)
            uv *= STRIP[kind] / uv[:, 0].max()
            placed[i] = uv + np.array([x, MARGIN])
            x, row = x + uv[:, 0].max() + MARGIN, max(row, float(uv[:, 1].max()))
    for i, (island, uv) in enumerate(zip(islands, flat, strict=True)):
        if island.name.startswith("eyeball"):
            uv = (uv - uv.min(axis=0)) * EYE_WIDTH / np.ptp(uv[:, 0])
            left = 1 - MARGIN - EYE_WIDTH if island.name == "eyeball_left" else MARGIN
            placed[i] = uv + np.array([left, row + 2 * MARGIN])
    return [placed[i] for i in range(len(islands))]


def number(islands: list[Island], placed: list[F64], assembly: Assembly) -> Layout:
    """One list of texture vertices for all islands."""
    uv_faces = np.full_like(assembly.faces, -1)
    start = 0
    for island, uv in zip(islands, placed, strict=True):
        uv_faces[island.triangles] = island.faces + start
        start += len(uv)
    uvs = np.concatenate(placed)
    e1, e2 = uvs[uv_faces[:, 1]] - uvs[uv_faces[:, 0]], uvs[uv_faces[:, 2]] - uvs[uv_faces[:, 0]]
    area = e1[:, 0] * e2[:, 1] - e1[:, 1] * e2[:, 0]
    on_face = (assembly.part[assembly.faces] == PARTS.index("face")).sum(axis=1) >= 2
    return Layout(uvs, uv_faces, float(area[on_face].sum() / area.sum()))


def flatten(island: Island, assembly: Assembly) -> F64:  # [U, 2]
    """Tutte's embedding, then the least distortion with the wanted scales; symmetric and upright."""
    vertices = assembly.template[island.vertex]
    loops = border_loops(island.faces)
    outer = np.array(max(loops, key=lambda loop: np.linalg.norm(np.ptp(vertices[loop], axis=0))))
    fans, holes = fill_holes(island.faces, len(vertices), int(outer[0]))
    faces = np.concatenate([island.faces, fans])
    points = np.concatenate([vertices, *[vertices[hole].mean(axis=0, keepdims=True) for hole in holes]])
    top = int(np.argmax(vertices[outer, 1] - 1e-3 * np.abs(vertices[outer, 0])))
    uv = tutte(faces, len(points), outer, border_circle(vertices, outer, top))

    scale = wanted_scale(island, assembly)
    of_faces = np.concatenate([scale[island.faces].mean(axis=1), np.full(len(fans), scale.mean())])
    inverse, area = reference_inverse(points[faces], of_faces)
    area[len(island.faces) :] *= FILL_WEIGHT
    uv = uv * np.sqrt(area.sum() / np.pi)
    uv = Flattener(faces, inverse, area, len(points)).solve(uv)[: len(vertices)]
    return symmetric(uv, island, vertices)


def wanted_scale(island: Island, assembly: Assembly) -> F64:  # [U] UV length per length
    """Scale of each region, smoothed over the mesh so that it changes gently."""
    if island.name != "skin":
        return np.ones(len(island.vertex))
    names = np.array(PARTS)[assembly.part[island.vertex]]
    logs = np.log([SKIN_SCALE.get(name, 0.5) for name in names])
    mean = neighbour_mean(island.faces, len(island.vertex))
    for _ in range(SMOOTHING):
        logs = (logs + mean @ logs) / 2
    return np.asarray(np.exp(logs))


def symmetric(uv: F64, island: Island, vertices: F64) -> F64:
    """Upright, centred on u = 0; a self-mirrored island becomes exactly symmetric."""
    uv = uv - uv.mean(axis=0)
    if (island.twin < 0).any():
        return uv
    # turn the layout until mirrored pairs lie level, the subject's left on the right
    across = uv - uv[island.twin]
    side = across[vertices[:, 0] > 0].sum(axis=0)
    cosine, sine = side / np.linalg.norm(side)
    uv = uv @ np.array([[cosine, -sine], [sine, cosine]])
    return np.asarray((uv + uv[island.twin] * [-1, 1]) / 2)


def comb(island: Island) -> F64:  # [U, 2]
    """Hairs side by side, tips up."""
    place = np.arange(len(island.faces))[:, None] + np.array([0.05, 0.95, 0.5])
    uv = np.zeros((len(island.vertex), 2))
    uv[island.faces, 0] = place
    uv[island.faces[:, 2], 1] = 0.3 * len(island.faces)
    return uv


def eyeball_disc() -> F64:  # [U, 2]
    """Azimuthal: distance from the middle is the angle from the pupil, squeezed where only the socket sees it."""
    polar = np.radians(np.concatenate([[0.0], np.repeat(RINGS, MERIDIANS)]))
    around = np.concatenate([[0.0], np.tile(np.arange(MERIDIANS) * 2 * np.pi / MERIDIANS, len(RINGS))])
    linear = np.radians(EYE_LINEAR)
    radius = np.minimum(polar, linear) + EYE_SQUEEZE * (polar - linear).clip(0)
    disc = np.stack([radius * np.cos(around), radius * np.sin(around)], axis=1)
    outside = linear + EYE_SQUEEZE * (np.pi - linear)
    spread = (np.arange(MERIDIANS) + 0.5) * 2 * np.pi / MERIDIANS
    back = outside * np.stack([np.cos(spread), np.sin(spread)], axis=1)
    return np.concatenate([disc, back])


def mirrored(uv: F64, left: Island, right: Island, assembly: Assembly) -> F64:
    """The left island's layout with u flipped, for the right one."""
    place = {int(assembly.mirror[v]): i for i, v in enumerate(left.vertex)}
    return uv[[place[int(v)] for v in right.vertex]] * [-1, 1]
