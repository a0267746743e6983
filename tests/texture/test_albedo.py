"""Baking a made-up portrait back gives the paint it was made with."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import numpy as np
import torch

from meshlam_core.head.model import HeadModel
from meshlam_core.points import LEFT_EYE, LEFT_IRIS, RIGHT_EYE, RIGHT_IRIS
from meshlam_core.texture.albedo import bake_albedo
from meshlam_core.texture.atlas import Atlas
from meshlam_core.texture.lids import LID_SHADE, lid_share, lid_tones
from meshlam_core.texture.mathematics import depth_inside
from meshlam_core.texture.skin import TRUSTED, compose
from tests.texture.conftest import IRIS, SIZE, SKIN, Portrait, make_portrait


def _colours(portrait: Portrait, atlas: Atlas) -> np.ndarray:
    """[P, 3] the baked albedo at the covered texels."""
    return portrait.texture.photo.reshape(-1, 3)[atlas.uv_map.texel.numpy()].astype(np.float64) / 255


def _truth(portrait: Portrait, atlas: Atlas) -> np.ndarray:
    return portrait.truth.reshape(-1, 3)[atlas.uv_map.texel.numpy()].astype(np.float64)


def _decibel(error: np.ndarray) -> float:
    return float(-10 * np.log10((error**2).mean()))


def test_texels_seen_in_the_photo_get_their_colour_back(frontal: Portrait, atlas: Atlas) -> None:
    seen = frontal.texture.seen.reshape(-1)[atlas.uv_map.texel.numpy()] > 200
    assert seen.mean() > 0.15
    error = _colours(frontal, atlas) - _truth(frontal, atlas)
    assert _decibel(error[seen]) > 33
    assert _decibel(error[seen & atlas.skin.numpy()]) > 42


def test_the_hidden_half_of_a_turned_head_gets_the_mirrored_paint(turned: Portrait, atlas: Atlas) -> None:
    seen = turned.texture.seen.reshape(-1)[atlas.uv_map.texel.numpy()]
    mirrored = (seen < 20) & (seen[atlas.mirror_texel.numpy()] > 200) & atlas.skin.numpy() & (atlas.lids.numpy() < 0.1)
    assert mirrored.sum() > 2000
    assert _decibel((_colours(turned, atlas) - _truth(turned, atlas))[mirrored]) > 40


def test_every_texel_says_where_its_colour_comes_from(frontal: Portrait, turned: Portrait, atlas: Atlas) -> None:
    covered = atlas.uv_map.texel.numpy()
    for portrait in (frontal, turned):
        assert (portrait.texture.trust.sum(axis=2, dtype=int) == 255).all()
        assert not portrait.texture.trust[..., 3].any()  # no network painted
    seen, mirrored, model, _ = (turned.texture.trust.reshape(-1, 4)[covered] / 255).T
    weight = turned.texture.seen.reshape(-1)[covered] / 255
    twin, skin = weight[atlas.mirror_texel.numpy()], atlas.skin.numpy()
    assert seen[skin & ~atlas.mouth.numpy() & (weight > 0.7)].min() > 0.99
    own_mirror = (
        skin
        & (weight < 0.02)
        & (twin > 0.7)
        & (atlas.mirror_texel.numpy()[atlas.mirror_texel.numpy()] == np.arange(len(twin)))
    )
    assert own_mirror.sum() > 2000
    assert mirrored[own_mirror].min() > 0.98
    assert model[skin & (weight < 0.02) & (twin < 0.02)].min() > 0.98
    eye = atlas.rows_of("eyeball_left").numpy()
    assert mirrored[eye].max() == 0
    assert seen[eye].max() > 0.9 > 0.1 > seen[eye].min()


def test_the_shares_are_those_of_the_blend_and_as_smooth(turned: Portrait, atlas: Atlas) -> None:
    covered, twin = atlas.uv_map.texel.numpy(), atlas.mirror_texel.numpy()
    weight = turned.texture.seen.reshape(-1)[covered] / 255
    ramp = ((weight - TRUSTED[0]) / (TRUSTED[1] - TRUSTED[0])).clip(0, 1)
    photo = ramp**2 * (3 - 2 * ramp)
    mirrored = (1 - photo) * photo[twin] * (twin[twin] == np.arange(len(twin)))
    trust = turned.texture.trust.reshape(-1, 4)[covered] / 255
    skin = atlas.skin.numpy() & ~atlas.mouth.numpy()
    wanted = np.stack([photo * (1 - mirrored), mirrored, (1 - photo) * (1 - mirrored)], axis=1)
    np.testing.assert_allclose(trust[skin, :3], wanted[skin], atol=0.02)
    assert ((trust[skin] > 0.1) & (trust[skin] < 0.9)).any(axis=1).mean() > 0.02


def test_no_background_colour_reaches_the_texture(frontal: Portrait, turned: Portrait, head: HeadModel) -> None:
    for portrait in (frontal, turned):
        red, green, blue = portrait.texture.photo.reshape(-1, 3).astype(int).T
        magenta = np.minimum(red, blue) - green
        assert magenta.max() < 60


def test_a_person_mask_that_is_too_wide_lets_no_background_in(frontal: Portrait, head: HeadModel, atlas: Atlas) -> None:
    everything = np.ones_like(frontal.regions.person)
    sloppy = replace(frontal, regions=replace(frontal.regions, person=everything, skin=everything))
    red, green, blue = sloppy.bake(head).photo.reshape(-1, 3).astype(int).T
    assert (np.minimum(red, blue) - green).max() < 90


def test_where_the_nose_of_a_face_turned_far_begins_to_hide_the_photo_is_not_read(
    head: HeadModel, atlas: Atlas
) -> None:
    """The fit knows that edge only to some pixels, and what it missed would be a seam along the nose."""
    places = atlas.at_texels(torch.from_numpy(np.array(head.template))).numpy()
    ridge = head.landmarks(head.template)[[6, 197, 195]]
    near = np.linalg.norm(places[:, None] - ridge, axis=2).min(axis=1) < 0.015
    near &= np.abs(places[:, 0]) < 0.001
    seen = {}
    for yaw in (0.3, 0.85):
        read = make_portrait(head, atlas, yaw).texture.seen.reshape(-1)
        seen[yaw] = read[atlas.uv_map.texel.numpy()][near].mean()
    assert seen[0.3] > 250
    assert seen[0.85] < 40


def test_hair_that_hides_the_ears_leaves_them_skin(frontal: Portrait, head: HeadModel, atlas: Atlas) -> None:
    landmarks = frontal.tracked.detection.landmarks
    low, high = landmarks[:, 0].min(), landmarks[:, 0].max()
    column = np.arange(frontal.photo.shape[1])
    curtain = (frontal.regions.person > 0) & ((column < low) | (column > high))
    photo, hair = frontal.photo.copy(), curtain.astype(np.float32)
    photo[curtain] = 10
    hidden = replace(
        frontal, photo=photo, regions=replace(frontal.regions, hair=hair, skin=frontal.regions.skin - hair)
    )
    ears = atlas.rows_of("ears").numpy()
    colours = hidden.bake(head).photo.reshape(-1, 3)[atlas.uv_map.texel.numpy()[ears]] / 255
    assert np.abs(np.median(colours, axis=0) - SKIN).max() < 0.12
    assert (colours.mean(axis=1) < 0.2).mean() < 0.02


def test_the_two_sides_of_a_uv_seam_have_the_same_colour(head: HeadModel, atlas: Atlas) -> None:
    """Light from one side makes the halves differ, so a fill that stopped at the seam would show."""
    albedo = make_portrait(head, atlas, yaw=0.3, light=0.5).texture.photo.astype(np.float64) / 255
    vertex_of = np.zeros(len(head.uvs), int)
    vertex_of[head.uv_faces] = head.faces
    order = np.argsort(vertex_of, kind="stable")
    pairs = [(a, b) for a, b in pairwise(order) if vertex_of[a] == vertex_of[b]]
    outside = np.isin(head.part, [head.parts.index(name) for name in ("face", "scalp", "neck", "ears")])
    pairs = [(a, b) for a, b in pairs if outside[vertex_of[a]]]
    assert len(pairs) > 10

    def near(uv: np.ndarray) -> np.ndarray:
        column, row = int(uv[0] * SIZE), int((1 - uv[1]) * SIZE)
        patch = albedo[max(0, row - 2) : row + 3, max(0, column - 2) : column + 3].reshape(-1, 3)
        return patch[patch.sum(axis=1) > 0].mean(axis=0)

    gaps = np.array([np.abs(near(head.uvs[a]) - near(head.uvs[b])).max() for a, b in pairs])
    assert gaps.max() < 0.04
    assert gaps.mean() < 0.015


def test_closing_the_eyes_shows_skin_not_eye(frontal: Portrait, head: HeadModel, atlas: Atlas) -> None:
    lid = atlas.at_texels(lid_share(head)[:, None])[:, 0].numpy() > 0.5
    lid &= atlas.skin.numpy()
    colours = _colours(frontal, atlas)[lid]
    assert lid.sum() > 200
    assert (colours[:, 0] - colours[:, 2] > 0.05).all()  # nothing blue or white
    assert np.abs(np.median(colours, axis=0) - SKIN).max() < 0.1


def test_the_iris_is_centred_on_the_gaze_axis_and_keeps_its_colour(
    frontal: Portrait, head: HeadModel, atlas: Atlas
) -> None:
    points = atlas.at_texels(torch.from_numpy(np.array(head.template))).numpy()
    for side in ("left", "right"):
        rows = atlas.rows_of(f"eyeball_{side}").numpy()
        ball = head.template[head.part == head.parts.index(f"eyeball_{side}")]
        offset = points[rows] - (ball.max(axis=0) + ball.min(axis=0)) / 2
        direction = offset / np.linalg.norm(offset, axis=1, keepdims=True)
        colours = _colours(frontal, atlas)[rows]
        blue = (colours[:, 2] > colours[:, 0] + 0.1) & (direction[:, 2] > 0)
        axis = direction[blue].mean(axis=0)
        assert np.degrees(np.arctan2(np.hypot(axis[0], axis[1]), axis[2])) < 3
        ring = blue & (direction[:, 2] < 0.975)
        assert np.abs(np.median(colours[ring], axis=0) - IRIS).max() < 0.12
        white = (direction[:, 2] < 0.85) & (direction[:, 2] > 0.5)
        assert np.quantile(np.ptp(colours[white], axis=1), 0.99) < 0.2  # never skin-coloured
        assert colours[white].mean() > 0.6


def test_the_lids_shade_stays_off_the_white_of_the_eye(frontal: Portrait, head: HeadModel, atlas: Atlas) -> None:
    photo = frontal.photo.copy()
    rows, columns = np.mgrid[: photo.shape[0], : photo.shape[1]] + 0.5
    at = np.stack([columns.ravel(), rows.ravel()], axis=1)
    for ring in (LEFT_EYE, RIGHT_EYE):
        opening = frontal.tracked.detection.landmarks[ring, :2].astype(np.float64)
        depth = depth_inside(at, opening) / np.linalg.norm(opening[0] - opening[8])
        photo.reshape(-1, 3)[(depth > -0.02) & (depth < 0.03)] //= 3
    baked = bake_albedo(photo, frontal.regions, frontal.tracked, frontal.tracked.camera, head, SIZE, unlit=True)
    assert baked.albedo is not None
    for eye in atlas.eyes.values():
        # beside the iris and away from the corners, where the lids' edge lies
        white = atlas.uv_map.texel.numpy()[eye.rows[(eye.theta > 0.55) & (eye.theta < 0.75)].numpy()]
        tone = baked.albedo.reshape(-1, 3)[white].mean(axis=1)
        assert tone.min() > 0.75 * np.median(tone)
        in_its_light = baked.photo.reshape(-1, 3)[white].mean(axis=1)
        assert in_its_light.min() < 0.7 * np.median(in_its_light)


def test_reflections_on_the_eye_are_the_lights_and_not_the_irises(
    frontal: Portrait, head: HeadModel, atlas: Atlas
) -> None:
    photo = frontal.photo.copy()
    for iris in (LEFT_IRIS, RIGHT_IRIS):
        column, row = frontal.tracked.detection.landmarks[iris, :2].round().astype(int)
        photo[row - 2 : row + 1, column - 2 : column + 1] = 255
    baked = bake_albedo(photo, frontal.regions, frontal.tracked, frontal.tracked.camera, head, SIZE, unlit=True)
    assert baked.albedo is not None
    for eye in atlas.eyes.values():
        pupil = atlas.uv_map.texel.numpy()[eye.rows[eye.theta < 0.3].numpy()]
        assert baked.photo.reshape(-1, 3)[pupil].mean(axis=1).max() > 180
        assert baked.albedo.reshape(-1, 3)[pupil].mean(axis=1).max() < 150


def test_an_eye_beyond_the_photos_border_looks_like_the_other_one(
    frontal: Portrait, head: HeadModel, atlas: Atlas
) -> None:
    camera = frontal.tracked.camera
    half = replace(frontal.tracked, camera=replace(camera, size=(camera.size[0] // 2, camera.size[1])))
    photo = frontal.photo.copy()
    photo[:, camera.size[0] // 2 :] = 0
    baked = bake_albedo(photo, frontal.regions, half, camera, head, SIZE).photo.reshape(-1, 3) / 255
    irises = []
    for side in ("left", "right"):
        layout = atlas.eyes[f"eyeball_{side}"]
        ring = layout.rows[(layout.theta > 0.2) & (layout.theta < 0.35)].numpy()
        irises.append(baked[atlas.uv_map.texel.numpy()[ring]].mean(axis=0))
    np.testing.assert_allclose(*irises, atol=0.06)


def test_the_same_photo_gives_the_same_texture(frontal: Portrait, head: HeadModel) -> None:
    again = frontal.bake(head)
    np.testing.assert_array_equal(again.photo, frontal.texture.photo)
    np.testing.assert_array_equal(again.seen, frontal.texture.seen)


def test_every_texel_of_the_layout_is_painted(frontal: Portrait, atlas: Atlas) -> None:
    assert (frontal.texture.photo.max(axis=2) > 5)[atlas.uv_map.covered.numpy()].all()


def test_a_photo_that_shows_nothing_still_gives_a_whole_texture(
    frontal: Portrait, head: HeadModel, atlas: Atlas
) -> None:
    nothing = np.zeros_like(frontal.regions.person)
    blind = replace(frontal, regions=replace(frontal.regions, person=nothing, skin=nothing)).bake(head)
    assert blind.seen.reshape(-1)[atlas.uv_map.texel[atlas.skin].numpy()].max() == 0
    skin = blind.photo.reshape(-1, 3)[atlas.uv_map.texel[(atlas.neck > 0.9)].numpy()] / 255
    assert np.abs(skin.mean(axis=0) - SKIN).max() < 0.05


def test_a_black_and_white_photo_gives_a_black_and_white_texture(frontal: Portrait, head: HeadModel) -> None:
    grey = frontal.photo.mean(axis=2, keepdims=True).astype(np.uint8).repeat(3, axis=2)
    tone = np.full(3, SKIN.mean(), np.float32)
    regions = replace(frontal.regions, skin_colour=tone, hair_colour=tone)
    portrait = replace(frontal, photo=grey, regions=regions)
    camera = portrait.tracked.camera
    baked = bake_albedo(grey, regions, portrait.tracked, camera, head, SIZE, unlit=True)
    assert baked.albedo is not None
    assert baked.light is not None
    for texture in (baked.photo, baked.albedo):
        assert np.ptp(texture.astype(int), axis=2).max() <= 2
    assert np.ptp(baked.light.harmonics, axis=1).max() < 1e-6


def test_detail_of_the_other_side_makes_no_texel_brighter_than_both_sides(head: HeadModel, atlas: Atlas) -> None:
    """Skin where the smooth colours are hair's: the ratio of the two belongs to neither side."""
    left = torch.from_numpy(head.template[:, 0] > 0)
    smooth = torch.where(left, 0.1, 0.5)[:, None]
    seen = left[atlas.corners.long()].all(1)
    photo = torch.zeros(len(seen), 5)
    photo[seen] = torch.tensor([0.6, 0.6, 0.6, 0.0, 1.0])
    layers = torch.cat([smooth.expand(-1, 6), torch.zeros(len(smooth), 1)], 1)
    colours, _ = compose(photo, smooth.expand(-1, 3), layers, (0.0, 0.0), atlas.grain, atlas.strands, atlas)
    mirrored = seen[atlas.mirror_texel.long()] & ~seen & atlas.skin
    assert int(mirrored.sum()) > 1000
    assert float(colours[mirrored].max()) < 0.61


