import os
import subprocess
import sys

import numpy as np
import torch

from meshlam_core.opencv import cv2, set_threads
from meshlam_core.tracker.sampling import Region, sample_region


def ramp(height=80, width=120):
    y, x = np.mgrid[0:height, 0:width]
    return np.stack([x * 2, y * 2, np.zeros_like(x)], axis=-1).astype(np.uint8)


def test_the_unit_square_maps_to_the_region_turned_clockwise():
    matrix = Region((50.0, 40.0), 20.0, np.pi / 2).picture_from_unit()
    # turned by 90 degrees clockwise (y is down), the region's x axis points down the picture
    np.testing.assert_allclose(matrix @ [0.5, 0.5, 1], [50, 40], atol=1e-12)
    np.testing.assert_allclose(matrix @ [1, 0.5, 1], [50, 50], atol=1e-12)


def test_a_region_on_whole_pixels_is_cut_out_unchanged():
    image = ramp()
    np.testing.assert_array_equal(sample_region(image, Region((60.0, 40.0), 32.0), 32), image[24:56, 44:76])


def test_sampled_values_are_those_at_the_mapped_positions_also_when_turned_and_shrunk():
    image = ramp()
    for region, size in ((Region((60.3, 40.7), 31.0, 0.4), 32), (Region((60.0, 40.0), 50.0, -0.3), 12)):
        picture = sample_region(image, region, size)
        v, u = np.mgrid[0:size, 0:size] + 0.5
        where = np.stack([u / size, v / size, np.ones_like(u)], axis=-1) @ region.picture_from_unit().T
        np.testing.assert_allclose(picture[..., :2], (where - 0.5) * 2, atol=2.0)


def test_shrinking_averages_instead_of_skipping_pixels():
    image = np.zeros((200, 200, 3), np.uint8)
    image[::4, ::4] = 240  # one pixel in sixteen
    picture = sample_region(image, Region((100.0, 100.0), 160.0), 20)
    assert abs(picture.mean() - 15) < 2
    assert picture.std() < 2


def test_one_thread_and_two_sample_the_same():
    image = np.random.default_rng(0).integers(0, 256, (900, 1200, 3), dtype=np.uint8)
    region, threads = Region((500.0, 400.0), 1300.0, 0.3), torch.get_num_threads()
    try:
        found = []
        for count in (1, 2):
            set_threads(count)
            assert cv2.getNumThreads() == torch.get_num_threads() == count
            found.append([sample_region(image, region, size) for size in (256, 512, 2000)])
        for one, two in zip(*found, strict=True):
            np.testing.assert_array_equal(one, two)
    finally:
        set_threads(threads)


def test_opencv_takes_as_many_threads_as_torch_from_the_start():
    told = "from meshlam_core.opencv import cv2; print(cv2.getNumThreads())"
    for count in ("1", "2"):
        environment = os.environ | {"OMP_NUM_THREADS": count}
        ran = subprocess.run([sys.executable, "-c", told], env=environment, capture_output=True, text=True, check=True)
        assert ran.stdout.strip() == count


def test_outside_the_picture_the_edge_repeats_or_a_grey_stands():
    image = np.full((20, 20, 3), 90, np.uint8)
    far = Region((-100.0, 10.0), 40.0)
    assert (sample_region(image, far, 16) == 90).all()
    assert (sample_region(image, Region((0.0, 10.0), 20.0), 20, outside=7)[:, :8] == 7).all()
