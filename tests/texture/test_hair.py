"""Hair on the hull: what no photo shows of it is still hair, and skin stays skin."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy import ndimage
from scipy.spatial import cKDTree

from meshlam_core.head.model import HeadModel
from meshlam_core.texture.albedo import bake_albedo
from meshlam_core.texture.atlas import Atlas, build_atlas
from meshlam_core.texture.hair_look import HairLook, look_of
from meshlam_core.texture.noise import strands
from meshlam_core.texture.skin import hair_tone, smooth_bordered
from meshlam_core.texture.trust import SEE_THROUGH, shine_through
from meshlam_core.tracker.parsing import Regions
from meshlam_core.tracker.types import HairHull
from tests.texture.conftest import SIDE, SIZE, SKIN, WALL, Portrait, make_portrait

DARK = np.array([0.12, 0.08, 0.06], np.float32)
COMBED = HairLook(order=0.9)
GREY = np.array([0.34, 0.30, 0.28], np.float32)


def _haired(portrait: Portrait, grown: np.ndarray, head: HeadModel, by: float = 0.02) -> Portrait:
    """The portrait with dark hair, `by` m high, all of it hidden from the camera, on the vertices `grown` [V]."""
    outwards = head.template - head.template[grown].mean(axis=0)
    outwards /= np.linalg.norm(outwards, axis=1, keepdims=True)
    displacement = (by * grown[:, None] * outwards).astype(np.float32)
    hull = HairHull(displacement, np.zeros(0, np.float32), (0.0, 0.0))
    regions = replace(portrait.regions, hair_colour=DARK, hair_share=1.0)
    return replace(portrait, tracked=replace(portrait.tracked, hair=hull), regions=regions)


def _around_ears(head: HeadModel) -> np.ndarray:
    """[V] bool the vertices within 3 cm of the ears."""
    ears = head.part == head.parts.index("ears")
    distance = np.linalg.norm(head.template[:, None] - head.template[ears][None, ::7], axis=2).min(axis=1)
    return (distance < 0.03) & ~ears


def test_an_ear_amid_hair_is_hair_though_the_photo_does_not_show_it(
    turned: Portrait, head: HeadModel, atlas: Atlas
) -> None:
    around = _around_ears(head)
    scalp = head.part == head.parts.index("scalp")
    albedo = _haired(turned, around | scalp, head).bake(head).photo.reshape(-1, 3) / 255
    rows = atlas.rows_of("ears").numpy()
    seen = turned.texture.seen.reshape(-1)[atlas.uv_map.texel.numpy()]
    unknown = (seen[rows] < 20) & (seen[atlas.mirror_texel.numpy()[rows]] < 20)  # neither it nor its mirror image
    hidden = albedo[atlas.uv_map.texel.numpy()[rows[unknown]]]
    assert len(hidden) > 200
    assert (np.abs(hidden - SKIN).max(axis=1) < 0.15).mean() < 0.05


def test_an_ear_below_short_hair_stays_skin(turned: Portrait, head: HeadModel, atlas: Atlas) -> None:
    scalp = head.part == head.parts.index("scalp")
    albedo = _haired(turned, scalp, head).bake(head).photo.reshape(-1, 3) / 255
    ears = albedo[atlas.uv_map.texel.numpy()[atlas.rows_of("ears").numpy()]]
    assert (np.abs(np.median(ears, axis=0) - SKIN) < 0.15).all()


def test_a_mask_that_is_never_sure_of_hair_paints_none(frontal: Portrait, head: HeadModel, atlas: Atlas) -> None:
    """Shade on a shaved head is half taken for hair; strands of the skin's own colour would grow there."""
    hidden = [atlas.rows_of("scalp").numpy()]
    bald = _scalp_of(frontal, frontal.regions, head, hidden)
    likely = replace(frontal.regions, hair_colour=DARK, hair_share=1.0)
    doubtful = _scalp_of(frontal, replace(likely, hair_solid=0.0), head, hidden)
    sure = _scalp_of(frontal, replace(likely, hair_solid=1.0), head, hidden)
    np.testing.assert_allclose(doubtful, bald, atol=0.01)
    assert sure.mean() < bald.mean() - 0.1
    # the hull may have grown a little all the same
    grown = _haired(frontal, head.part == head.parts.index("scalp"), head)
    assert _scalp_of(grown, replace(likely, hair_solid=0.0), head, hidden).mean() > bald.mean() - 0.05
    assert _scalp_of(grown, replace(likely, hair_solid=1.0), head, hidden).mean() < bald.mean() - 0.1


