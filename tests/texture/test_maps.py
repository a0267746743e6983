from __future__ import annotations

import numpy as np
import pytest
import torch

from meshlam_core.head.model import HeadModel
from meshlam_core.texture.atlas import Atlas
from meshlam_core.texture.maps import SurfaceMaps, surface_maps
from tests.texture.conftest import SIZE, Portrait

FLAT = np.array([128, 128, 255])


@pytest.fixture(scope="module")
def maps(frontal: Portrait, head: HeadModel, atlas: Atlas) -> SurfaceMaps:
    return surface_maps(frontal.texture.photo, torch.zeros(len(head.template)), head, atlas)


def _median(maps: SurfaceMaps, part: str, atlas: Atlas) -> np.ndarray:  # type: ignore[type-arg]
    inside = atlas.at_texels(atlas.share(part)[:, None])[:, 0].numpy() > 0.99
    return np.asarray(np.median(maps.orm.reshape(-1, 3)[atlas.places.numpy()[inside]], axis=0))


def test_eyes_and_teeth_are_glossier_than_skin_and_nothing_is_metal(maps: SurfaceMaps, atlas: Atlas) -> None:
    eye, tooth, skin = (_median(maps, part, atlas)[1] for part in ("eyeball_left", "teeth_upper", "face"))
    assert eye < tooth < skin
    assert maps.orm[..., 2].max() == 0


def test_folds_are_occluded_and_the_open_face_is_not(maps: SurfaceMaps, atlas: Atlas) -> None:
    assert _median(maps, "face", atlas)[0] > 220
    assert _median(maps, "mouth_interior", atlas)[0] < 0.9 * _median(maps, "face", atlas)[0]


def test_hair_is_no_skin_in_the_maps(frontal: Portrait, head: HeadModel, atlas: Atlas) -> None:
    haired = surface_maps(frontal.texture.photo, atlas.share("scalp"), head, atlas)
    inside = atlas.at_texels(atlas.share("scalp")[:, None])[:, 0].numpy() > 0.99
    rows = atlas.places.numpy()[inside]
    assert np.quantile(np.abs(haired.normal.reshape(-1, 3)[rows] - FLAT).max(axis=1), 0.99) <= 1


def test_a_dark_line_in_the_skin_is_a_groove(frontal: Portrait, head: HeadModel, atlas: Atlas) -> None:
    texture = np.full_like(frontal.texture.photo, 180)
    column = SIZE // 2
    texture[:, column] = 120
    normal = surface_maps(texture, torch.zeros(len(head.template)), head, atlas).normal.astype(int) - FLAT
    forehead = slice(SIZE // 5, SIZE // 4)
    left, right = (np.median(normal[forehead, column + step, 0]) for step in (-1, 1))
    assert left > 2  # its left bank looks to the right
    assert right < -2


def test_plain_skin_is_smooth(frontal: Portrait, head: HeadModel, atlas: Atlas) -> None:
    plain = surface_maps(np.full_like(frontal.texture.photo, 180), torch.zeros(len(head.template)), head, atlas)
    assert np.abs(plain.normal.astype(int) - FLAT).max() <= 1


def test_texels_between_the_islands_take_the_colour_of_one_close_by(frontal: Portrait, atlas: Atlas) -> None:
    texture, covered = frontal.texture.photo, atlas.uv_map.covered.numpy()
    assert not covered.all()
    small = texture.reshape(SIZE // 16, 16, SIZE // 16, 16, 3).mean(axis=(1, 3))
    counts = covered.reshape(SIZE // 16, 16, SIZE // 16, 16).mean(axis=(1, 3))
    inside = (texture * covered[..., None]).reshape(SIZE // 16, 16, SIZE // 16, 16, 3).mean(axis=(1, 3))
    rim = (counts > 0.2) & (counts < 0.8)
    own = inside[rim] / counts[rim][:, None]
    assert np.median(np.abs(small[rim] - own).mean(axis=1)) < 12
