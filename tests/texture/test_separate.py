from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray

from meshlam_core.head.model import HeadModel
from meshlam_core.skin.model import load_skin_model
from meshlam_core.texture.albedo import Texture, bake_albedo, observe
from meshlam_core.texture.atlas import Atlas
from meshlam_core.texture.separate import separate
from tests.texture.conftest import SIZE, Portrait, make_portrait


def _bake(portrait: Portrait, head: HeadModel) -> Texture:
    camera = portrait.tracked.camera
    return bake_albedo(portrait.photo, portrait.regions, portrait.tracked, camera, head, SIZE, unlit=True)


def _cheeks(picture: NDArray[np.uint8], head: HeadModel, atlas: Atlas) -> tuple[float, float]:
    """Brightness of the left and the right side of the face."""
    face = atlas.at_texels(atlas.share("face")[:, None])[:, 0].numpy() > 0.9
    at = atlas.at_texels(torch.from_numpy(head.template.copy())).numpy()
    light = picture.reshape(-1, 3)[atlas.places.numpy()].mean(axis=1)
    sides = [face & (at[:, 2] > 0.06) & (side * at[:, 0] > 0.02) for side in (1, -1)]
    return float(np.median(light[sides[0]])), float(np.median(light[sides[1]]))


def test_light_from_one_side_is_taken_off_and_stays_in_the_photo(head: HeadModel, atlas: Atlas) -> None:
    texture = _bake(make_portrait(head, atlas, yaw=0.0, light=0.6), head)
    assert texture.albedo is not None
    lit, bare = _cheeks(texture.photo, head, atlas), _cheeks(texture.albedo, head, atlas)
    apart = [abs(np.log(a / b)) for a, b in (lit, bare)]
    assert apart[0] > 0.15
    assert apart[1] < apart[0] / 3


def test_what_the_photo_shows_is_the_same_with_and_without_the_light_taken_off(
    frontal: Portrait, head: HeadModel, atlas: Atlas
) -> None:
    again = _bake(frontal, head).photo.astype(int)
    seen = (frontal.texture.seen > 250).ravel()
    skin = np.zeros(SIZE * SIZE, bool)
    skin[atlas.places.numpy()] = atlas.skin.numpy()
    off = np.abs(again - frontal.texture.photo.astype(int)).reshape(-1, 3)[seen & skin]
    assert off.max() <= 1


def test_a_photo_without_skin_gives_no_light(frontal: Portrait, head: HeadModel) -> None:
    nothing = np.zeros_like(frontal.regions.skin)
    blind = replace(frontal, regions=replace(frontal.regions, person=nothing, skin=nothing))
    texture = _bake(blind, head)
    assert texture.light is None
    assert texture.albedo is None


def test_the_neck_that_no_photo_shows_has_the_tone_of_the_face(
    frontal: Portrait, head: HeadModel, atlas: Atlas
) -> None:
    texture = _bake(frontal, head)
    assert texture.albedo is not None
    picture = texture.albedo.reshape(-1, 3)[atlas.places.numpy()] / 255
    hidden = (frontal.texture.seen.ravel()[atlas.places.numpy()] == 0) & (atlas.neck.numpy() > 0.9)
    face = atlas.at_texels(atlas.share("face")[:, None])[:, 0].numpy() > 0.9
    assert hidden.sum() > 1000
    assert np.abs(np.median(picture[hidden], axis=0) - np.median(picture[face], axis=0)).max() < 0.12


def test_skin_in_dazzling_light_is_not_brighter_than_skin_is(head: HeadModel, atlas: Atlas) -> None:
    portrait = make_portrait(head, atlas, yaw=0.0)
    dazzled = (255 * (portrait.photo / 255.0) ** 0.35 + 0.5).astype(np.uint8)
    skin = (np.float32(1) * np.array([0.92, 0.84, 0.78], np.float32)).astype(np.float32)
    bright = replace(portrait, photo=dazzled, regions=replace(portrait.regions, skin_colour=skin))
    albedo = _bake(bright, head).albedo
    assert albedo is not None
    face = atlas.at_texels(atlas.share("face")[:, None])[:, 0].numpy() > 0.9
    shown = albedo.reshape(-1, 3)[atlas.places.numpy()[face]]
    assert (shown.max(axis=1) >= 254).mean() < 0.03
    assert np.median(shown[:, 0]) < 230


def test_the_skin_that_the_model_has_for_a_person_is_as_pale_as_the_photos_without_its_light(
    frontal: Portrait, head: HeadModel, atlas: Atlas
) -> None:
    tracked, skin = frontal.tracked, load_skin_model(head)
    assert skin is not None
    with torch.inference_mode():
        found = observe(frontal.photo, frontal.regions, tracked, tracked.camera, head, atlas)
        shown = found.sight.skin
        parted = separate(
            shown, found.posed, tracked.rotations[0], found.cover, None, frontal.regions.hair_colour, skin, head, atlas
        )
        assert parted is not None
        colour = atlas.at_vertices(shown)[0][:, :3] / parted.shade
    face = (head.part == head.parts.index("face")) & (skin.normals[:, 2] > 0.5)
    off = np.log((parted.person / colour).numpy()[face].clip(1e-3))
    assert np.abs(np.median(off, axis=0)).max() < 0.05


def _hue(picture: NDArray[np.uint8], part: str, atlas: Atlas) -> NDArray[np.float64]:  # [3] shares of the channels
    mean = picture.reshape(-1, 3)[atlas.places[atlas.rows_of(part)].numpy()].mean(axis=0)
    hue: NDArray[np.float64] = mean / mean.sum()
    return hue


def test_teeth_and_tongue_that_no_photo_shows_are_in_its_pink_light_which_the_albedo_is_without(
    frontal: Portrait, head: HeadModel, atlas: Atlas
) -> None:
    pink = (frontal.photo * np.array([1.0, 0.78, 0.92])).astype(np.uint8)
    plain, tinted = _bake(frontal, head), _bake(replace(frontal, photo=pink), head)
    assert plain.albedo is not None
    assert tinted.albedo is not None
    for part in ("teeth_upper", "teeth_lower", "tongue"):
        white, shown = (_hue(texture.photo, part, atlas) for texture in (plain, tinted))
        assert shown[1] < white[1] - 0.02  # less green
        off = _hue(tinted.albedo, part, atlas) - _hue(plain.albedo, part, atlas)
        assert np.abs(off).max() < 0.5 * np.abs(shown - white).max()  # half of the pink is told from rosy skin