def test_a_little_dense_hair_covers_the_head_behind(frontal: Portrait, head: HeadModel, atlas: Atlas) -> None:
    """A rim of it at the temples is all that the photo shows of many heads."""
    rows = [atlas.rows_of("scalp").numpy()]
    rim = replace(frontal.regions, hair_colour=DARK, hair_share=0.1)
    stubble, dense = (_scalp_of(frontal, replace(rim, hair_solid=solid), head, rows) for solid in (0.02, 0.07))
    assert np.median(dense) < np.median(stubble) - 0.15


def test_brighter_strands_shine_and_are_not_of_a_deeper_hue(frontal: Portrait, head: HeadModel, atlas: Atlas) -> None:
    brown = np.array([0.40, 0.22, 0.12], np.float32)
    haired = replace(frontal.regions, hair_colour=brown, hair_share=1.0)
    painted = _scalp_of(frontal, haired, head, [atlas.rows_of("scalp").numpy()])
    brightness, warmth = painted.mean(axis=1), painted[:, 0] / painted[:, 2].clip(0.02)
    hair = np.abs(painted - brown).max(axis=1) < 0.15
    low, high = np.quantile(brightness[hair], [0.2, 0.8])
    bright, usual = hair & (brightness > high), hair & (brightness > low) & (brightness < np.median(brightness[hair]))
    assert np.median(warmth[bright]) < 0.97 * np.median(warmth[usual])


def test_hair_that_is_not_sure_lies_all_over_the_head_or_not_at_all(
    frontal: Portrait, head: HeadModel, atlas: Atlas
) -> None:
    """A hull that bulges in one place, because the mask did, is no tuft on a shaved head."""
    scalp = head.part == head.parts.index("scalp")
    tuft = scalp & (head.template[:, 0] > 0) & (head.template[:, 2] < np.median(head.template[scalp, 2]))
    rows = [atlas.rows_of("scalp").numpy()]
    grown = replace(_haired(frontal, tuft, head).regions, hair_share=0.1, hair_solid=0.02)
    colours = _scalp_of(_haired(frontal, tuft, head), grown, head, rows).mean(axis=1)
    points = atlas.at_texels(torch.from_numpy(head.template.copy()))[torch.from_numpy(rows[0])].numpy()
    behind = points[:, 2] < np.quantile(points[:, 2], 0.4)
    left, right = (np.median(colours[behind & (side * points[:, 0] > 0.02)]) for side in (1, -1))
    assert abs(left - right) < 0.05


def _scalp_of(portrait: Portrait, regions: Regions, head: HeadModel, rows: list[np.ndarray]) -> np.ndarray:
    texture = replace(portrait, regions=regions).bake(head).photo.reshape(-1, 3) / 255
    return texture[build_atlas(head, SIZE).uv_map.texel.numpy()[rows[0]]]


def test_hair_behind_the_far_temple_does_not_fall_onto_a_forehead_that_is_bare_on_the_near_side(
    turned: Portrait, head: HeadModel, atlas: Atlas
) -> None:
    person = turned.regions.person > 0.5
    rows, columns = np.indices(person.shape)
    brow = turned.tracked.detection.landmarks[[105, 334], 1].min()
    far_side = columns > np.median(turned.tracked.detection.landmarks[:, 0])
    rim = person & ~ndimage.binary_erosion(person, iterations=14) & far_side & (rows < brow)
    photo = np.where(rim[..., None], (DARK * 255).astype(np.uint8), turned.photo)
    regions = replace(turned.regions, hair=rim.astype(np.float32), skin=(person & ~rim).astype(np.float32))
    baked = replace(turned, photo=photo, regions=replace(regions, hair_solid=0.0)).bake(head).photo.reshape(-1, 3)
    face = baked[atlas.uv_map.texel.numpy()[atlas.rows_of("face").numpy()]] / 255
    before = turned.texture.photo.reshape(-1, 3)[atlas.uv_map.texel.numpy()[atlas.rows_of("face").numpy()]] / 255
    dark = (face.mean(axis=1) < 0.3) & (before.mean(axis=1) > 0.4)
    assert dark.mean() < 0.0005


