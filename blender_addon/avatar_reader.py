"""Reads .meshlam avatar files with numpy, zipfile and json alone. The format: meshlam_core/avatar/AVATAR_FORMAT.md.

This is the add-on's own reader: the add-on shares no code with the reconstructor, only the file.
Images stay as PNG bytes; Blender decodes them. Frames and units are the file's (avatar frame, metres).
Dims: V vertices, F triangles, U texture vertices, K blendshapes, J joints.
"""

from __future__ import annotations

import io
import json
import struct
import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

F32 = NDArray[np.float32]
I32 = NDArray[np.int32]
U8 = NDArray[np.uint8]

FORMAT = "meshlam-avatar"
VERSION = 1
MAX_UNPACKED = 1 << 30  # bytes, decoded images included

# name -> (dtype, dimensions: a letter stands for a length that must agree everywhere)
ARRAYS: dict[str, tuple[str, tuple[str | int, ...]]] = {
    "vertices": ("<f4", ("V", 3)),
    "faces": ("<i4", ("F", 3)),
    "uvs": ("<f4", ("U", 2)),
    "uv_faces": ("<i4", ("F", 3)),
    "part": ("|u1", ("V",)),
    "joints": ("<f4", ("J", 3)),
    "weights": ("<f4", ("V", "J")),
    "blendshapes": ("<f4", ("K", "V", 3)),
    "pose_correctives": ("<f4", (36, "V", 3)),
    "raw_shapes": ("<f4", ("R", "V", 3)),
    "key_parameters": ("<f4", ("K", "P")),
    "identity": ("<f4", ("N",)),
    "photo_focal": ("<f4", (1,)),
    "photo_centre": ("<f4", (2,)),
    "photo_size": ("<i4", (2,)),
    "photo_rotations": ("<f4", ("J", 3)),
    "photo_translation": ("<f4", (3,)),
    "photo_expression": ("<f4", ("K",)),
    "photo_crop": ("<f4", (4,)),
    "hair": ("<f4", ("V", 3)),
    "light": ("<f4", (9, 3)),
    "uncertainty": ("<f4", ("V",)),
    "glasses_vertices": ("<f4", ("G", 3)),
    "glasses_faces": ("<i4", ("T", 3)),
    "strand_vertices": ("<f4", ("S", 3)),
    "strand_faces": ("<i4", ("W", 3)),
    "strand_uvs": ("<f4", ("S", 2)),
    "strand_anchor": ("<i4", ("S",)),
    "strand_bary": ("<f4", ("S", 3)),
}
IMAGE_CHANNELS = {
    "albedo": 3,
    "albedo_seen": 1,
    "photo": 3,
    "thumbnail": 4,
    "normal": 3,
    "orm": 3,
    "albedo_photo": 3,
    "outline": 4,
    "trust": 4,
}
WRINKLE_CHANNELS = 3
OPTIONAL = frozenset(
    {
        "pose_correctives",
        "raw_shapes",
        "key_parameters",
        "identity",
        "hair",
        "light",
        "uncertainty",
        "glasses_vertices",
        "glasses_faces",
        *(name for name in ARRAYS if name.startswith("strand_")),
        "normal",
        "orm",
        "albedo_photo",
        "outline",
        "trust",
    }
)
_CHANNELS_OF_PNG_COLOUR = {0: 1, 2: 3, 3: 3, 4: 2, 6: 4}


class AvatarFileError(ValueError):
    """The file cannot be used; the message is one sentence for the user."""


@dataclass(frozen=True)
class PngImage:
    """A PNG, still packed."""

    data: bytes
    width: int
    height: int


@dataclass(frozen=True)
class Fold:
    """What some keys do to the textures: factors on linear colours, as logarithms."""

    name: str
    keys: tuple[str, ...]  # blendshapes whose mean drives it
    at: float  # the mean at which the picture holds
    step: float  # of the logarithm, a step of the picture; 128 is no change
    picture: PngImage


@dataclass(frozen=True)
class Glasses:
    """A frame that the head wears."""

    vertices: F32  # [G, 3]
    faces: I32  # [T, 3]
    colour: tuple[float, float, float]  # sRGB 0..1
    joint: str  # the one that it moves with


