"""Where a photo and the boxes of its faces lie in a view, and which of them the mouse or a key means. Knows no Blender.

Frame: the view's pixels, x to the right, y up. Boxes are in the photo's pixels, (left, top, right, bottom), y down.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

Box = tuple[float, float, float, float]

_MARGIN = 0.04  # of the room, left free around the photo
_EASY = 28.0  # px: a smaller box is hit as easily as one of this side
_DIGITS = ("ONE", "TWO", "THREE", "FOUR", "FIVE", "SIX", "SEVEN", "EIGHT", "NINE")  # Blender's names of keys
_KEYS = {name: digit for digit, name in enumerate(_DIGITS, 1)} | {f"NUMPAD_{digit}": digit for digit in range(1, 10)}


@dataclass(frozen=True)
class Board:
    """A photo as large as fits into the middle of a room, with the boxes of its faces, numbered from 1."""

    photo: Box  # (left, bottom, right, top) in the view
    faces: tuple[Box, ...]  # the same

    @classmethod
    def of(
        cls,
        size: Sequence[float],  # of the photo, px
        boxes: Sequence[Sequence[float]],  # in the photo
        room: Box,  # (left, bottom, right, top) of what is free in the view
    ) -> Board:
        left, bottom, right, top = room
        width, height = max(right - left, 1.0), max(top - bottom, 1.0)
        scale = (1 - 2 * _MARGIN) * min(width / size[0], height / size[1])
        x = (left + right - scale * size[0]) / 2
        y = (bottom + top + scale * size[1]) / 2  # the photo's upper edge

        def lay(box: Sequence[float]) -> Box:
            return x + scale * box[0], y - scale * box[3], x + scale * box[2], y - scale * box[1]

        return cls(lay((0.0, 0.0, *size)), tuple(lay(box) for box in boxes))

    def face_at(self, x: float, y: float) -> int:
        """The number of the face whose box lies there, of several the one whose middle is nearest; 0 where none is."""
        hit: dict[int, float] = {}
        for number, (left, bottom, right, top) in enumerate(self.faces, 1):
            half = max(right - left, _EASY) / 2, max(top - bottom, _EASY) / 2
            off = abs(x - (left + right) / 2) / half[0], abs(y - (bottom + top) / 2) / half[1]
            if max(off) <= 1:
                hit[number] = off[0] ** 2 + off[1] ** 2
        return min(hit, key=lambda number: hit[number], default=0)

    def face_of_key(self, key: str) -> int:
        """The number of the face that a key of the keyboard stands for; 0 where none does."""
        digit = _KEYS.get(key, 0)
        return digit if digit <= len(self.faces) else 0


def frame_of(box: Box, width: float) -> tuple[Box, ...]:
    """Four bars around a box, from its edge outwards."""
    left, bottom, right, top = box
    return (
        (left - width, top, right + width, top + width),
        (left - width, bottom - width, right + width, bottom),
        (left - width, bottom, left, top),
        (right, bottom, right + width, top),
    )


def free_room(view: Box, covers: Sequence[Box]) -> Box:
    """What bars along the edges of a view (its header, tools, sidebar) leave free, all in the window's pixels."""
    left, bottom, right, top = view
    for x0, y0, x1, y1 in covers:
        if min(x1, right) - max(x0, left) <= 1 or min(y1, top) - max(y0, bottom) <= 1:
            continue  # beside the view, or folded away
        if x1 - x0 > y1 - y0:
            bottom, top = (max(bottom, y1), top) if y0 - view[1] < view[3] - y1 else (bottom, min(top, y0))
        else:
            left, right = (max(left, x1), right) if x0 - view[0] < view[2] - x1 else (left, min(right, x0))
    return left, bottom, right, top