def test_hair_mirrored_onto_a_darker_side_takes_no_other_hue(head: HeadModel, atlas: Atlas) -> None:
    """What hair is beside skin is a ratio: subtracted from skin in the shade it would leave blue."""
    portrait = make_portrait(head, atlas, yaw=0.6, scalp=GREY)
    hair = (portrait.photo[..., 0] < 0.6 * portrait.photo[..., 0].max()) & (portrait.regions.person > 0.5)
    shade = np.where(np.arange(SIDE) < np.median(portrait.tracked.detection.landmarks[:, 0]), 1, 0.4)[None, :, None]
    portrait = replace(portrait, photo=(portrait.photo * shade).astype(np.uint8))
    regions = replace(portrait.regions, hair_colour=GREY, hair_share=1.0, hair=hair.astype(np.float32))
    baked = replace(portrait, regions=regions).bake(head).photo.reshape(-1, 3) / 255
    scalp = baked[atlas.uv_map.texel.numpy()[atlas.rows_of("scalp").numpy()]]
    assert np.quantile(scalp[:, 2] / scalp[:, 0].clip(0.01), 0.99) < 0.9


def test_hair_that_nobody_sees_goes_on_as_it_ends_where_it_is_seen(head: HeadModel, atlas: Atlas) -> None:
    """Dark at the temples, and only farther behind as it is in the mean: no edge where the photo ends."""
    portrait = make_portrait(head, atlas, yaw=0.0, scalp=GREY)
    hair = _painted(portrait, GREY)
    beside = np.abs(np.arange(SIDE) - SIDE / 2)[None] > np.quantile(np.abs(np.nonzero(hair)[1] - SIDE / 2), 0.75)
    photo = np.where((hair & beside)[..., None], (DARK * 255).astype(np.uint8), portrait.photo)
    regions = replace(portrait.regions, hair_colour=GREY, hair_share=1.0, hair=hair.astype(np.float32))
    baked = replace(portrait, photo=photo, regions=regions).bake(head)
    rows = atlas.rows_of("scalp").numpy()
    places = atlas.uv_map.texel.numpy()[rows]
    seen = baked.seen.reshape(-1)[places] / 255
    colour = baked.photo.reshape(-1, 3)[places].mean(axis=1) / 255
    points = atlas.at_texels(torch.from_numpy(head.template.copy()))[torch.from_numpy(rows)].numpy()
    temple = (seen > 0.6) & (np.abs(points[:, 0]) > 0.06)
    assert np.median(colour[temple]) < 0.2
    near = cKDTree(points[temple]).query(points)[0]
    beyond, far = ((seen < 0.02) & (near > low) & (near < high) for low, high in ((0.004, 0.012), (0.07, 0.2)))
    assert np.median(colour[beyond]) < 0.3 * DARK.mean() + 0.7 * GREY.mean() - 0.05
    assert np.median(colour[far]) > 0.75 * GREY.mean()


def test_a_piece_of_hair_that_is_seen_alone_is_painted_over(head: HeadModel, atlas: Atlas) -> None:
    """Where one wave of a hull faces the camera, the photo would lie on it as a dab."""
    photo = torch.zeros(len(atlas.places), 5)
    points = atlas.at_texels(torch.from_numpy(head.template.copy()))
    scalp = atlas.scalp > 0.9
    behind = points[scalp][points[scalp][:, 2].argmin()]
    wave = scalp & ((points - behind).norm(dim=1) < 0.006)
    front = scalp & (points[:, 2] > points[scalp][:, 2].quantile(0.8))
    photo[wave | front] = torch.tensor([0.5, 0.5, 0.5, 1.0, 1.0])
    kept = smooth_bordered(photo, atlas)[:, 4]
    assert float(kept[wave & ~front].max()) < 0.05
    assert float((kept[front] > 0.95).float().mean()) > 0.7
    bare = photo * torch.tensor([1, 1, 1, 0, 1])
    assert torch.equal(smooth_bordered(bare, atlas), bare)  # of skin every piece is welcome


def _painted(portrait: Portrait, colour: np.ndarray) -> np.ndarray:
    """[SIDE, SIDE] bool where the photo is nearer to a colour than to the skin's and the wall's."""
    off = [np.abs(portrait.photo / 255 - one).sum(axis=-1) for one in (colour, SKIN, WALL)]
    return (np.argmin(off, axis=0) == 0) & (portrait.regions.person > 0.5)


