from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from meshlam_core.head.model import HeadModel
from meshlam_core.raster.project import project
from meshlam_core.skin.model import load_skin_model
from meshlam_core.texture.albedo import Texture, bake_albedo, observe
from meshlam_core.texture.atlas import Atlas
from meshlam_core.texture.gloss import cold_on_hair, fine_light
from meshlam_core.texture.separate import Separation, separate
from tests.texture.conftest import SIZE, Portrait, make_portrait

WIDE = 20.0  # px of the photo, standard deviation of a patch of light


def _bake(portrait: Portrait, head: HeadModel) -> Texture:
    camera = portrait.tracked.camera
    return bake_albedo(portrait.photo, portrait.regions, portrait.tracked, camera, head, SIZE, unlit=True)


def _forehead(head: HeadModel) -> int:
    """The vertex in its middle."""
    eyes = head.template[head.part == head.parts.index("eyeball_left")].mean(axis=0)
    face = np.flatnonzero(head.part == head.parts.index("face"))
    return int(face[np.linalg.norm(head.template[face, :2] - [0.0, eyes[1] + 0.04], axis=1).argmin()])


def _with_patch(portrait: Portrait, head: HeadModel, atlas: Atlas, gain: NDArray[np.float32]) -> Portrait:
    """A lamp of another colour, [3] times brighter, on the middle of the forehead."""
    camera = portrait.tracked.camera
    found = observe(portrait.photo, portrait.regions, portrait.tracked, camera, head, atlas)
    x, y = project(found.posed[None], camera)[0, _forehead(head), :2].tolist()
    rows, columns = np.mgrid[: portrait.photo.shape[0], : portrait.photo.shape[1]] + 0.5
    spot = np.exp(-((rows - y) ** 2 + (columns - x) ** 2) / (2 * WIDE**2))[..., None]
    return replace(portrait, photo=(portrait.photo * gain**spot).clip(0, 255).astype(np.uint8))


def _around(picture: NDArray[np.uint8], head: HeadModel, atlas: Atlas) -> NDArray[np.float32]:
    """[R, 3] the texels of that patch."""
    at = atlas.at_texels(torch.from_numpy(head.template.copy())).numpy()
    near = np.linalg.norm(at - head.template[_forehead(head)], axis=1) < 0.008
    return picture.reshape(-1, 3)[atlas.places.numpy()[near]].astype(np.float32)


@pytest.mark.parametrize("gain", [(1.3, 1.3, 1.3), (1.3, 1.2, 1.0)], ids=["gloss", "warm lamp"])
def test_a_patch_of_light_is_in_the_photos_texture_and_not_in_the_albedo(
    gain: tuple[float, float, float], frontal: Portrait, head: HeadModel, atlas: Atlas
) -> None:
    plain, lit = _bake(frontal, head), _bake(_with_patch(frontal, head, atlas, np.float32(gain)), head)
    assert plain.albedo is not None
    assert lit.albedo is not None
    bare, shown = _around(plain.albedo, head, atlas), _around(lit.albedo, head, atlas)
    photo = _around(lit.photo, head, atlas) / _around(plain.photo, head, atlas)
    assert np.allclose(np.median(photo, axis=0), gain, atol=0.1)
    assert np.abs(np.median(shown / bare, axis=0) - 1).max() < 0.1
    # what is finer than the patch is the person's: freckles stay
    relief = [np.log(values).mean(axis=1) for values in (bare, shown)]
    assert np.corrcoef(relief[0], relief[1])[0, 1] > 0.8


def test_no_eye_is_whiter_than_whites_are(frontal: Portrait, head: HeadModel, atlas: Atlas) -> None:
    dazzled = (255 * (frontal.photo / 255.0) ** 0.5 + 0.5).astype(np.uint8)
    texture = _bake(replace(frontal, photo=dazzled), head)
    assert texture.albedo is not None
    for name, eye in atlas.eyes.items():
        whites = texture.albedo.reshape(-1, 3)[atlas.places.numpy()[eye.rows.numpy()]]
        assert np.quantile(whites, 0.9) < 0.78 * 255, name


@pytest.mark.parametrize(("colour", "most"), [((0.5, 0.5, 0.5), 0.02), ((0.5, 0.4, 0.25), 1.0)], ids=["white", "brown"])
def test_hair_that_looks_white_is_in_white_light(
    colour: tuple[float, float, float], most: float, frontal: Portrait, head: HeadModel, atlas: Atlas
) -> None:
    tinted = (frontal.photo * np.float32([1.0, 0.85, 0.65])).astype(np.uint8)
    parted = _separate(replace(frontal, photo=tinted), np.float32(colour), head, atlas)
    assert parted.level[0] > 1.1 * parted.level[2]  # the light is warm
    tint = float(parted.hair[0] / parted.hair[2]) - 1
    assert (abs(tint) < most) if most < 1 else tint > 0.05