@dataclass(frozen=True)
class Strands:
    """Loose hair over the hull: narrow ribbons, seen from both sides."""

    vertices: F32  # [S, 3] m, over the neutral head
    faces: I32  # [W, 3]
    uvs: F32  # [S, 2] on the head's textures
    anchor: I32  # [S] the triangle of the head that each vertex goes with
    bary: F32  # [S, 3] where on it


@dataclass(frozen=True)
class AvatarFile:
    """What an avatar file holds. Field meanings and frames: AVATAR_FORMAT.md."""

    path: Path
    vertices: F32  # [V, 3]
    faces: I32  # [F, 3]
    uvs: F32  # [U, 2]
    uv_faces: I32  # [F, 3]
    part: U8  # [V]
    parts: tuple[str, ...]
    joints: F32  # [J, 3]
    joint_names: tuple[str, ...]
    joint_parents: tuple[int, ...]
    weights: F32  # [V, J]
    blendshapes: F32  # [K, V, 3]
    blendshape_names: tuple[str, ...]
    blendshape_ranges: F32  # [K, 2]
    blendshape_kind: str
    pose_correctives: F32 | None  # [36, V, 3]
    hair: F32 | None  # [V, 3] m, the hull's displacement: vertices - hair is the bald head
    light: F32 | None  # [9, 3] spherical harmonics of the photo's light
    uncertainty: F32 | None  # [V] m, one standard deviation of each vertex's position
    raw_shapes: F32 | None  # [R, V, 3] the head model's own directions
    raw_names: tuple[str, ...]  # [R]
    key_parameters: F32 | None  # [K, P] the head model's parameters of each blendshape
    parameter_names: tuple[str, ...]  # [P]
    identity: F32 | None  # [N] the head model's identity coefficients
    photo_focal: float  # px of the upright photo
    photo_centre: F32  # [2] px
    photo_size: I32  # [2] px
    photo_rotations: F32  # [J, 3] axis-angle, rad
    photo_translation: F32  # [3] m, view frame
    photo_expression: F32  # [K]
    photo_crop: F32  # [4] px
    albedo: PngImage
    albedo_seen: PngImage
    photo: PngImage
    thumbnail: PngImage
    normal: PngImage | None  # tangent space, +Y up
    orm: PngImage | None  # occlusion, roughness, metallic
    albedo_photo: PngImage | None  # the texture with the photo's light, where the albedo is without it
    outline: PngImage | None  # the head's outline in the photo, for views like the photo's
    trust: PngImage | None  # shares of seen, mirrored, model, network
    folds: tuple[Fold, ...]  # what expressions add to the textures
    glasses: Glasses | None
    strands: Strands | None
    provenance: dict[str, Any]


def read_avatar(path: str | Path) -> AvatarFile:
    """Read and check an avatar file, or raise AvatarFileError with one sentence that says what is wrong."""
    path = Path(path)
    try:
        with path.open("rb") as stream:
            archive = _Archive(path.name, stream)
            return _avatar_from_archive(path, archive)
    except AvatarFileError:
        raise
    except OSError as error:
        raise AvatarFileError(f"{path.name} cannot be read: {error.strerror or error}.") from error
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError, struct.error) as error:
        raise AvatarFileError(f"{path.name} is not an avatar file or is damaged ({error}).") from error


class _Archive:
    """A zip archive read with a budget, so that a small file cannot unpack to more than MAX_UNPACKED bytes."""

    def __init__(self, name: str, stream: BinaryIO) -> None:
        self.name = name
        self._zip = zipfile.ZipFile(stream)
        self._budget = MAX_UNPACKED
        seen: set[str] = set()
        for info in self._zip.infolist():
            member = info.filename
            if info.flag_bits & 1:
                raise self.error(f"{member!r} is encrypted")
            if member.startswith("/") or "\\" in member or ":" in member or ".." in member.split("/"):
                raise self.error(f"the member name {member!r} leads out of the archive")
            if member in seen:
                raise self.error(f"{member!r} occurs twice")
            seen.add(member)
        if sum(info.file_size for info in self._zip.infolist()) > MAX_UNPACKED:
            raise self.error("it would unpack to more than 1 GiB")

    def error(self, what: str) -> AvatarFileError:
        return AvatarFileError(f"{self.name} cannot be used as an avatar: {what}.")

    def spend(self, size: int) -> None:
        self._budget -= size
        if self._budget < 0:
            raise self.error("it would unpack to more than 1 GiB")

    def read(self, member: str) -> bytes:
        try:
            stream = self._zip.open(member)
        except KeyError:
            raise self.error(f"{member!r} is missing") from None
        with stream:
            data = stream.read(self._budget + 1)
        self.spend(len(data))
        return data


