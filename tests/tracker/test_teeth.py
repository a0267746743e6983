from dataclasses import replace

import numpy as np
import pytest
from PIL import Image, ImageDraw

from meshlam_core.files.images import Photo
from meshlam_core.points import LIPS_INNER
from meshlam_core.tracker.teeth import _rim, seat_teeth, teeth_shift
from tests.tracker.conftest import look_at

SIZE = (800, 1000)
SKIN, TOOTH, CAVITY = (200, 150, 130), (235, 230, 220), (70, 20, 20)


def smile(fitter, jaw, shown, skin=SKIN):
    """A fitted face and a picture of it whose upper teeth end `shown` m below those of the fitted head."""
    expression = {"jawOpen": jaw, "mouthUpperUpLeft": 1.0, "mouthUpperUpRight": 1.0}
    _, detection = look_at(fitter, [], expression)
    tracked = fitter.fit(detection, SIZE)
    ring = detection.landmarks[LIPS_INNER, :2].astype(float)
    image = Image.new("RGB", SIZE, skin)
    draw = ImageDraw.Draw(image)
    draw.polygon([tuple(p) for p in ring], fill=CAVITY)
    right, left = ring[0], ring[10]
    across = (left - right) / np.linalg.norm(left - right)
    along = np.linspace(-0.7, 0.7, 19) * np.linalg.norm(left - right) / 2
    rim, metre = _rim(tracked, fitter.model, (left + right) / 2, across, np.array([-across[1], across[0]]), along)
    mouth = np.asarray(image)[..., 0] == CAVITY[0]
    known, middle = np.isfinite(rim), (left + right) / 2
    for column in range(int(right[0]), int(left[0]) + 1):
        end = middle[1] + np.interp(column - middle[0], along[known], rim[known]) + shown * metre
        draw.line((column, 0, column, int(end)), fill=TOOTH)
    pixels = np.where(mouth[..., None], np.asarray(image), np.asarray(skin, np.uint8)).astype(np.uint8)
    return tracked, pixels


@pytest.mark.parametrize("shown", [0.002, -0.0015])
def test_teeth_move_to_where_the_photo_ends_them(fitter, shown):
    tracked, pixels = smile(fitter, 0.35, shown)
    assert teeth_shift(pixels, 1.0, tracked, fitter.model) == pytest.approx(-shown, abs=0.0006)


def test_only_the_upper_teeth_move(fitter, head):
    tracked, pixels = smile(fitter, 0.35, 0.002)
    photo = Photo(pixels, None, "", None, SIZE)
    moved = seat_teeth(photo, tracked, head).vertices - tracked.vertices
    teeth = head.part == head.parts.index("teeth_upper")
    assert (moved[teeth, 1] < -0.001).all()
    assert not moved[~teeth].any()


def test_closed_lips_leave_the_teeth_alone(fitter):
    _, detection = look_at(fitter, [], {})
    tracked = fitter.fit(detection, SIZE)
    pixels = np.full((SIZE[1], SIZE[0], 3), SKIN, np.uint8)
    assert teeth_shift(pixels, 1.0, tracked, fitter.model) == 0


def test_a_head_model_without_teeth_is_left_alone(fitter, head):
    tracked, pixels = smile(fitter, 0.35, 0.002)
    toothless = replace(head, parts=tuple(name.replace("teeth", "gums") for name in head.parts))
    assert seat_teeth(Photo(pixels, None, "", None, SIZE), tracked, toothless) is tracked