def test_a_small_patch_of_neck_between_clothes_leaves_no_mark(frontal: Portrait, head: HeadModel, atlas: Atlas) -> None:
    landmarks = frontal.tracked.detection.landmarks
    chin, height = landmarks[152, :2], np.ptp(landmarks[:468, 1])
    row, column = np.indices(frontal.photo.shape[:2])
    clothes = (frontal.regions.person > 0) & (row > chin[1] + 0.02 * height)
    patch = clothes & (np.abs(column - chin[0]) < 0.04 * height) & (row < chin[1] + 0.22 * height)
    photo = frontal.photo.copy()
    photo[clothes] = (40, 60, 160)
    photo[patch] = 255 * 1.25 * SKIN  # lit from below
    skin = np.where(clothes & ~patch, 0, frontal.regions.skin).astype(np.float32)
    dressed = replace(
        frontal, photo=photo, regions=replace(frontal.regions, skin=skin, other=(clothes & ~patch).astype(np.float32))
    )
    neck = atlas.uv_map.texel[atlas.neck > 0.99].numpy()
    light = dressed.bake(head).photo.reshape(-1, 3)[neck].mean(axis=1) / 255
    assert light.max() < SKIN.mean() + 0.1


def test_lids_behind_dark_glasses_are_skin(frontal: Portrait, head: HeadModel) -> None:
    """Their tone is read around the eyes, where coloured lenses are."""
    landmarks = frontal.tracked.detection.landmarks[:, :2]
    top, bottom = landmarks[[105, 334], 1].min(), landmarks[[101, 330], 1].max() + 20
    photo, lenses = frontal.photo.copy(), np.zeros_like(frontal.regions.person)
    photo[int(top) : int(bottom)] = (150, 90, 120)
    lenses[int(top) : int(bottom)] = 1
    told, behind = (lid_tones(photo, landmarks, SKIN, head, hidden).numpy() / LID_SHADE for hidden in (None, lenses))
    assert np.abs(told - SKIN).max() > 0.1
    assert np.abs(behind - SKIN).max() < 0.02
