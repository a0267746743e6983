"""Write and read avatar files (.meshlam). The format is described in AVATAR_FORMAT.md.

A file may come from anywhere, so the reader trusts nothing: sizes are checked before anything is unpacked, and every
refusal is a BadAvatar with one sentence.
"""

from __future__ import annotations

import io
import json
import math
import struct
import zipfile
import zlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from meshlam_core.avatar.record import FOLD_STEP, Avatar, Fold, Glasses, PhotoFit, Strands
from meshlam_core.avatar.schema import (
    ARRAYS,
    FOLD_NAME,
    FORMAT,
    IMAGES,
    NAME_LISTS,
    OPTIONAL_NAMES,
    STRAND_ARRAYS,
    VERSION,
    ImageSpec,
    avatar_arrays,
    avatar_images,
    check_shapes,
    describe_fold,
    describe_glasses,
    fold_spec,
    refuse,
    validate,
)
from meshlam_core.errors import BadAvatar, UnreadableInput
from meshlam_core.files.outputs import atomic_file, check_output_file
from meshlam_core.files.png import encode_png

MAX_UNPACKED = 1 << 30  # bytes, decoded images included
MAX_JSON = 1 << 24
MAX_IMAGE_SIDE = 8192

_TIME_STAMP = (1980, 1, 1, 0, 0, 0)  # the earliest a zip can hold; a fixed one keeps files reproducible
_DAMAGED = "Copy the file again or make it anew with `meshlam reconstruct`."


def write_avatar(avatar: Avatar, path: Path) -> None:
    """Write the file whole or not at all. The same avatar gives the same bytes."""
    check_output_file(path)
    validate(avatar, path.name)
    arrays, images = avatar_arrays(avatar), avatar_images(avatar)
    # the encoders release the interpreter lock: the images are packed while the arrays are written
    with ThreadPoolExecutor(max_workers=len(images)) as pool, atomic_file(path) as file:
        encoded = {name: pool.submit(encode_png, image) for name, image in images.items()}
        with zipfile.ZipFile(file, "w") as archive:
            text = json.dumps(_describe(avatar), sort_keys=True, indent=1, allow_nan=False, default=_plain)
            _add(archive, "avatar.json", text.encode(), compress=True)
            for name, array in arrays.items():
                _add(archive, f"{name}.npy", _npy(array), compress=_worth_packing(array))
            for name, png in encoded.items():
                _add(archive, f"{name}.png", png.result(), compress=False)


def read_avatar(path: Path) -> Avatar:
    """The avatar of a file; BadAvatar says in one sentence why a file is refused."""
    with _open_archive(path) as archive:
        members = _check_members(archive, path)
        described = _read_json(archive, members, path)
        budget = MAX_UNPACKED - sum(info.file_size for info in members.values())
        arrays = _read_arrays(archive, members, path)
        images = {}
        folds = _read_folds(described, path)
        for spec in (*IMAGES, *(fold_spec(fold["name"]) for fold in folds)):
            if spec.optional and spec.file not in members:
                continue
            data = _read_member(archive, members, spec.file, path)
            width, height, channels = _png_size(data, spec, path)
            budget -= width * height * channels
            if budget < 0:
                refuse(path.name, spec.file, f"at most {MAX_UNPACKED} bytes unpacked, images included", "more")
            images[spec.name] = _decode_png(data, spec, path)
    avatar = _assemble(described, arrays, images, folds, path)
    validate(avatar, path.name)
    return avatar


def read_summary(path: Path) -> tuple[dict[str, Any], bytes]:  # provenance, thumbnail as PNG
    """What a list of avatars shows of each, without unpacking the whole of it."""
    with _open_archive(path) as archive:
        members = _check_members(archive, path)
        provenance = _read_json(archive, members, path).get("provenance")
        thumbnail = _read_member(archive, members, "thumbnail.png", path)
    return (provenance if isinstance(provenance, dict) else {}), thumbnail


