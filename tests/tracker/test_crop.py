import numpy as np

from meshlam_core.arkit import ARKIT_NAMES
from meshlam_core.points import CHIN, FOREHEAD
from meshlam_core.tracker.crop import Crop, cut_crop, head_crop
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


PHOTO = (2000, 2000)


def test_the_crop_holds_the_face_with_more_room_above_than_below():
    crop = head_crop(detection(centre=(600.0, 800.0)), PHOTO)
    x0, y0, x1, y1 = crop.box
    assert x1 - x0 == y1 - y0 == crop.width
    assert 2.9 < crop.width / 200 < 3.1
    assert 700 - y0 > 0.6 * 200  # more than half a face height for the hair above the forehead
    assert (700 - y0) - (y1 - 900) > 0
    assert abs((x0 + x1) / 2 - 600) < 3


def test_the_room_for_the_hair_follows_a_tilted_head():
    upright = head_crop(detection(centre=(600.0, 800.0)), PHOTO)
    lying = head_crop(detection(roll=np.pi / 2, centre=(600.0, 800.0)), PHOTO)
    # lying on the side with the forehead to the right, the crop moves to the right
    assert lying.x0 + lying.width / 2 > 600 + 5
    assert upright.y0 + upright.height / 2 < 800 - 5


def test_the_crop_ends_where_the_photo_ends():
    x0, y0, x1, y1 = head_crop(detection(centre=(150.0, 150.0)), (320, 280)).box
    assert (x0, y0, x1, y1) == (0, 0, 320, 280)


def test_a_crop_at_full_size_is_the_photo():
    photo = np.random.default_rng(1).integers(0, 255, (60, 80, 3), dtype=np.uint8)
    np.testing.assert_array_equal(cut_crop(photo, Crop(10, 5, 40, 30), 1.0, (40, 30)), photo[5:35, 10:50])


def test_a_crop_given_in_native_pixels_is_cut_from_a_smaller_working_photo():
    y, x = np.mgrid[0:60, 0:80]
    photo = np.stack([x * 3, y * 4, x], axis=-1).astype(np.uint8)
    np.testing.assert_array_equal(cut_crop(photo, Crop(20, 10, 80, 60), 0.5, (40, 30)), photo[5:35, 10:50])


def test_a_large_crop_shrinks_evenly():
    y, x = np.mgrid[0:80, 0:80]
    photo = np.stack([x * 3, y * 3, x], axis=-1).astype(np.uint8)
    cut = cut_crop(photo, Crop(20, 20, 40, 40), 1.0, (20, 20)).astype(int)
    middle = photo[20:60, 20:60].reshape(20, 2, 20, 2, 3).mean(axis=(1, 3))
    assert np.abs(cut - middle)[2:-2, 2:-2].max() <= 1


def test_a_mask_is_cut_like_the_photo():
    mask = np.zeros((60, 80), np.uint8)
    mask[20:, :] = 255
    assert cut_crop(mask, Crop(0, 0, 60, 60), 1.0, (30, 30)).shape == (30, 30)
