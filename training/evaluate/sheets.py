"""Pages of people from all sides, to be judged by eye: many people a page, two rows a person.

Row 1: photo, photo view, front, three-quarter, left, right, back, all textured. Row 2: the truth on the photo (hair
red, face green, what is beyond the person or below the chin dark), then the same views as clay.
Pictures are [H, W, 3] sRGB.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from meshlam_core.raster.render import Style
from meshlam_core.viewing.viewer import VIEW_YAW, AvatarRenderer, neutral_pose, photo_camera, render_yaw
from training.evaluate.photo import PhotoResult
from training.evaluate.truth import HeadTruth

CELL = 192  # px
LABEL = 18  # px
PEOPLE = 4  # a page
VIEWS = ("front", "three-quarter", "left", "right", "back")
GROUND = 52  # grey behind the heads
INK = (230, 230, 230)

U8 = NDArray[np.uint8]


class SheetWriter:
    """Collects people and writes FOLDER/NAME-NN.png whenever a page is full."""

    def __init__(self, folder: Path, name: str) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._folder, self._name = folder, name
        self._strips: list[U8] = []
        self._pages = 0

    def add(self, result: PhotoResult) -> None:
        """One more person."""
        self._strips.append(person_strip(result))
        if len(self._strips) == PEOPLE:
            self.flush()

    def flush(self) -> None:
        """Write what is left."""
        if not self._strips:
            return
        path = self._folder / f"{self._name}-{self._pages:02d}.png"
        Image.fromarray(np.vstack(self._strips)).save(path)
        self._strips, self._pages = [], self._pages + 1


def person_strip(result: PhotoResult) -> U8:  # [LABEL + 2 * CELL, 7 * CELL, 3]
    """Both rows of one person; a failed photo has its photo and the reason."""
    columns = 2 + len(VIEWS)
    strip = np.full((LABEL + 2 * CELL, columns * CELL, 3), GROUND, np.uint8)
    if result.truth is not None:
        strip[LABEL : LABEL + CELL, :CELL] = _fitted(result.truth.picture)
        strip[LABEL + CELL :, :CELL] = _fitted(_painted(result.truth))
    if result.avatar is not None:
        strip[LABEL:, CELL:] = _views(result)
    picture = Image.fromarray(strip)
    ImageDraw.Draw(picture).text((4, 2), _title(result), INK, ImageFont.load_default(13))
    return np.array(picture)


def _views(result: PhotoResult) -> U8:  # [2 * CELL, 6 * CELL, 3]
    assert result.avatar is not None
    renderer = AvatarRenderer(result.avatar)
    rest = neutral_pose(result.avatar)
    styles: tuple[Style, Style] = ("texture", "clay")
    rows = []
    for style in styles:
        cells = [on_ground(render_yaw(renderer, rest, VIEW_YAW[view], CELL, style)) for view in VIEWS]
        if result.truth is not None:
            photo, camera = result.avatar.photo, result.truth.window.camera(photo_camera(result.avatar))
            seen = on_ground(renderer.draw_pose(photo.expression, photo.rotations, photo.translation, camera, style))
            cells.insert(0, _fitted(seen))
        else:
            cells.insert(0, np.full((CELL, CELL, 3), GROUND, np.uint8))
        rows.append(np.hstack(cells))
    return np.vstack(rows)


def _painted(truth: HeadTruth) -> U8:
    """The truth's masks over the photo."""
    picture = truth.picture.astype(np.float32)
    for mask, colour in ((truth.outline, (0, 200, 0)), (truth.hair, (255, 0, 0))):
        picture[mask] = 0.6 * picture[mask] + 0.4 * np.array(colour, np.float32)
    picture[~(truth.person & truth.above_chin)] *= 0.4
    return picture.astype(np.uint8)


def on_ground(picture: U8) -> U8:  # [H, W, 4] -> [H, W, 3]
    """A rendering on the sheets' grey."""
    alpha = picture[..., 3:].astype(np.float32) / 255
    return np.asarray(picture[..., :3] * alpha + GROUND * (1 - alpha) + 0.5, np.uint8)


def _fitted(picture: U8) -> U8:  # [CELL, CELL, 3]
    """The whole picture in the middle of a cell."""
    factor = CELL / max(picture.shape[:2])
    height, width = (max(1, round(side * factor)) for side in picture.shape[:2])
    cell = np.full((CELL, CELL, 3), GROUND, np.uint8)
    y, x = (CELL - height) // 2, (CELL - width) // 2
    small = Image.fromarray(picture).resize((width, height), Image.Resampling.LANCZOS)
    cell[y : y + height, x : x + width] = np.asarray(small)
    return cell


def _title(result: PhotoResult) -> str:
    scores = result.scores
    if result.failure:
        return f"{result.path.name}: {result.failure}"
    if scores is None:
        return result.path.name
    return (
        f"{result.path.name}   head {scores.head:.1f} dB   hair covered {scores.hair:.2f}   "
        f"silhouette {scores.silhouette:.2f}   face {scores.outline:.1f} dB"
    )


def frame_strip(title: str, frames: Sequence[tuple[HeadTruth, U8]]) -> U8:  # [LABEL + CELL, 2 * CELL * frames, 3]
    """Some frames of a clip, each with the rendering beside it."""
    shown = [cell for truth, rendering in frames for cell in (_fitted(truth.picture), _fitted(on_ground(rendering)))]
    row = np.hstack(shown) if shown else np.full((CELL, 2 * CELL, 3), GROUND, np.uint8)
    picture = Image.fromarray(np.vstack([np.full((LABEL, row.shape[1], 3), GROUND, np.uint8), row]))
    ImageDraw.Draw(picture).text((4, 2), title, INK, ImageFont.load_default(13))
    return np.array(picture)