def _combed(growth: float, look: HairLook = COMBED) -> np.ndarray:
    """[60, 120] strands on the side of a curtain of hair below the skull's middle, every 2 mm down and 1 mm across."""
    down, across = np.meshgrid(np.arange(60) * 0.002, np.arange(-60, 60) * 0.001, indexing="ij")
    angle = across / 0.1
    points = np.stack([0.1 * np.cos(angle), -0.08 - down, 0.1 * np.sin(angle)], -1).reshape(-1, 3)
    return (
        strands(torch.from_numpy(points.astype(np.float32)), torch.zeros(3), growth, look).numpy().reshape(down.shape)
    )


def _likeness(a: np.ndarray, b: np.ndarray) -> float:
    return float(np.corrcoef(a.ravel(), b.ravel())[0, 1])


def test_long_hair_falls_straight_down_beside_the_face() -> None:
    hair = _combed(growth=0.05)
    assert _likeness(hair[:-5], hair[5:]) > 0.6  # 1 cm further down
    assert _likeness(hair[:, :-10], hair[:, 10:]) < 0.5  # 1 cm beside it


def test_short_hair_has_shorter_strands() -> None:
    long, short = _combed(growth=0.05), _combed(growth=0.005)
    assert _likeness(short[:-10], short[10:]) < _likeness(long[:-10], long[10:]) - 0.2


def test_tousled_hair_has_shorter_strands() -> None:
    combed, tousled = _combed(0.05), _combed(0.05, HairLook(order=0.2))
    assert _likeness(tousled[:-10], tousled[10:]) < _likeness(combed[:-10], combed[10:]) - 0.2


def _photo_of_hair(width: float, contrast: float, lean: float) -> HairLook:
    """The look of strands `width` m wide, of a square of hair 10 cm wide; `lean` 0 has none, only spots."""
    pixels = np.random.default_rng(3).standard_normal((200, 200))
    pixel = 0.5e-3
    spots = ndimage.gaussian_filter(pixels, (width / pixel * (1 + 9 * lean), width / pixel))
    crop = (90 * np.exp(contrast * spots / spots.std())).clip(0, 255).astype(np.uint8)
    return look_of(crop[..., None].repeat(3, 2), np.ones(crop.shape, np.float32), pixel)


def test_the_look_of_hair_tells_its_contrast_its_strands_width_and_their_order() -> None:
    fine, coarse = _photo_of_hair(0.5e-3, 0.4, 1.0), _photo_of_hair(2e-3, 0.4, 1.0)
    assert fine.bands[1] / fine.bands[3] > 2 * coarse.bands[1] / coarse.bands[3]
    assert 1.6 < fine.strength / _photo_of_hair(0.5e-3, 0.2, 1.0).strength < 2.1
    assert _photo_of_hair(0.5e-3, 0.4, 0.0).order < 0.4 < 0.8 < fine.order


def test_hair_that_hardly_shows_looks_as_hair_usually_does() -> None:
    crop = np.zeros((200, 200, 3), np.uint8)
    hair = np.zeros((200, 200), np.float32)
    hair[90:100, 90:100] = 1
    assert look_of(crop, hair, 0.5e-3) == HairLook()


def test_an_ear_that_the_mesh_has_smaller_is_not_painted_on_the_hair_beside_it(head: HeadModel, atlas: Atlas) -> None:
    portrait = make_portrait(head, atlas, yaw=0.9)
    bare = portrait.bake(head)
    around = _around_ears(head) & (head.template[:, 2] < head.template[head.part == head.parts.index("ears"), 2].mean())
    covered = _haired(portrait, around, head).bake(head)
    rows = (
        atlas.at_texels(torch.from_numpy((around & (atlas.beside_ears.numpy() > 0.9))[:, None].astype(np.float32)))[
            :, 0
        ]
        > 0.99
    )
    texels = atlas.uv_map.texel.numpy()[rows.numpy()]
    shown = bare.seen.reshape(-1)[texels] > 128
    assert shown.sum() > 100
    assert covered.photo.reshape(-1, 3)[texels][shown].mean() / 255 < 0.5 * SKIN.mean()


