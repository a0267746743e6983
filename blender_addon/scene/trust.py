"""Where a head's texture comes from and how surely its shape is known, as attributes of the mesh.

"Trust" is a colour attribute, the mixture of CLASSES in which each vertex's texels came about; "Uncertainty" a number,
one standard deviation of the vertex's position in millimetres, and "Millimetres" the same as a colour of SCALE.
Files of older backends lack them, and so do the meshes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import bpy
import numpy as np
from numpy.typing import NDArray

from ..avatar_reader import AvatarFile, PngImage
from .layers import pixels_of

TRUST, UNCERTAINTY, MILLIMETRES = "Trust", "Uncertainty", "Millimetres"  # names of the attributes


@dataclass(frozen=True)
class TrustClass:
    """Where a colour can come from."""

    title: str
    colour: tuple[float, float, float]  # linear
    icon: str  # of the same colour


CLASSES = (  # in the order of trust.png's channels
    TrustClass("Seen in the photo", (0.13, 0.55, 0.13), "COLLECTION_COLOR_04"),
    TrustClass("Mirrored from the other side", (0.10, 0.35, 0.80), "COLLECTION_COLOR_05"),
    TrustClass("Painted from the skin model", (0.85, 0.27, 0.04), "COLLECTION_COLOR_02"),
    TrustClass("Painted by the network", (0.40, 0.13, 0.65), "COLLECTION_COLOR_06"),
)


@dataclass(frozen=True)
class ScaleStep:
    """A colour of the millimetres; between two of them the logarithm counts."""

    millimetres: float
    colour: tuple[float, float, float]  # linear
    icon: str  # of the same colour


SCALE = (
    ScaleStep(1.0, (0.13, 0.55, 0.13), "COLLECTION_COLOR_04"),
    ScaleStep(3.0, (0.80, 0.62, 0.05), "COLLECTION_COLOR_03"),
    ScaleStep(8.0, (0.85, 0.27, 0.04), "COLLECTION_COLOR_02"),
    ScaleStep(20.0, (0.70, 0.03, 0.04), "COLLECTION_COLOR_01"),
)


def store_trust(avatar: AvatarFile, mesh: Any) -> None:
    """Put the attributes onto a mesh of the avatar, in the place of earlier ones; which colours are active stays."""
    chosen = mesh.color_attributes.active_color_name, mesh.color_attributes.default_color_name
    for name in (TRUST, UNCERTAINTY, MILLIMETRES):
        if name in mesh.attributes:
            mesh.attributes.remove(mesh.attributes[name])
    if avatar.uncertainty is not None:
        told = mesh.attributes.new(UNCERTAINTY, "FLOAT", "POINT")
        millimetres = np.ascontiguousarray(1000 * avatar.uncertainty, np.float32)
        told.data.foreach_set("value", millimetres)
        _store_colours(mesh, MILLIMETRES, colours_of(millimetres))
    if avatar.trust is not None:
        colours = shares_at_vertices(avatar, avatar.trust) @ np.array([kind.colour for kind in CLASSES])
        _store_colours(mesh, TRUST, colours)
    mesh.color_attributes.active_color_name, mesh.color_attributes.default_color_name = chosen


def colours_of(millimetres: NDArray[np.floating]) -> NDArray[np.floating]:  # [V] -> [V, 3] linear
    """The colours of SCALE, the first and the last beyond its ends."""
    at = np.log([step.millimetres for step in SCALE])
    where = np.log(np.maximum(millimetres, 1e-6))
    return np.stack([np.interp(where, at, channel) for channel in np.transpose([s.colour for s in SCALE])], axis=1)


def _store_colours(mesh: Any, name: str, colours: NDArray[np.floating]) -> None:  # [V, 3] linear
    layer = mesh.color_attributes.new(name, "FLOAT_COLOR", "POINT")
    opaque = np.column_stack([colours, np.ones(len(colours))]).astype(np.float32)
    layer.data.foreach_set("color", opaque.ravel())


def shares_at_vertices(avatar: AvatarFile, picture: PngImage) -> NDArray[np.float32]:  # [V, 4] rows sum to 1
    """The shares of CLASSES at each vertex, the mean over its places in the texture."""
    shares = _pixels(picture)
    height, width = shares.shape[:2]
    u, v = avatar.uvs[avatar.uv_faces.ravel()].T
    rows = (v * height).clip(0, height - 1).astype(np.intp)  # Blender's run from the bottom, as v does
    columns = (u * width).clip(0, width - 1).astype(np.intp)
    total = np.zeros((len(avatar.vertices), len(CLASSES)), np.float32)
    np.add.at(total, avatar.faces.ravel(), shares[rows, columns])
    return np.asarray(total / np.maximum(total.sum(axis=1, keepdims=True), 1e-6), np.float32)


def _pixels(picture: PngImage) -> Any:
    image = bpy.data.images.new("MeshLAM trust", 1, 1)
    try:
        image.pack(data=picture.data, data_len=len(picture.data))
        image.source = "FILE"
        pixels = pixels_of(image)
        if not pixels.size:
            raise ValueError("Blender could not decode the image 'trust.png' of the avatar file.")
        return pixels
    finally:
        bpy.data.images.remove(image)


def uncertainty_of(mesh: Any) -> float | None:
    """The median uncertainty of a mesh's vertices in millimetres; None where it is not told."""
    layer = mesh.attributes.get(UNCERTAINTY)
    if layer is None or not len(layer.data):  # in Edit Mode attributes have no data
        return None
    values = np.empty(len(layer.data), np.float32)
    layer.data.foreach_get("value", values)
    return float(np.median(values))
