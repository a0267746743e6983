"""Written whole or not at all: exporters write into a folder of their own beside the target. Knows no Blender.

Some exporters say nothing when the disk is full and leave a cut-off file, so what was written is looked at before it
takes its place.
"""

from __future__ import annotations

import errno
import hashlib
import re
import shutil
import struct
import tempfile
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

_REASONS = {
    errno.ENOSPC: "the disk is full",
    errno.EDQUOT: "your share of the disk is used up",
    errno.EFBIG: "the file would be larger than this disk allows",
    errno.EACCES: "you may not write there",
    errno.EPERM: "you may not write there",
    errno.EROFS: "that disk is read-only",
    errno.EISDIR: "a folder of that name is there",
    errno.EEXIST: "a folder of that name is there",
    errno.ENOTEMPTY: "a folder of that name is there",
}
_TAIL = 4096  # bytes
_FBX_END = b"\xf8\x5a\x8c\x6a\xde\xf5\xd9\x7e\xec\xe9\x0c\xe3\x75\x8f\x29\x0b"


class ExportError(RuntimeError):
    """The file could not be written, or does not hold what the scene holds; one sentence for the user."""


@contextmanager
def whole_or_nothing(target: Path) -> Iterator[Path]:
    """A folder to write into; all that lies in it when the block ends well goes beside `target`, that itself last."""
    if not target.parent.is_dir():
        raise ExportError(f"The folder {target.parent} does not exist; choose another.")
    if target.is_dir():
        raise ExportError(f"{target} cannot be written: a folder of that name is there.")
    folder: Path | None = None
    try:
        folder = Path(tempfile.mkdtemp(prefix=".meshlam-", dir=target.parent))
        yield folder
        _move_in(folder, target)
    except ExportError:
        raise
    except OSError as error:
        raise ExportError(f"{target} cannot be written: {reason(error)}.") from error
    except RuntimeError as error:
        raise ExportError(f"{target} cannot be written: {reason_of_text(str(error))}.") from error
    finally:
        if folder is not None:
            shutil.rmtree(folder, ignore_errors=True)


def reason(error: OSError) -> str:
    """Why the system refused, in words."""
    return _REASONS.get(error.errno or 0, error.strerror or str(error))


def reason_of_text(text: str) -> str:
    """The cause in an exporter's message, which may hold a whole traceback."""
    number = re.search(r"\[Errno (\d+)\]", text)
    if number is not None and int(number[1]) in _REASONS:
        return _REASONS[int(number[1])]
    lines = [line.strip() for line in text.splitlines() if line.strip() and not line.startswith("Location:")]
    last = lines[-1] if lines else "Blender's exporter gave no reason"
    return last.removeprefix("Error: ").rstrip(".")


def hashes(folder: Path) -> dict[str, str]:
    """The SHA-256 of each file in a folder by FOLDER/FILE; nothing where there is no folder."""
    files = sorted(folder.iterdir()) if folder.is_dir() else []
    return {f"{folder.name}/{item.name}": hashlib.sha256(item.read_bytes()).hexdigest() for item in files}


def complete(path: Path) -> bool:
    """Whether a file reaches to its end, as far as its format tells."""
    size = path.stat().st_size
    check = _CHECKS.get(path.suffix.lower(), _text)
    try:
        with path.open("rb") as file:
            head = file.read(96)
            file.seek(max(0, size - _TAIL))
            tail = file.read()
        return size > 0 and check(path, size, head, tail)
    except struct.error:
        return False


def _move_in(folder: Path, target: Path) -> None:
    written = sorted(item for item in folder.rglob("*") if item.is_file())
    if folder / target.name not in written:
        raise ExportError(f"Blender's exporter wrote no {target.suffix} file.")
    for item in written:
        if not complete(item):
            room = "the disk is full" if shutil.disk_usage(folder).free < 1 << 20 else "the file was cut off"
            raise ExportError(f"{target} cannot be written: {room}.")
    written.sort(key=lambda item: item.name == target.name)
    for item in written:
        place = target.parent / item.relative_to(folder)
        place.parent.mkdir(exist_ok=True)
        item.replace(place)


def _glb(_: Path, size: int, head: bytes, __: bytes) -> bool:
    return bool(head[:4] == b"glTF" and struct.unpack("<I", head[8:12])[0] == size)


def _fbx(_: Path, __: int, head: bytes, tail: bytes) -> bool:
    return head.startswith(b"Kaydara FBX Binary") and tail.endswith(_FBX_END)


def _zip(path: Path, _: int, __: bytes, ___: bytes) -> bool:
    try:
        with zipfile.ZipFile(path) as archive:
            return archive.testzip() is None
    except zipfile.BadZipFile:
        return False


def _png(_: Path, __: int, head: bytes, tail: bytes) -> bool:
    return head.startswith(b"\x89PNG\r\n\x1a\n") and tail.endswith(b"IEND\xaeB`\x82")


def _usdc(_: Path, size: int, head: bytes, tail: bytes) -> bool:
    """The table of contents, whose place the header names, is the last thing written."""
    if head[:8] != b"PXR-USDC":
        return False
    start = struct.unpack("<q", head[16:24])[0] - size + len(tail)  # in the tail
    sections = struct.unpack("<Q", tail[start : start + 8])[0] if start >= 0 else 0
    return bool(sections and start + 8 + sections * 32 == len(tail))  # each has a name of 16 bytes, a start, a size


def _stl(_: Path, size: int, head: bytes, __: bytes) -> bool:
    return bool(struct.unpack("<I", head[80:84])[0] * 50 + 84 == size)


def _ply(path: Path, size: int, _: bytes, __: bytes) -> bool:
    """Gaussians: the header tells how many rows of four-byte values follow."""
    with path.open("rb") as file:
        header, end, _rest = file.read(_TAIL).partition(b"end_header\n")
    lines = [line.split() for line in header.splitlines()]
    count = next((int(line[2]) for line in lines if line[:2] == [b"element", b"vertex"]), 0)
    width = 4 * sum(line[:1] == [b"property"] for line in lines)
    return bool(end) and size == len(header) + len(end) + count * width


def _blend(_: Path, __: int, head: bytes, tail: bytes) -> bool:
    """Compressed ones end with the mark of zstd's seek table, others with their last block."""
    return tail.endswith(b"\xb1\xea\x92\x8f") if head.startswith(b"\x28\xb5\x2f\xfd") else b"ENDB" in tail


def _text(_: Path, __: int, ___: bytes, tail: bytes) -> bool:
    return tail.endswith((b"\n", b"}"))


_CHECKS: dict[str, Callable[[Path, int, bytes, bytes], bool]] = {
    ".glb": _glb,
    ".fbx": _fbx,
    ".usdz": _zip,
    ".png": _png,
    ".usdc": _usdc,
    ".stl": _stl,
    ".ply": _ply,
    ".blend": _blend,
}
