"""The reference splatter, against pictures that can be worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest

from meshlam_core.frames import Camera
from meshlam_core.viewing.gaussians import Gaussians
from training.evaluate import splatter
from training.evaluate.splatter import LOW_PASS, splat

CAMERA = Camera(focal=100.0, centre=(16.5, 16.5), size=(33, 33))  # the middle of pixel (16, 16)
RED, GREEN = (1.0, 0.0, 0.0), (0.0, 1.0, 0.0)


def gaussians(*rows: tuple[tuple[float, ...], tuple[float, ...], float, tuple[float, ...]]) -> Gaussians:
    """Of centre, colour, opacity and scales; not turned."""
    count = len(rows)
    centres, colours, opacity, scales = (np.array([row[k] for row in rows], np.float32) for k in range(4))
    return Gaussians(
        centres=centres,
        normals=np.tile(np.float32([0, 0, 1]), (count, 1)),
        colours=colours,
        opacity=opacity,
        scales=scales,
        rotations=np.tile(np.float32([1, 0, 0, 0]), (count, 1)),
        triangles=np.zeros(count, np.int32),
        barycentrics=np.full((count, 3), 1 / 3, np.float32),
    )


def test_a_gaussian_falls_off_by_its_projected_size_and_the_low_pass() -> None:
    picture = splat(gaussians(((0, 0, -2.0), RED, 0.9, (0.06, 0.02, 0.001))), CAMERA)
    assert (picture[16, 16, :3] == [255, 0, 0]).all()
    for pixels, axis, scale in ((3, 1, 0.06), (2, 0, 0.02)):
        variance = (100 * scale / 2) ** 2 + LOW_PASS  # px^2
        at = [16, 16]
        at[axis] += pixels
        assert picture[(*at, 3)] == pytest.approx(255 * 0.9 * np.exp(-(pixels**2) / 2 / variance), abs=1)


def test_up_is_up_and_the_subjects_left_is_on_the_right() -> None:
    picture = splat(gaussians(((0.1, 0.2, -2.0), RED, 0.9, (0.01, 0.01, 0.01))), CAMERA)
    assert np.unravel_index(picture[..., 3].argmax(), (33, 33)) == (16 - 10, 16 + 5)


def test_the_nearer_one_covers_the_farther_whatever_their_order_in_the_file() -> None:
    near, far = (((0, 0, z), colour, 0.6, (0.05, 0.05, 0.05)) for z, colour in ((-1.0, RED), (-2.0, GREEN)))
    for order in ((near, far), (far, near)):
        r, g, _, a = splat(gaussians(*order), CAMERA)[16, 16] / 255.0
        assert a == pytest.approx(1 - 0.4 * 0.4, abs=0.01)
        assert (r * a, g * a) == (pytest.approx(0.6, abs=0.01), pytest.approx(0.4 * 0.6, abs=0.01))


def test_what_is_behind_the_camera_is_not_shown() -> None:
    assert not splat(gaussians(((0, 0, 2.0), RED, 0.9, (0.1, 0.1, 0.1))), CAMERA).any()


def test_a_turned_one_lies_across(monkeypatch: pytest.MonkeyPatch) -> None:
    row = gaussians(((0, 0, -2.0), RED, 0.9, (0.1, 0.01, 0.01)))
    half = np.sqrt(0.5)
    row.rotations[0] = (half, 0, 0, half)  # a quarter turn about z: the long axis stands upright
    picture = splat(row, CAMERA)
    assert picture[16 + 5, 16, 3] > 130 > picture[16, 16 + 5, 3]
    monkeypatch.setattr(splatter, "MAX_PAIRS", 64)  # in strips of rows it is the same
    np.testing.assert_array_equal(splat(row, CAMERA), picture)