def _separate(portrait: Portrait, hair: NDArray[np.float32], head: HeadModel, atlas: Atlas) -> Separation:
    skin = load_skin_model(head)
    assert skin is not None
    with torch.inference_mode():
        found = observe(portrait.photo, portrait.regions, portrait.tracked, portrait.tracked.camera, head, atlas)
        turned = portrait.tracked.rotations[0]
        parted = separate(found.sight.skin, found.posed, turned, found.cover, None, hair, skin, head, atlas)
    assert parted is not None
    return parted


def test_an_ear_that_the_photo_hides_has_the_others_colour_and_not_that_of_the_dark_beside_it(
    head: HeadModel, atlas: Atlas
) -> None:
    texture = _bake(make_portrait(head, atlas, yaw=0.5, scalp=np.float32([0.08, 0.06, 0.05])), head)
    assert texture.albedo is not None
    at = atlas.at_texels(torch.from_numpy(head.template.copy()))[:, 0].numpy()
    ears = atlas.ears.numpy() > 0.9
    light = texture.albedo.reshape(-1, 3)[atlas.places.numpy()].mean(axis=1)
    seen = texture.seen.reshape(-1)[atlas.places.numpy()]
    left, right = (np.median(light[ears & (side * at > 0)]) for side in (1, -1))
    shown = [seen[ears & (side * at > 0)].mean() for side in (1, -1)]
    assert max(shown) > 5 * min(shown), "one ear shows"
    assert abs(np.log(left / right)) < 0.15


@pytest.mark.parametrize(
    ("usual", "shown", "kept"),
    [
        ((0.35, 0.25, 0.18), (0.40, 0.45, 0.55), False),  # the sky on brown hair
        ((0.06, 0.06, 0.10), (0.10, 0.10, 0.22), False),  # a blue lamp on black hair
        ((0.35, 0.25, 0.18), (0.30, 0.42, 0.20), False),  # leaves behind it
        ((0.20, 0.25, 0.60), (0.20, 0.25, 0.60), True),  # dyed
        ((0.35, 0.25, 0.18), (0.40, 0.30, 0.22), True),  # brown
    ],
)
def test_cold_on_hair_is_light_unless_all_of_it_is_blue(
    usual: tuple[float, ...], shown: tuple[float, ...], kept: bool
) -> None:
    hair = torch.tensor([[*shown, 1.0, 1.0], [*shown, 0.0, 1.0]])
    left = hair[:, :3] / cold_on_hair(hair, torch.tensor(usual))
    assert torch.allclose(left[1], hair[1, :3])  # skin
    assert torch.allclose(left[0], hair[0, :3]) == kept
    if not kept:
        assert float(left[0, 1:].max()) < float(left[0, 0]) + 0.01, "no longer cold"
        warm = usual[0] > usual[2]
        assert (float(left[0, 0]) > 1.2 * float(left[0, 2])) == warm, "but of the hair's own hue"


def test_cold_light_is_told_from_hair_that_is_seen_only() -> None:
    """What the photo does not show is the mirrored side's, whose colours nothing turned blue."""
    blue = torch.tensor([[0.1, 0.1, 0.16, 1.0, 1.0], [0.1, 0.1, 0.16, 1.0, 0.0]])
    seen, unseen = cold_on_hair(blue, torch.tensor([0.15, 0.1, 0.08]))
    assert seen[2] > 1.2 * seen[0]
    assert torch.equal(unseen, torch.ones(3))


def test_a_lamps_light_goes_on_where_the_photo_shows_no_skin(head: HeadModel, atlas: Atlas) -> None:
    """The harmonics cannot follow it; where the photo ends, so would the lamp, in a line."""
    points = atlas.at_texels(torch.from_numpy(head.template.copy()))
    skin = load_skin_model(head)
    assert skin is not None
    person = torch.full((len(head.template), 3), 0.6)
    forehead = head.template[_forehead(head)]
    ends = 0.03  # m to the left, beyond which nothing is seen
    lamp = torch.tensor([1.2, 1.0, 0.85]) ** ((points[:, :1] - 0.01) / 0.02).clamp(0, 1)
    seen = ((points[:, 0] < ends) & atlas.skin).float()
    shown = torch.cat([0.6 * lamp, torch.zeros(len(points), 1), seen[:, None]], 1) * seen[:, None]
    light = fine_light(shown, person, torch.from_numpy(skin.spread), head, atlas)[0]
    at_brow = ((points[:, 1] - float(forehead[1])).abs() < 0.01) & (points[:, 2] > 0.06) & atlas.skin

    def warmth(low: float, high: float) -> float:
        there = light[at_brow & (points[:, 0] > low) & (points[:, 0] < high)]
        return float((there[:, 0] / there[:, 2]).log().mean())

    inside, beyond = warmth(ends - 0.006, ends - 0.002), warmth(ends + 0.001, ends + 0.005)
    assert inside > 0.1
    assert beyond > 0.6 * inside
    assert warmth(-0.06, -0.03) < 0.03
