"""The rules of the avatar file: every array and image, its shape, type and meaning, and the validator.

Frames and units: frames.py. Dims: V vertices, F triangles, U texture vertices, K blendshapes, J joints.
AVATAR_FORMAT.md says the same in words.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, NoReturn

import numpy as np
from numpy.typing import NDArray

from meshlam_core.avatar.record import FOLD_STEP, Avatar, Fold, Glasses, Strands
from meshlam_core.errors import BadAvatar

FORMAT = "meshlam-avatar"
VERSION = 1
HINT = "Make the avatar again with `meshlam reconstruct`."

_WEIGHT_SUM_TOLERANCE = 1e-3


@dataclass(frozen=True)
class ArraySpec:
    """One `.npy` member."""

    name: str
    dims: tuple[str | int, ...]  # a letter is a dimension shared between arrays
    dtype: str  # numpy's code with byte order
    units: str
    meaning: str
    optional: bool = False


@dataclass(frozen=True)
class ImageSpec:
    """One PNG member."""

    name: str
    mode: str  # RGB, L or RGBA
    meaning: str
    optional: bool = False

    @property
    def file(self) -> str:
        return f"{self.name}.png"


ARRAYS: tuple[ArraySpec, ...] = (
    ArraySpec("vertices", ("V", 3), "<f4", "m", "neutral head, avatar frame"),
    ArraySpec("faces", ("F", 3), "<i4", "index of vertices", "triangles, counter-clockwise from outside"),
    ArraySpec("uvs", ("U", 2), "<f4", "1", "texture coordinates, (0, 0) bottom left"),
    ArraySpec("uv_faces", ("F", 3), "<i4", "index of uvs", "the triangles in texture space"),
    ArraySpec("part", ("V",), "|u1", "index of parts", "part of the head each vertex belongs to"),
    ArraySpec("joints", ("J", 3), "<f4", "m", "rest centres of the joints"),
    ArraySpec("weights", ("V", "J"), "<f4", "1", "skinning weights, rows sum to 1"),
    ArraySpec("blendshapes", ("K", "V", 3), "<f4", "m", "displacement at coefficient 1"),
    ArraySpec("photo_focal", (1,), "<f4", "px", "focal length of the photo's camera"),
    ArraySpec("photo_centre", (2,), "<f4", "px", "principal point (x, y)"),
    ArraySpec("photo_size", (2,), "<i4", "px", "width and height of the upright photo"),
    ArraySpec("photo_rotations", ("J", 3), "<f4", "rad", "pose in the photo, axis-angle of each joint"),
    ArraySpec("photo_translation", (3,), "<f4", "m", "added after skinning, view frame"),
    ArraySpec("photo_expression", ("K",), "<f4", "1", "blendshape coefficients in the photo"),
    ArraySpec("photo_crop", (4,), "<f4", "px", "(x0, y0, x1, y1) of photo.png inside the photo"),
    ArraySpec(
        "pose_correctives", (36, "V", 3), "<f4", "m", "displacement per element of (R - I) of joints 1-4", optional=True
    ),
    ArraySpec("hair", ("V", 3), "<f4", "m", "the hair's share: vertices - hair is the bald head", optional=True),
    ArraySpec("uncertainty", ("V",), "<f4", "m", "one standard deviation of each vertex's position", optional=True),
    ArraySpec("raw_shapes", ("R", "V", 3), "<f4", "m", "the head model's own directions, at 1", optional=True),
    ArraySpec(
        "key_parameters", ("K", "P"), "<f4", "1", "the head model's parameters of each blendshape", optional=True
    ),
    ArraySpec("identity", ("N",), "<f4", "1", "the head model's identity coefficients", optional=True),
    ArraySpec(
        "light", (9, 3), "<f4", "1", "spherical harmonics of the photo's irradiance, avatar frame", optional=True
    ),
    ArraySpec("glasses_vertices", ("G", 3), "<f4", "m", "a frame that the head wears, avatar frame", optional=True),
    ArraySpec(
        "glasses_faces", ("T", 3), "<i4", "index of glasses_vertices", "its triangles, as the head's", optional=True
    ),
    ArraySpec("strand_vertices", ("S", 3), "<f4", "m", "strands of hair over the hull, avatar frame", optional=True),
    ArraySpec("strand_faces", ("W", 3), "<i4", "index of strand_vertices", "their triangles", optional=True),
    ArraySpec("strand_uvs", ("S", 2), "<f4", "1", "their texture coordinates on the head's textures", optional=True),
    ArraySpec("strand_anchor", ("S",), "<i4", "index of faces", "the triangle each vertex goes with", optional=True),
    ArraySpec("strand_bary", ("S", 3), "<f4", "1", "where on it, rows sum to 1", optional=True),
)
IMAGES: tuple[ImageSpec, ...] = (
    ImageSpec("albedo", "RGB", "the texture"),
    ImageSpec("albedo_seen", "L", "255 where a texel was seen in the photo, 0 where it was filled"),
    ImageSpec("photo", "RGB", "the crop of the photo that was used"),
    ImageSpec("thumbnail", "RGBA", "a preview"),
    ImageSpec("albedo_photo", "RGB", "the texture with the photo's light, where albedo is without it", optional=True),
    ImageSpec("outline", "RGBA", "the head's outline as the photo has it, for views like the photo's", optional=True),
    ImageSpec(
        "trust",
        "RGBA",
        "where each texel comes from: shares of seen, mirrored, model, network; together 255",
        optional=True,
    ),
    ImageSpec("normal", "RGB", "fine normals in tangent space, 128 + 127 n, +Y along v", optional=True),
    ImageSpec("orm", "RGB", "ambient occlusion, roughness, metallic, linear", optional=True),
)
FOLD_NAME = re.compile(r"[a-z][a-z_]{0,30}")  # becomes a part of a file's name
FOLD_MEANING = "what the keys add to the textures: (value - 128) x step is the logarithm of a factor on linear colours"
NAME_LISTS = ("parts", "joint_names", "joint_parents", "blendshape_names", "blendshape_ranges", "blendshape_kind")
OPTIONAL_NAMES = {"raw_names": "raw_shapes", "parameter_names": "key_parameters"}  # lists that are there with an array
KINDS = ("arkit", "flame")
STRAND_ARRAYS = tuple(field.name for field in fields(Strands))
THUMBNAIL_SIZE = 256


def avatar_arrays(avatar: Avatar) -> dict[str, NDArray[Any]]:
    """Every array of the file by name, exactly as the avatar holds it (scalars become arrays of one)."""
    photo = avatar.photo
    values: dict[str, Any] = {
        spec.name: getattr(avatar, spec.name)
        for spec in ARRAYS
        if not spec.name.startswith(("photo_", "glasses_", "strand_"))
    }
    values |= {
        "photo_focal": np.array([photo.focal], np.float32),
        "photo_centre": photo.centre,
        "photo_size": photo.size,
        "photo_rotations": photo.rotations,
        "photo_translation": photo.translation,
        "photo_expression": photo.expression,
        "photo_crop": photo.crop,
    }
    if avatar.glasses is not None:
        values |= {"glasses_vertices": avatar.glasses.vertices, "glasses_faces": avatar.glasses.faces}
    if avatar.strands is not None:
        values |= {f"strand_{name}": getattr(avatar.strands, name) for name in STRAND_ARRAYS}
    return {name: np.asarray(value) for name, value in values.items() if value is not None}


def avatar_images(avatar: Avatar) -> dict[str, NDArray[np.uint8]]:
    """Every image of the file by name."""
    images = {
        "albedo": avatar.albedo,
        "albedo_seen": avatar.albedo_seen,
        "photo": avatar.photo_image,
        "thumbnail": avatar.thumbnail,
        "albedo_photo": avatar.albedo_photo,
        "outline": avatar.outline,
        "trust": avatar.trust,
        "normal": avatar.normal,
        "orm": avatar.orm,
    }
    present = {name: image for name, image in images.items() if image is not None}
    return present | {fold_spec(fold.name).name: fold.picture for fold in avatar.folds}


def fold_spec(name: str) -> ImageSpec:
    """The PNG member of a fold."""
    return ImageSpec(f"wrinkle_{name}", "RGB", FOLD_MEANING)


def describe_fold(fold: Fold) -> dict[str, Any]:
    """What avatar.json says of a fold."""
    return {"name": fold.name, "keys": list(fold.keys), "at": fold.at, "step": FOLD_STEP}


def describe_glasses(glasses: Glasses) -> dict[str, Any]:
    """What avatar.json says of the glasses."""
    return {"joint": glasses.joint, "colour": np.round(np.asarray(glasses.colour, np.float64), 4).tolist()}


def validate(avatar: Avatar, source: str = "avatar") -> None:
    """Raise BadAvatar, naming `source`, unless the avatar follows AVATAR_FORMAT.md."""
    arrays = avatar_arrays(avatar)
    check_shapes({name: (array.shape, array.dtype) for name, array in arrays.items()}, source)
    _check_numbers(arrays, source)
    if avatar.uncertainty is not None and avatar.uncertainty.min() < 0:
        refuse(source, "uncertainty", "no negative length", f"{avatar.uncertainty.min():.4g}")
    _check_names(avatar, source)
    _check_indices(avatar, source)
    _check_photo(avatar, source)
    _check_folds(avatar, source)
    _check_glasses(avatar, source)
    _check_strands(avatar, source)
    _check_images(avatar, source)


def check_shapes(
    found: Mapping[str, tuple[tuple[int, ...], np.dtype[Any]]],  # shape and type by array name
    source: str,
) -> None:
    """Every required array is there with its type, and all agree on V, F, U, K and J."""
    sizes: dict[str, int] = {}
    for spec in ARRAYS:
        if spec.name not in found:
            if spec.optional:
                continue
            refuse(source, spec.name, "this array", "none")
        shape, dtype = found[spec.name]
        if dtype.str != spec.dtype:
            refuse(source, spec.name, f"dtype {spec.dtype}", dtype.str)
        expected = tuple(sizes.get(dim, dim) if isinstance(dim, str) else dim for dim in spec.dims)
        agree = len(shape) == len(expected) and all(
            want == got or (isinstance(want, str) and got > 0) for want, got in zip(expected, shape, strict=True)
        )
        if not agree:
            letters = " ".join(map(str, spec.dims))
            values = " ".join(map(str, expected))
            wanted = f"shape [{letters}]" if letters == values else f"shape [{letters}] = [{values}]"
            refuse(source, spec.name, wanted, f"[{' '.join(map(str, shape))}]")
        sizes |= {dim: got for dim, got in zip(spec.dims, shape, strict=True) if isinstance(dim, str)}
    if "pose_correctives" in found and sizes["J"] != 5:
        refuse(source, "pose_correctives", "5 joints, whose rotations drive them", str(sizes["J"]))


def refuse(source: str, thing: str, expected: str, found: str) -> NoReturn:
    """Raise the one sentence every refusal consists of."""
    raise BadAvatar(f"{source}: {thing}: expected {expected}, found {found}.", HINT)


def _check_numbers(arrays: Mapping[str, NDArray[Any]], source: str) -> None:
    for name, array in arrays.items():
        if array.dtype.kind == "f" and not np.isfinite(array).all():
            where = np.argwhere(~np.isfinite(array))
            place = ", ".join(map(str, where[0]))
            refuse(source, name, "finite numbers", f"{array[tuple(where[0])]} at [{place}] ({len(where)} in all)")


def _check_names(avatar: Avatar, source: str) -> None:
    counts = {
        "joint_names": (avatar.joint_names, len(avatar.joints)),
        "joint_parents": (avatar.joint_parents, len(avatar.joints)),
        "blendshape_names": (avatar.blendshape_names, len(avatar.blendshapes)),
        "raw_names": (avatar.raw_names, 0 if avatar.raw_shapes is None else len(avatar.raw_shapes)),
        "parameter_names": (
            avatar.parameter_names,
            0 if avatar.key_parameters is None else avatar.key_parameters.shape[1],
        ),
    }
    for key, (values, count) in counts.items():
        if len(values) != count:
            refuse(source, key, f"{count} entries, one for each of the arrays' rows", str(len(values)))
    for key in ("parts", "joint_names", "blendshape_names", *OPTIONAL_NAMES):
        names: tuple[str, ...] = getattr(avatar, key)
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            refuse(source, key, "different names", f"{twice[0]!r} more than once")
    if avatar.blendshape_kind not in KINDS:
        refuse(source, "blendshape_kind", " or ".join(KINDS), repr(avatar.blendshape_kind))
    ranges = np.asarray(avatar.blendshape_ranges, np.float64)
    if ranges.shape != (len(avatar.blendshapes), 2):
        refuse(source, "blendshape_ranges", f"shape [{len(avatar.blendshapes)} 2]", str(list(ranges.shape)))
    if not np.isfinite(ranges).all() or (ranges[:, 0] >= ranges[:, 1]).any():
        refuse(source, "blendshape_ranges", "finite pairs [minimum, maximum], minimum < maximum", "others")


def _check_indices(avatar: Avatar, source: str) -> None:
    limits: dict[str, tuple[NDArray[Any], int]] = {
        "faces": (avatar.faces, len(avatar.vertices)),
        "uv_faces": (avatar.uv_faces, len(avatar.uvs)),
        "part": (avatar.part, len(avatar.parts)),
    }
    for name, (indices, limit) in limits.items():
        _check_range(name, indices, limit, source)
    for joint, parent in enumerate(avatar.joint_parents):
        if (parent != -1) if joint == 0 else not 0 <= parent < joint:
            wanted = "-1 for the first joint" if joint == 0 else f"a joint before joint {joint}"
            refuse(source, "joint_parents", wanted, str(parent))
    _check_shares("weights", avatar.weights, "weight", source)


def _check_photo(avatar: Avatar, source: str) -> None:
    photo = avatar.photo
    if not photo.focal > 0:
        refuse(source, "photo_focal", "a focal length above 0", f"{photo.focal:g}")
    if int(photo.size.min()) < 1:
        refuse(source, "photo_size", "width and height of at least 1", str(photo.size.tolist()))
    x0, y0, x1, y1 = (float(value) for value in photo.crop)
    if not (x0 < x1 and y0 < y1):
        refuse(source, "photo_crop", "x0 < x1 and y0 < y1", str(photo.crop.tolist()))


def _check_folds(avatar: Avatar, source: str) -> None:
    names = [fold.name for fold in avatar.folds]
    for fold in avatar.folds:
        if not FOLD_NAME.fullmatch(fold.name) or names.count(fold.name) > 1:
            refuse(source, "wrinkles", "different names of small letters", repr(fold.name))
        unknown = [key for key in fold.keys if key not in avatar.blendshape_names]
        if unknown or not fold.keys:
            refuse(
                source, f"wrinkles, {fold.name}", "keys that the avatar has", repr(unknown[0]) if unknown else "none"
            )
        if not (np.isfinite(fold.at) and fold.at > 0):
            refuse(source, f"wrinkles, {fold.name}", "a coefficient above 0", f"{fold.at:g}")


def _check_glasses(avatar: Avatar, source: str) -> None:
    glasses = avatar.glasses
    if glasses is None:
        return
    _check_range("glasses_faces", glasses.faces, len(glasses.vertices), source)
    if glasses.joint not in avatar.joint_names:
        refuse(source, "glasses, joint", "a joint of the avatar", repr(glasses.joint))
    colour = np.asarray(glasses.colour)
    if colour.shape != (3,) or not (np.isfinite(colour).all() and colour.min() >= 0 and colour.max() <= 1):
        refuse(source, "glasses, colour", "three numbers from 0 to 1", str(colour.tolist()))


def _check_strands(avatar: Avatar, source: str) -> None:
    strands = avatar.strands
    if strands is None:
        return
    _check_range("strand_faces", strands.faces, len(strands.vertices), source)
    _check_range("strand_anchor", strands.anchor, len(avatar.faces), source)
    _check_shares("strand_bary", strands.bary, "coordinate", source)


def _check_range(name: str, indices: NDArray[Any], limit: int, source: str) -> None:
    """Indices of something that there are `limit` of."""
    low, high = int(indices.min()), int(indices.max())
    if low < 0 or high >= limit:
        refuse(source, name, f"indices from 0 to {limit - 1}", str(low if low < 0 else high))


def _check_shares(name: str, rows: NDArray[Any], share: str, source: str) -> None:
    """What is shared out over each vertex's row."""
    sums = rows.sum(axis=1)
    worst = int(np.abs(sums - 1).argmax())
    if rows.min() < 0 or abs(sums[worst] - 1) > _WEIGHT_SUM_TOLERANCE:
        found = f"a row (vertex {worst}) of sum {sums[worst]:.4g}" if rows.min() >= 0 else f"negative {share}s"
        refuse(source, name, f"no negative {share} and rows that sum to 1", found)