def _describe(avatar: Avatar) -> dict[str, Any]:
    arrays, images = avatar_arrays(avatar), avatar_images(avatar)
    modes = {spec.name: spec for spec in (*IMAGES, *(fold_spec(fold.name) for fold in avatar.folds))}
    return {
        "format": FORMAT,
        "version": VERSION,
        "arrays": {
            spec.name: {
                "file": f"{spec.name}.npy",
                "shape": list(arrays[spec.name].shape),
                "dtype": arrays[spec.name].dtype.name,
                "units": spec.units,
                "meaning": spec.meaning,
            }
            for spec in ARRAYS
            if spec.name in arrays
        },
        "images": {
            name: {
                "file": modes[name].file,
                "size": [image.shape[1], image.shape[0]],
                "mode": modes[name].mode,
                "meaning": modes[name].meaning,
            }
            for name, image in images.items()
        },
        "blendshape_ranges": np.asarray(avatar.blendshape_ranges, np.float32).tolist(),
        **{key: getattr(avatar, key) for key in NAME_LISTS if key != "blendshape_ranges"},
        **{key: getattr(avatar, key) for key, array in OPTIONAL_NAMES.items() if array in arrays},
        **({"wrinkles": [describe_fold(fold) for fold in avatar.folds]} if avatar.folds else {}),
        **({"glasses": describe_glasses(avatar.glasses)} if avatar.glasses else {}),
        "provenance": avatar.provenance,
    }


def _plain(value: object) -> object:
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, np.ndarray):
        return value.tolist()
    raise TypeError(f"provenance: expected plain JSON values, got {type(value).__name__}")


def _npy(array: NDArray[Any]) -> bytes:
    buffer = io.BytesIO()
    np.lib.format.write_array(buffer, np.ascontiguousarray(array), version=(1, 0), allow_pickle=False)
    return buffer.getvalue()


def _worth_packing(array: NDArray[Any]) -> bool:
    """Mostly zeros (a blendshape moves few vertices) or integers; other floats hardly shrink and cost time."""
    return array.dtype.kind != "f" or 2 * int(np.count_nonzero(array)) < array.size


def _add(archive: zipfile.ZipFile, name: str, data: bytes, *, compress: bool) -> None:
    info = zipfile.ZipInfo(name, _TIME_STAMP)
    info.create_system = 3  # unix on every system, again for reproducible bytes
    info.external_attr = 0o644 << 16
    kind = zipfile.ZIP_DEFLATED if compress else zipfile.ZIP_STORED
    archive.writestr(info, data, compress_type=kind, compresslevel=1 if compress else None)


@contextmanager
def _open_archive(path: Path) -> Iterator[zipfile.ZipFile]:
    try:
        with path.open("rb") as file, zipfile.ZipFile(file) as archive:
            yield archive
    except OSError as error:
        raise UnreadableInput(f"{path} cannot be read: {error.strerror or error}.", "Check the path.") from error
    except (zipfile.BadZipFile, zlib.error, struct.error, EOFError, NotImplementedError, UnicodeDecodeError) as error:
        found = str(error).rstrip(".") or type(error).__name__
        raise BadAvatar(f"{path.name}: expected an undamaged avatar file (a zip), found: {found}.", _DAMAGED) from error


def _check_members(archive: zipfile.ZipFile, path: Path) -> dict[str, zipfile.ZipInfo]:
    """Names, duplicates, encryption, packing and declared sizes, before a byte is unpacked."""
    members: dict[str, zipfile.ZipInfo] = {}
    for info in archive.infolist():
        name = info.orig_filename
        parts = name.replace("\\", "/").split("/")
        if name.startswith(("/", "\\")) or ".." in parts or "\\" in name or ":" in name or "\0" in name:
            refuse(path.name, f"member {name!r}", "a plain relative name", "one that points elsewhere")
        if name in members:
            refuse(path.name, f"member {name!r}", "every member once", "it twice")
        if info.flag_bits & 0x1:
            refuse(path.name, f"member {name!r}", "no encryption", "an encrypted member")
        if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            refuse(path.name, f"member {name!r}", "stored or deflated data", f"packing method {info.compress_type}")
        members[name] = info
    total = sum(info.file_size for info in members.values())
    if total > MAX_UNPACKED:
        refuse(path.name, "the archive", f"at most {MAX_UNPACKED} bytes unpacked", str(total))
    return members


def _read_member(archive: zipfile.ZipFile, members: dict[str, zipfile.ZipInfo], name: str, path: Path) -> bytes:
    if name not in members:
        refuse(path.name, name, "this member", "none")
    info = members[name]
    with archive.open(info) as member:
        # never more than declared: a false size in the archive cannot make it unpack without end
        data = member.read(info.file_size + 1)
    if len(data) != info.file_size:
        refuse(path.name, name, f"{info.file_size} bytes", str(len(data)))
    return data