def test_hair_behind_has_the_tone_of_hair_that_is_sure_not_of_its_outline(head: HeadModel, atlas: Atlas) -> None:
    """Along the outline a bright ground shines through, and the masks' median knows no better."""
    sure = torch.zeros(len(atlas.corners), 5)
    rows = atlas.rows_of("scalp")
    sure[rows] = torch.tensor([*DARK.tolist(), 1.0, 1.0])
    sure[rows[: len(rows) // 3], :3] = 0.9
    sure[rows[: len(rows) // 3], 4] = 0.3
    tone = hair_tone(sure, np.array([0.6, 0.6, 0.6], np.float32))
    assert np.allclose(tone, DARK, atol=0.01)


@pytest.mark.parametrize(("wall", "given_up"), [(0.9, True), (0.15, False)])
def test_a_wall_that_shows_between_strands_is_told_by_its_colour(wall: float, given_up: bool) -> None:
    """Also where the masks say hair; a wall of the hair's colour does no harm."""
    hair = np.array([0.2, 0.14, 0.1], np.float32)
    image = np.broadcast_to(hair, (60, 120, 3)).copy()
    image[:, 80:] = wall
    image[20:40, 74:80] = 0.3 * hair + 0.7 * wall
    image[20:40, 30:36] = 0.3 * hair + 0.7 * wall  # a lock that shines, far from any wall
    person = np.ones((60, 120), np.float32)
    person[:, 80:] = 0
    share = shine_through(image, person, hair, 8)
    assert (share[25:35, 75:79] > SEE_THROUGH).all() == given_up
    assert share[:, :70].max() < SEE_THROUGH
    assert share[:15, 70:78].max() < SEE_THROUGH


def test_grey_hair_has_one_hue_from_the_crown_to_the_nape(frontal: Portrait, head: HeadModel, atlas: Atlas) -> None:
    scalp = head.part == head.parts.index("scalp")
    middle = float(np.median(head.template[scalp, 1]))
    grown = scalp & (head.template[:, 1] > middle)  # below, hair is too short for the hull
    haired = _haired(frontal, grown, head)
    cold = (frontal.photo * np.array([0.8, 0.95, 1.1])).clip(0, 255).astype(np.uint8)
    grey = replace(haired.regions, hair_colour=np.full(3, 0.7, np.float32))
    options = (cold, grey, haired.tracked, haired.tracked.camera, head, SIZE)
    colour = torch.tensor(bake_albedo(*options, unlit=True).photo).float()
    at = colour.view(-1, 3)[atlas.places.long()]
    height = atlas.at_texels(torch.tensor(head.template[:, 1:]))
    back = (atlas.share("scalp")[atlas.corners[:, 0].long()] > 0.9) & (height[:, 1] < 0.0)
    upper, lower = (at[back & rows].mean(0) for rows in (height[:, 0] > middle + 0.02, height[:, 0] < middle - 0.02))
    assert abs(float(upper[0] / upper[2] - lower[0] / lower[2])) < 0.03


def test_ground_between_the_outermost_strands_is_shown_by_the_outline_and_by_no_texture(
    head: HeadModel, atlas: Atlas
) -> None:
    """A photo's texture shows the photo, yet from the side a rim of the wall's colour would be a seam."""
    brown = np.float32([0.30, 0.20, 0.12])
    portrait = make_portrait(head, atlas, yaw=0.0, scalp=brown)
    scalp = head.part == head.parts.index("scalp")
    hair = (portrait.photo[..., 0] < 0.6 * portrait.photo[..., 0].max()) & (portrait.regions.person > 0.5)
    deep = ndimage.distance_transform_edt(portrait.regions.person > 0.5)
    share = np.where(hair, (1 - deep / 12).clip(0, 0.8), 0)[..., None]
    photo = ((1 - share) * portrait.photo + share * WALL * 255).astype(np.uint8)
    regions = replace(
        portrait.regions,
        hair=hair.astype(np.float32),
        skin=portrait.regions.person * ~hair,
        hair_colour=brown,
        hair_share=1.0,
    )
    grown = _haired(replace(portrait, photo=photo), scalp, head, 0.004)
    texture = bake_albedo(photo, regions, grown.tracked, grown.tracked.camera, head, SIZE, unlit=True)
    assert texture.albedo is not None
    assert texture.outline is not None

    def wall(picture: np.ndarray) -> np.ndarray:  # magenta beside brown
        return picture[..., 2].astype(float) - picture[..., 1]

    shown = (texture.outline[..., 3] > 128) & (wall(texture.outline) > 30)
    assert shown.sum() > 200
    assert np.median(wall(texture.photo)[shown]) < 5
    assert np.median(wall(texture.albedo)[shown]) < 5