def _check_images(avatar: Avatar, source: str) -> None:
    modes = {"L": 0, "RGB": 3, "RGBA": 4}
    images = avatar_images(avatar)
    for spec in (*IMAGES, *(fold_spec(fold.name) for fold in avatar.folds)):
        if spec.optional and spec.name not in images:
            continue
        image = images[spec.name]
        channels = modes[spec.mode]
        fits = image.ndim == (3 if channels else 2) and image.size > 0 and (not channels or image.shape[2] == channels)
        if image.dtype != np.uint8 or not fits:
            wanted = f"8-bit {spec.mode} ([H W{f' {channels}' if channels else ''}] uint8)"
            refuse(source, spec.file, wanted, f"{list(image.shape)} {image.dtype}")
    for name in ("albedo_seen", "albedo_photo", "trust"):
        if name in images and images[name].shape[:2] != avatar.albedo.shape[:2]:
            wanted = f"the size of albedo.png {list(avatar.albedo.shape[:2])}"
            refuse(source, f"{name}.png", wanted, str(list(images[name].shape[:2])))
    if avatar.trust is not None:
        wrong = np.argwhere(avatar.trust.sum(axis=2, dtype=np.int32) != 255)
        if len(wrong):
            row, column = wrong[0].tolist()
            found = f"{avatar.trust[row, column].sum(dtype=np.int32)} at [{row}, {column}] ({len(wrong)} in all)"
            refuse(source, "trust.png", "four shares that sum to 255", found)
    if avatar.thumbnail.shape[:2] != (THUMBNAIL_SIZE, THUMBNAIL_SIZE):
        refuse(source, "thumbnail.png", f"{THUMBNAIL_SIZE} x {THUMBNAIL_SIZE}", str(list(avatar.thumbnail.shape[:2])))