def _read_json(archive: zipfile.ZipFile, members: dict[str, zipfile.ZipInfo], path: Path) -> dict[str, Any]:
    name = "avatar.json"
    if name in members and members[name].file_size > MAX_JSON:
        refuse(path.name, name, f"at most {MAX_JSON} bytes", str(members[name].file_size))
    data = _read_member(archive, members, name, path)
    try:
        described: Any = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise BadAvatar(f"{path.name}: {name}: expected JSON, found {error}.", _DAMAGED) from error
    content: dict[str, Any] = described if isinstance(described, dict) else {}
    if content.get("format") != FORMAT:
        refuse(path.name, name, f'"format": "{FORMAT}"', "something else")
    version = content.get("version")
    if type(version) is not int or version != VERSION:
        newer = type(version) is int and version > VERSION
        message = f"{path.name}: version: expected {VERSION}, found {version!r}."
        raise BadAvatar(message, "The file is newer than this program: update it." if newer else _DAMAGED)
    for key in (*NAME_LISTS, "provenance"):
        if key not in content:
            refuse(path.name, f"{name}, {key}", "this key", "none")
    return content


def _read_arrays(archive: zipfile.ZipFile, members: dict[str, zipfile.ZipInfo], path: Path) -> dict[str, NDArray[Any]]:
    """All headers are checked against each other before the numbers are looked at."""
    arrays = {
        spec.name: _parse_npy(_read_member(archive, members, f"{spec.name}.npy", path), spec.name, path)
        for spec in ARRAYS
        if not (spec.optional and f"{spec.name}.npy" not in members)
    }
    check_shapes({name: (array.shape, array.dtype) for name, array in arrays.items()}, path.name)
    return arrays


