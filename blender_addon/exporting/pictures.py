"""The textures of an exported head, as files whose names every exporter writes the same way.

An untouched texture keeps its bytes; one with unsaved paint, or larger than asked for, is written from its pixels.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import bpy
import numpy as np

from ..scene.folds import take_off_folds
from ..scene.layers import LIT, PAINT, flattened, pixels_of
from ..scene.neck_tone import reduce
from .options import ExportOptions

if TYPE_CHECKING:
    from .stage import Workshop

_PLAIN = re.compile(r"[^A-Za-z0-9_-]+")
_ENDINGS = {b"\x89PNG": ".png", b"\xff\xd8\xff": ".jpg"}


def export_material(workshop: Workshop, original: Any, options: ExportOptions) -> Any:
    """A copy of a material under its name whose images are files."""
    material = workshop.copy(original)
    material.use_backface_culling = options.single_sided or original.use_backface_culling
    tree = material.node_tree
    if tree is not None:
        take_off_folds(tree)  # a file of textures cannot follow the keys
        reduce(tree, vertex_colours=workshop.suffix == ".glb")
    for name in [node.name for node in tree.nodes] if tree is not None else []:
        node = tree.nodes.get(name)  # gone where a paint layer was flattened
        if node is None or node.type != "TEX_IMAGE" or node.image is None or node.label in (PAINT, LIT):
            continue
        if not any(output.is_linked for output in node.outputs):
            tree.nodes.remove(node)  # notes to the artist
            continue
        node.image = _as_file(workshop, node.image, options.texture_size, flattened(tree, node))
    return material


def _as_file(workshop: Workshop, image: Any, limit: int, painted: Any) -> Any:
    """The image of a file with this image's content; itself where it has none."""
    known = workshop.images.get((image.name, painted is not None))
    if known is not None:
        return known
    if painted is None and not image.has_data and image.packed_file is None and not len(image.pixels):
        return image
    stem = _PLAIN.sub("_", image.name if image.name.startswith(workshop.prefix[:-1]) else workshop.prefix + image.name)
    folder, stem = workshop.pictures, stem.strip("_") or "texture"
    too_large = limit and max(image.size) > limit
    data = image.packed_file.data if image.packed_file is not None and not image.is_dirty else b""
    ending = _ENDINGS.get(bytes(data[:4]), _ENDINGS.get(bytes(data[:3]), ""))
    if painted is None and not too_large and ending:
        path = _free(folder / f"{stem}{ending}")
        path.write_bytes(data)
    else:
        path = _free(folder / f"{stem}.png")
        _write_pixels(pixels_of(image) if painted is None else painted, limit, path)
    loaded = workshop.images[image.name, painted is not None] = _loaded(workshop, path, image)
    return loaded


def grey_picture(workshop: Workshop, image: Any, part: str, values: Any) -> Any:
    """The image of a file with `values` [H, W] of one channel, which is called `part`, of the image of a file."""
    known = workshop.images.get((f"{image.name} {part}", False))
    if known is not None:
        return known
    path = _free(workshop.pictures / f"{Path(image.filepath).stem}_{part}.png")
    pixels = np.ones((*values.shape, 4), np.float32)
    pixels[..., :3] = values[..., None]
    _write_pixels(pixels, 0, path)
    loaded = workshop.images[f"{image.name} {part}", False] = _loaded(workshop, path, image)
    return loaded


def _loaded(workshop: Workshop, path: Path, like: Any) -> Any:
    loaded = bpy.data.images.load(str(path), check_existing=False)
    workshop.own(loaded)
    workshop.name(loaded, path.stem, bpy.data.images.get(path.stem))
    loaded.colorspace_settings.name = like.colorspace_settings.name
    loaded.alpha_mode = like.alpha_mode
    return loaded


def _free(path: Path) -> Path:
    """`path`, or one beside it where another image of that plain name lies there already."""
    wanted, number = path, 2
    while path.exists():
        path, number = wanted.with_name(f"{wanted.stem}_{number}{wanted.suffix}"), number + 1
    return path


def _write_pixels(pixels: Any, limit: int, path: Path) -> None:
    height, width = pixels.shape[:2]
    image = bpy.data.images.new(path.stem, width, height, alpha=bool(pixels[..., 3].min() < 1))
    try:
        image.pixels.foreach_set(np.ascontiguousarray(pixels, np.float32).ravel())
        if limit and max(width, height) > limit:
            scale = limit / max(width, height)
            image.scale(max(1, round(width * scale)), max(1, round(height * scale)))
        image.filepath_raw, image.file_format = str(path), "PNG"
        image.save()
    finally:
        bpy.data.images.remove(image)