def _avatar_from_archive(path: Path, archive: _Archive) -> AvatarFile:
    header = _header(archive)
    sizes: dict[str, int] = {}
    arrays: dict[str, Any] = {name: _array(archive, header, name, sizes) for name in ARRAYS}
    images: dict[str, Any] = {name: _image(archive, header, name) for name in IMAGE_CHANNELS}
    fields: dict[str, Any] = {
        "parts": _names(archive, header, "parts", None),
        "joint_names": _names(archive, header, "joint_names", sizes["J"]),
        "joint_parents": _parents(archive, header, sizes["J"]),
        "blendshape_names": _names(archive, header, "blendshape_names", sizes["K"]),
        "raw_names": _names(archive, header, "raw_names", sizes["R"]) if "R" in sizes else (),
        "parameter_names": _names(archive, header, "parameter_names", sizes["P"]) if "P" in sizes else (),
        "blendshape_ranges": _ranges(archive, header, sizes["K"]),
        "blendshape_kind": _text(archive, header, "blendshape_kind"),
        "provenance": header["provenance"] if isinstance(header.get("provenance"), dict) else {},
    }
    fields["folds"] = _folds(archive, header, fields["blendshape_names"])
    fields["glasses"] = _glasses(archive, header, arrays, fields["joint_names"])
    fields["strands"] = _strands(archive, arrays)
    _check_values(archive, arrays, len(fields["parts"]))
    focal = float(arrays.pop("photo_focal")[0])
    return AvatarFile(path=path, photo_focal=focal, **arrays, **images, **fields)


def _header(archive: _Archive) -> dict[str, Any]:
    try:
        header = json.loads(archive.read("avatar.json").decode("utf-8"))
    except (UnicodeDecodeError, json.JSONDecodeError, RecursionError) as error:
        raise archive.error(f"avatar.json is not JSON ({error})") from error
    if not isinstance(header, dict):
        raise archive.error("avatar.json must hold one object")
    if header.get("format") != FORMAT:
        raise archive.error(f"expected the format {FORMAT!r}, got {header.get('format')!r}")
    version = header.get("version")
    if isinstance(version, bool) or version != VERSION:
        raise archive.error(f"this add-on reads version {VERSION}, the file has version {version!r}; update the add-on")
    return header


def _entry(archive: _Archive, header: dict[str, Any], table: str, name: str) -> dict[str, Any] | None:
    entries = header.get(table)
    if not isinstance(entries, dict):
        raise archive.error(f"avatar.json has no table {table!r}")
    entry = entries.get(name)
    if entry is None:
        return None
    if not isinstance(entry, dict) or not isinstance(entry.get("file"), str):
        raise archive.error(f"avatar.json names no file for {name!r}")
    return entry


def _array(archive: _Archive, header: dict[str, Any], name: str, sizes: dict[str, int]) -> NDArray[Any] | None:
    """One checked array; `sizes` collects what each dimension letter stands for."""
    entry = _entry(archive, header, "arrays", name)
    if entry is None:
        if name in OPTIONAL:
            return None
        raise archive.error(f"the array {name!r} is missing")
    dtype, dims = ARRAYS[name]
    try:
        array = np.lib.format.read_array(io.BytesIO(archive.read(entry["file"])), allow_pickle=False)
    except (ValueError, EOFError, SyntaxError, TypeError, MemoryError, OverflowError) as error:
        raise archive.error(f"{entry['file']!r} is not a readable .npy array ({error})") from error
    if array.dtype.str != dtype:
        raise archive.error(f"{name} must have the type {dtype}, it has {array.dtype.str}")
    expected = tuple(sizes.get(dim, dim) if isinstance(dim, str) else dim for dim in dims)
    if array.ndim != len(dims) or any(
        isinstance(e, int) and e != a for e, a in zip(expected, array.shape, strict=True)
    ):
        raise archive.error(f"{name} must have the shape {list(expected)}, it has {list(array.shape)}")
    sizes.update({dim: length for dim, length in zip(dims, array.shape, strict=True) if isinstance(dim, str)})
    if array.dtype.kind == "f" and not np.isfinite(array).all():
        raise archive.error(f"{name} holds numbers that are not finite")
    return np.ascontiguousarray(array)