def _parse_npy(data: bytes, name: str, path: Path) -> NDArray[Any]:
    buffer = io.BytesIO(data)
    try:
        version = np.lib.format.read_magic(buffer)
        if version not in ((1, 0), (2, 0)):
            refuse(path.name, name, "npy format 1.0 or 2.0", ".".join(map(str, version)))
        reader = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
        shape, fortran_order, dtype = reader(buffer)
    except (ValueError, SyntaxError, RecursionError, MemoryError, OverflowError, TypeError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise BadAvatar(f"{path.name}: {name}: expected an npy array, found: {reason}.", _DAMAGED) from error
    allowed = {spec.dtype for spec in ARRAYS}
    if dtype.str not in allowed:
        refuse(path.name, name, f"a dtype of {', '.join(sorted(allowed))}", dtype.str)
    if fortran_order and len(shape) > 1:
        refuse(path.name, name, "C memory order", "Fortran order")
    count = math.prod(shape)
    offset = buffer.tell()
    if min(shape, default=1) < 0 or len(data) - offset != count * dtype.itemsize:
        refuse(path.name, name, f"{count * dtype.itemsize} bytes for shape {list(shape)}", str(len(data) - offset))
    return np.frombuffer(data, dtype, count, offset).reshape(shape).copy()


def _png_size(data: bytes, spec: ImageSpec, path: Path) -> tuple[int, int, int]:
    """Width, height and channels, from the header alone: nothing is unpacked before they are known to be sane."""
    if len(data) < 33 or data[:8] != b"\x89PNG\r\n\x1a\n" or data[12:16] != b"IHDR":
        refuse(path.name, spec.file, "a PNG", "something else")
    width, height, depth, colour, _, _, interlace = struct.unpack(">IIBBBBB", data[16:29])
    colours = {"L": 0, "RGB": 2, "RGBA": 6}
    if (depth, colour, interlace) != (8, colours[spec.mode], 0):
        found = f"{depth} bits, PNG colour type {colour}{', interlaced' if interlace else ''}"
        refuse(path.name, spec.file, f"a plain PNG of 8-bit {spec.mode}", found)
    if not (0 < width <= MAX_IMAGE_SIDE and 0 < height <= MAX_IMAGE_SIDE):
        refuse(path.name, spec.file, f"sides of 1 to {MAX_IMAGE_SIDE} pixels", f"{width} x {height}")
    return width, height, len(spec.mode)


def _decode_png(data: bytes, spec: ImageSpec, path: Path) -> NDArray[np.uint8]:
    from PIL import Image

    try:
        with Image.open(io.BytesIO(data), formats=("PNG",)) as image:
            return np.array(image, dtype=np.uint8)
    except (OSError, ValueError, SyntaxError, zlib.error, struct.error) as error:
        raise BadAvatar(f"{path.name}: {spec.file}: expected a PNG, found damage: {error}.", _DAMAGED) from error


def _read_folds(described: dict[str, Any], path: Path) -> list[dict[str, Any]]:
    """The entries of `wrinkles`, or none."""
    entries = described.get("wrinkles", [])
    if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
        refuse(path.name, "wrinkles", "a list of objects", type(entries).__name__)
    for entry in entries:
        name, keys, at = entry.get("name"), entry.get("keys"), entry.get("at")
        plain = isinstance(name, str) and FOLD_NAME.fullmatch(name) and type(at) in (int, float)
        if not plain or not isinstance(keys, list) or not all(isinstance(key, str) for key in keys):
            refuse(path.name, "wrinkles", "objects with a name, keys and a number at", str(entry)[:80])
        if entry.get("step") != FOLD_STEP:
            refuse(path.name, f"wrinkles, {name}", f"a step of {FOLD_STEP:g}", str(entry.get("step"))[:20])
    return entries


def _assemble(
    described: dict[str, Any],
    arrays: dict[str, Any],
    images: dict[str, NDArray[np.uint8]],
    folds: list[dict[str, Any]],
    path: Path,
) -> Avatar:
    listed: dict[str, Any] = {
        key: _strings(described, key, path) for key in ("parts", "joint_names", "blendshape_names")
    }
    # the lists of optional arrays are unknown to older writers
    listed |= {key: _strings(described, key, path) for key, array in OPTIONAL_NAMES.items() if array in arrays}
    parents = described["joint_parents"]
    if not isinstance(parents, list) or not all(type(parent) is int for parent in parents):
        refuse(path.name, "joint_parents", "a list of whole numbers", type(parents).__name__)
    if not isinstance(described["provenance"], dict):
        refuse(path.name, "provenance", "an object", type(described["provenance"]).__name__)
    try:
        ranges = np.array(described["blendshape_ranges"], dtype=np.float32).reshape(-1, 2)
    except (ValueError, TypeError, OverflowError) as error:
        refuse(path.name, "blendshape_ranges", "pairs of numbers", str(error))
    photo = {key.removeprefix("photo_"): arrays.pop(key) for key in list(arrays) if key.startswith("photo_")}
    focal = float(photo.pop("focal")[0])
    glasses = _read_glasses(described, arrays, path)
    strands = _take_strands(arrays, path)
    return Avatar(
        **arrays,
        **listed,
        joint_parents=tuple(parents),
        blendshape_ranges=ranges,
        blendshape_kind=described["blendshape_kind"],
        photo=PhotoFit(focal=focal, **photo),
        albedo=images["albedo"],
        albedo_seen=images["albedo_seen"],
        photo_image=images["photo"],
        thumbnail=images["thumbnail"],
        albedo_photo=images.get("albedo_photo"),
        outline=images.get("outline"),
        trust=images.get("trust"),
        normal=images.get("normal"),
        orm=images.get("orm"),
        folds=tuple(
            Fold(fold["name"], tuple(fold["keys"]), float(fold["at"]), images[fold_spec(fold["name"]).name])
            for fold in folds
        ),
        glasses=glasses,
        strands=strands,
        provenance=described["provenance"],
    )


def _read_glasses(described: dict[str, Any], arrays: dict[str, Any], path: Path) -> Glasses | None:
    """The glasses, or none; takes their arrays out of the others."""
    vertices, faces = (arrays.pop(f"glasses_{name}", None) for name in ("vertices", "faces"))
    said = described.get("glasses")
    if vertices is None and faces is None and said is None:
        return None
    joint, colour = (said.get(key) for key in ("joint", "colour")) if isinstance(said, dict) else (None, None)
    plain = isinstance(colour, list) and len(colour) == 3 and all(type(value) in (int, float) for value in colour)
    if vertices is None or faces is None or not isinstance(joint, str) or not plain:
        refuse(path.name, "glasses", "vertices, faces, a joint and a colour", "only some of them")
    return Glasses(vertices, faces, np.array(colour, np.float32), joint)


def _take_strands(arrays: dict[str, Any], path: Path) -> Strands | None:
    """The strands, or none; takes their arrays out of the others."""
    taken = {name: arrays.pop(f"strand_{name}", None) for name in STRAND_ARRAYS}
    lacking = [name for name, array in taken.items() if array is None]
    if len(lacking) == len(taken):
        return None
    if lacking:
        refuse(path.name, "strands", f"{', '.join(taken)}", f"no {lacking[0]}")
    return Strands(**taken)


def _strings(described: dict[str, Any], key: str, path: Path) -> tuple[str, ...]:
    values = described[key]
    if not isinstance(values, list) or not all(isinstance(value, str) and value for value in values):
        refuse(path.name, key, "a list of names", type(values).__name__)
    return tuple(values)
