"""How a photo's pixels must be turned to stand upright: the EXIF orientation, which Blender does not read.

No bpy inside. Source: Exif 2.32 (JEITA CP-3451), sec. 4.6.4, tag 0x0112; JPEG markers: ITU T.81, annex B.
"""

from __future__ import annotations

import struct
from pathlib import Path
from typing import BinaryIO

UPRIGHT = 1
TAG = 0x0112
SHORT = 3
PNG = b"\x89PNG\r\n\x1a\n"
FRAMES = frozenset({*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC})  # start of frame, by coding
APP1, START_OF_SCAN = 0xE1, 0xDA


def orientation(path: Path) -> int:
    """1 to 8 as EXIF counts them; 1 where the file says nothing or nothing readable."""
    try:
        with path.open("rb") as file:
            value = _of_jpeg(file)
    except (OSError, struct.error):
        return UPRIGHT
    return value if 1 <= value <= 8 else UPRIGHT


def size(path: Path) -> tuple[int, int]:
    """(width, height) in pixels of a JPEG or PNG as stored; (0, 0) for what is neither or is damaged."""
    try:
        with path.open("rb") as file:
            start = file.read(24)
            if start.startswith(PNG):
                width, height = struct.unpack(">II", start[16:24])
                return int(width), int(height)
            file.seek(2)
            return _frame_of_jpeg(file) if start.startswith(b"\xff\xd8") else (0, 0)
    except (OSError, struct.error):
        return 0, 0


def _frame_of_jpeg(file: BinaryIO) -> tuple[int, int]:
    while True:
        mark, kind, length = struct.unpack(">BBH", file.read(4))
        if mark != 0xFF or kind == START_OF_SCAN or length < 2:
            return 0, 0
        if kind in FRAMES:
            height, width = struct.unpack(">xHH", file.read(5))
            return int(width), int(height)
        file.seek(length - 2, 1)


def _of_jpeg(file: BinaryIO) -> int:
    if file.read(2) != b"\xff\xd8":
        return UPRIGHT
    while True:
        mark, kind, length = struct.unpack(">BBH", file.read(4))
        if mark != 0xFF or kind == START_OF_SCAN or length < 2:
            return UPRIGHT
        body = file.read(length - 2)
        if kind == APP1 and body.startswith(b"Exif\0\0"):
            return _of_tiff(body[6:])


def _of_tiff(data: bytes) -> int:
    order = {b"II": "<", b"MM": ">"}.get(data[:2])
    if order is None:
        return UPRIGHT
    (first,) = struct.unpack_from(order + "I", data, 4)
    (count,) = struct.unpack_from(order + "H", data, first)
    for i in range(count):
        tag, kind, _, value = struct.unpack_from(order + "HHIH", data, first + 2 + 12 * i)
        if tag == TAG and kind == SHORT:
            return int(value)
    return UPRIGHT