def _image(archive: _Archive, header: dict[str, Any], name: str) -> PngImage | None:
    entry = _entry(archive, header, "images", name)
    if entry is None:
        if name in OPTIONAL:
            return None
        raise archive.error(f"the image {name!r} is missing")
    data = archive.read(entry["file"])
    if len(data) < 33 or data[:8] != b"\x89PNG\r\n\x1a\n" or data[12:16] != b"IHDR":
        raise archive.error(f"{entry['file']!r} is not a PNG image")
    width, height, bits, colour = struct.unpack(">IIBB", data[16:26])
    channels = IMAGE_CHANNELS.get(name, WRINKLE_CHANNELS)
    if bits != 8 or _CHANNELS_OF_PNG_COLOUR.get(colour) != channels or not width or not height:
        raise archive.error(f"{entry['file']!r} must be a PNG with {channels} channels of 8 bits")
    archive.spend(width * height * channels)
    if entry.get("size") != [width, height]:
        raise archive.error(f"{entry['file']!r} is {width} x {height}, avatar.json says {entry.get('size')!r}")
    if name == "thumbnail" and (width, height) != (256, 256):
        raise archive.error(f"the thumbnail must be 256 x 256, it is {width} x {height}")
    return PngImage(data, width, height)


def _folds(archive: _Archive, header: dict[str, Any], blendshapes: tuple[str, ...]) -> tuple[Fold, ...]:
    entries = header.get("wrinkles", [])
    if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
        raise archive.error("avatar.json must list wrinkles as objects")
    folds: list[Fold] = []
    for entry in entries:
        name, keys, at, step = (entry.get(part) for part in ("name", "keys", "at", "step"))
        if not isinstance(name, str) or not name or name in [fold.name for fold in folds]:
            raise archive.error(f"wrinkles must have names of their own, one is called {name!r}")
        if not isinstance(keys, list) or not keys or not all(key in blendshapes for key in keys):
            raise archive.error(f"the wrinkles {name} must name blendshapes of the file, they name {keys!r}")
        for value in (at, step):
            if type(value) not in (int, float) or not 0 < value < float("inf"):
                raise archive.error(f"at and step of the wrinkles {name} must be numbers above 0, one is {value!r}")
        picture = _image(archive, header, f"wrinkle_{name}")
        assert picture is not None  # only OPTIONAL ones may be missing
        folds.append(Fold(name, tuple(keys), float(at), float(step), picture))
    return tuple(folds)


def _glasses(
    archive: _Archive, header: dict[str, Any], arrays: dict[str, Any], joints: tuple[str, ...]
) -> Glasses | None:
    """The glasses, or none; takes their arrays out of the others."""
    vertices, faces = arrays.pop("glasses_vertices"), arrays.pop("glasses_faces")
    entry = header.get("glasses")
    if vertices is None and faces is None and entry is None:
        return None
    joint, colour = (entry.get("joint"), entry.get("colour")) if isinstance(entry, dict) else (None, None)
    told = colour if isinstance(colour, list) and all(type(part) in (int, float) for part in colour) else []
    if vertices is None or faces is None or joint not in joints or len(told) != 3:
        raise archive.error("glasses must have vertices, faces, a colour and a joint of the file")
    if not faces.size or faces.min() < 0 or faces.max() >= len(vertices) or not all(0 <= part <= 1 for part in told):
        raise archive.error("the triangles of the glasses must name their vertices, and their colour lie in 0 to 1")
    return Glasses(vertices, faces, (float(told[0]), float(told[1]), float(told[2])), str(joint))


