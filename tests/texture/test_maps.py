from __future__ import annotations

import numpy as np
import pytest
import torch

from meshlam_core.head.model import HeadModel
from meshlam_core.texture.atlas import Atlas
from meshlam_core.texture.maps import SurfaceMaps, surface_maps
from tests.texture.conftest import SIZE, Portrait

_BEND = 7.8 / 5.9 * np.sin(np.radians(22.4))  # the cornea's radius of curvature beside the ball's
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


def test_hair_has_strands_and_no_pores(frontal: Portrait, head: HeadModel, atlas: Atlas) -> None:
    texture = np.full_like(frontal.texture.photo, 90)
    texture[:, ::4] = 70
    inside = atlas.at_texels(atlas.share("scalp")[:, None])[:, 0].numpy() > 0.99
    rows = atlas.places.numpy()[inside]
    slopes = []
    for cover in (atlas.share("scalp"), torch.zeros(len(head.template))):
        normal = surface_maps(texture, cover, head, atlas).normal.reshape(-1, 3)[rows].astype(int) - FLAT
        slopes.append(np.abs(normal[:, 0]).mean())
        assert np.abs(normal[:, 1]).mean() < slopes[-1] / 3  # strands run down
    assert slopes[0] > slopes[1] > 1  # and stand out more than lines in skin


def test_the_cornea_bulges_in_front_of_the_iris_and_nowhere_else(maps: SurfaceMaps, atlas: Atlas) -> None:
    for eye in atlas.eyes.values():
        coded = maps.normal.reshape(-1, 3).astype(np.float32) - 128
        tilt = np.degrees(np.arctan2(np.linalg.norm(coded[:, :2], axis=1), coded[:, 2]))[atlas.places[eye.rows].numpy()]
        theta = np.degrees(eye.theta.numpy())
        # a sphere of 7.8 mm beside the ball's: at 15 degrees of the ball asin(sin(15) r / c) - 15
        at = (theta > 13) & (theta < 17)
        assert np.median(tilt[at]) == pytest.approx(np.degrees(np.arcsin(np.sin(np.radians(15)) / _BEND)) - 15, abs=2)
        assert np.median(tilt[theta > 32]) < 2


def test_the_corneas_look_away_from_the_pupil(maps: SurfaceMaps, atlas: Atlas) -> None:
    eye = atlas.eyes["eyeball_left"]
    normal = maps.normal.reshape(-1, 3)[atlas.places[eye.rows[eye.front]].numpy()].astype(float) - FLAT
    direction = eye.front_direction.numpy()
    ring = (direction[:, 2] > np.cos(np.radians(20))) & (direction[:, 2] < np.cos(np.radians(10)))
    outward = (normal[ring, :2] * direction[ring, :2]).sum(1)
    assert (outward > 0).mean() > 0.99


def test_tears_stand_on_the_edge_of_the_lids(maps: SurfaceMaps, head: HeadModel, atlas: Atlas) -> None:
    lid, socket = (head.part[head.faces] == head.parts.index(name) for name in ("eyelids", "eye_sockets"))
    edge = np.unique(head.faces[lid & socket.any(1)[:, None]])
    near = torch.zeros(len(head.template), 1)
    near[edge] = 1
    share = atlas.at_texels(near)[:, 0].numpy()
    at_edge = atlas.places.numpy()[(share > 0.8) & (share <= 1)]  # beyond 1 lies the islands' margin
    roughness = maps.orm.reshape(-1, 3)[:, 1]
    assert np.median(roughness[at_edge]) < 0.5 * np.median(roughness[atlas.places[atlas.rows_of("eyelids")].numpy()])


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
    rows = atlas.places[atlas.skin].numpy()
    assert np.abs(plain.normal.reshape(-1, 3)[rows].astype(int) - FLAT).max() <= 1


def test_texels_between_the_islands_take_the_colour_of_one_close_by(frontal: Portrait, atlas: Atlas) -> None:
    texture, covered = frontal.texture.photo, atlas.uv_map.covered.numpy()
    assert not covered.all()
    small = texture.reshape(SIZE // 16, 16, SIZE // 16, 16, 3).mean(axis=(1, 3))
    counts = covered.reshape(SIZE // 16, 16, SIZE // 16, 16).mean(axis=(1, 3))
    inside = (texture * covered[..., None]).reshape(SIZE // 16, 16, SIZE // 16, 16, 3).mean(axis=(1, 3))
    rim = (counts > 0.2) & (counts < 0.8)
    own = inside[rim] / counts[rim][:, None]
    assert np.median(np.abs(small[rim] - own).mean(axis=1)) < 12
