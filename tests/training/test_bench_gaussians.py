"""The bench's Gaussians stand where the mesh does, in the photo and in the studio."""

from __future__ import annotations

import numpy as np
import pytest

from meshlam_core.viewing.viewer import AvatarRenderer, photo_camera, render_avatar
from tests.sample_avatar import make_avatar
from training.bench.gaussians import beside_mesh, in_photo, lay, silhouettes, through_a_file
from training.evaluate.splatter import splat

AVATAR = make_avatar(texture_size=256)
RENDERER = AvatarRenderer(AVATAR)


def test_gaussians_in_the_photos_pose_cover_what_the_mesh_covers() -> None:
    gaussians = lay(RENDERER, 8000)
    picture = splat(in_photo(gaussians, AVATAR), photo_camera(AVATAR))
    assert silhouettes(picture, render_avatar(AVATAR, "photo", "native", renderer=RENDERER)) > 0.98


def test_more_gaussians_are_nearer_to_the_mesh() -> None:
    few, many = (beside_mesh(RENDERER, through_a_file(lay(RENDERER, count))[0], -35.0, 256) for count in (1500, 20000))
    assert many[0] > few[0] + 2
    assert many[1] > max(few[1], 0.97)


def test_a_file_keeps_the_gaussians_and_their_binding() -> None:
    gaussians = lay(RENDERER, 2000)
    again, size = through_a_file(gaussians)
    assert size == pytest.approx(2000 * 84, abs=1000)
    for name, values in vars(gaussians).items():
        np.testing.assert_allclose(getattr(again, name), values, rtol=1e-4, atol=1e-6, err_msg=name)