def _strands(archive: _Archive, arrays: dict[str, Any]) -> Strands | None:
    """The strands, or none; takes their arrays out of the others."""
    names = [name for name in ARRAYS if name.startswith("strand_")]
    found = {name: array for name in names if (array := arrays.pop(name)) is not None}
    if not found:
        return None
    missing = [name for name in names if name not in found]
    if missing:
        raise archive.error(f"strands need all of their arrays, {missing[0]} is missing")
    strands = Strands(**{name.removeprefix("strand_"): array for name, array in found.items()})
    for name, indices, count in (
        ("strand_faces", strands.faces, len(strands.vertices)),
        ("strand_anchor", strands.anchor, len(arrays["faces"])),
    ):
        if not indices.size or indices.min() < 0 or indices.max() >= count:
            raise archive.error(f"{name} must hold numbers from 0 to {count - 1}")
    if strands.bary.min() < 0 or np.abs(strands.bary.sum(axis=1) - 1).max() > 1e-3:
        raise archive.error("the rows of strand_bary must not be negative and must sum to 1")
    return strands


def _text(archive: _Archive, header: dict[str, Any], key: str) -> str:
    value = header.get(key)
    if not isinstance(value, str):
        raise archive.error(f"avatar.json must have a text {key!r}")
    return value


def _names(archive: _Archive, header: dict[str, Any], key: str, count: int | None) -> tuple[str, ...]:
    names = header.get(key)
    if not isinstance(names, list) or not all(isinstance(name, str) and name for name in names):
        raise archive.error(f"avatar.json must list {key} as texts")
    if count is not None and len(names) != count:
        raise archive.error(f"{key} must list {count} names, it lists {len(names)}")
    if len(set(names)) != len(names):
        raise archive.error(f"{key} has a name that occurs twice")
    return tuple(names)


def _parents(archive: _Archive, header: dict[str, Any], count: int) -> tuple[int, ...]:
    parents = header.get("joint_parents")
    if (
        not isinstance(parents, list)
        or len(parents) != count
        or not all(type(parent) is int for parent in parents)
        or parents[0] != -1
        or not all(0 <= parent < index for index, parent in enumerate(parents) if index)
    ):
        raise archive.error(f"joint_parents must list {count} earlier joints with -1 first, got {parents!r}")
    return tuple(parents)


def _ranges(archive: _Archive, header: dict[str, Any], count: int) -> F32:
    try:
        ranges = np.array(header.get("blendshape_ranges"), dtype=np.float32)
    except (TypeError, ValueError) as error:
        raise archive.error("blendshape_ranges must be pairs of numbers") from error
    if ranges.shape != (count, 2) or not np.isfinite(ranges).all() or not (ranges[:, 0] < ranges[:, 1]).all():
        raise archive.error(f"blendshape_ranges must hold {count} pairs with minimum < maximum")
    return ranges


def _check_values(archive: _Archive, arrays: dict[str, Any], parts: int) -> None:
    vertices, texture_vertices = len(arrays["vertices"]), len(arrays["uvs"])
    for name, count in (("faces", vertices), ("uv_faces", texture_vertices), ("part", parts)):
        indices = arrays[name]
        if not indices.size:
            raise archive.error(f"{name} is empty")
        if indices.min() < 0 or indices.max() >= count:
            raise archive.error(f"{name} points to {indices.max()}, but there are only {count}")
    weights = arrays["weights"]
    if weights.min() < 0 or np.abs(weights.sum(axis=1) - 1).max() > 1e-3:
        raise archive.error("the rows of weights must not be negative and must sum to 1")
    correctives = arrays["pose_correctives"]
    if correctives is not None and weights.shape[1] != 5:
        raise archive.error(f"pose_correctives need 5 joints, there are {weights.shape[1]}")
    if arrays["photo_focal"][0] <= 0 or arrays["photo_size"].min() <= 0:
        raise archive.error("the photo's focal length and size must be positive")
    x0, y0, x1, y1 = arrays["photo_crop"]
    if x0 >= x1 or y0 >= y1:
        raise archive.error("photo_crop must be (x0, y0, x1, y1) with x0 < x1 and y0 < y1")
