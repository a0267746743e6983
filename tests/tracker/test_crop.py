import numpy as np

from meshlam_core.tracker.arkit import ARKIT_NAMES
from meshlam_core.tracker.crop import Crop, cut_crop, head_crop
from meshlam_core.tracker.points import CHIN, FOREHEAD
from meshlam_core.tracker.types import Detection


def detection(roll=0.0, centre=(300.0, 400.0), height=200.0):
    rng = np.random.default_rng(0)
    points = rng.uniform(-0.4, 0.4, (478, 3)) * height
    points[FOREHEAD], points[CHIN] = (0, -height / 2, 0), (0, height / 2, 0)
    c, s = np.cos(roll), np.sin(roll)
    points[:, :2] = points[:, :2] @ np.array([[c, s], [-s, c]]) + centre
    low, high = points[:, :2].min(axis=0), points[:, :2].max(axis=0)
    coefficients = np.zeros(len(ARKIT_NAMES), np.float32)
    return Detection(points.astype(np.float32), coefficients, (*low.tolist(), *high.tolist()), 1.0)


def test_the_crop_holds_the_face_with_more_room_above_than_below():
    crop = head_crop(detection())
    x0, y0, x1, y1 = crop.box
    assert x1 - x0 == y1 - y0 == crop.side
    assert 2.1 < crop.side / 200 < 2.6
    assert 300 - y0 > 0.6 * 200  # more than half a face height for the hair above the forehead
    assert (300 - y0) - (y1 - 500) > 0
    assert abs((x0 + x1) / 2 - 300) < 3


def test_the_room_for_the_hair_follows_a_tilted_head():
    upright, lying = head_crop(detection()), head_crop(detection(roll=np.pi / 2))
    # lying on the side with the forehead to the right, the crop moves to the right
    assert lying.x0 + lying.side / 2 > 300 + 5
    assert upright.y0 + upright.side / 2 < 400 - 5


def test_a_crop_inside_the_photo_is_the_photo():
    photo = np.random.default_rng(1).integers(0, 255, (60, 80, 3), dtype=np.uint8)
    np.testing.assert_array_equal(cut_crop(photo, Crop(10, 5, 40), 1.0, 40), photo[5:45, 10:50])


def test_a_crop_given_in_native_pixels_is_cut_from_a_smaller_working_photo():
    y, x = np.mgrid[0:60, 0:80]
    photo = np.stack([x * 3, y * 4, x], axis=-1).astype(np.uint8)
    cut = cut_crop(photo, Crop(20, 10, 80), 0.5, 40)
    np.testing.assert_array_equal(cut, photo[5:45, 10:50])


def test_beyond_the_photo_the_crop_goes_on_with_smoothed_edges():
    rng = np.random.default_rng(2)
    photo = rng.integers(0, 255, (100, 100, 3), dtype=np.uint8)
    cut = cut_crop(photo, Crop(-60, 0, 100), 1.0, 100)
    np.testing.assert_array_equal(cut[:, 61:], photo[:, 1:40])
    inside, outside = cut[:, 62:98].astype(float), cut[:, :40].astype(float)
    assert np.abs(np.diff(outside, axis=0)).mean() < 0.3 * np.abs(np.diff(inside, axis=0)).mean()


def test_a_mask_is_cut_like_the_photo():
    mask = np.zeros((60, 80), np.uint8)
    mask[20:, :] = 255
    assert cut_crop(mask, Crop(0, 0, 60), 1.0, 60).shape == (60, 60)
