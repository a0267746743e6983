from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray

from meshlam_core.head.model import HeadModel
from meshlam_core.raster.project import project
from meshlam_core.texture.albedo import Texture, bake_albedo, observe
from meshlam_core.texture.atlas import Atlas
from meshlam_core.texture.skin import hair_tone
from tests.texture.conftest import SIDE, SIZE, Portrait

SHADE = 0.6  # of the photo's brightness, in the shadow


def _bake(portrait: Portrait, head: HeadModel) -> Texture:
    camera = portrait.tracked.camera
    return bake_albedo(portrait.photo, portrait.regions, portrait.tracked, camera, head, SIZE, unlit=True)


def _spot(x: float, y: float, head: HeadModel) -> int:
    """The face's vertex nearest to a place, in metres from the middle of the eyes."""
    eyes = head.template[head.part == head.parts.index("eyeball_left")].mean(axis=0)
    face = np.flatnonzero(head.part == head.parts.index("face"))
    return int(face[np.linalg.norm(head.template[face, :2] - [x, eyes[1] + y], axis=1).argmin()])


def _darkened(
    portrait: Portrait, discs: list[tuple[float, float, float]], head: HeadModel, atlas: Atlas
) -> tuple[Texture, Texture, NDArray[np.bool_]]:  # without, with, and [P] well inside
    """The portrait with sharp dark discs (m from the middle of the eyes, and the radius) on its skin."""
    camera = portrait.tracked.camera
    found = observe(portrait.photo, portrait.regions, portrait.tracked, camera, head, atlas)
    rows, columns = np.mgrid[:SIDE, :SIDE] + 0.5
    mask, inside = np.zeros((SIDE, SIDE), bool), np.zeros(len(atlas.places), bool)
    at = atlas.at_texels(torch.from_numpy(head.template.copy())).numpy()
    for x, y, radius in discs:
        vertex = _spot(x, y, head)
        u, v = project(found.posed[None], camera)[0, vertex, :2].tolist()
        depth = -float(found.posed[vertex, 2])
        mask |= np.hypot(rows - v, columns - u) < radius * camera.focal / depth
        inside |= np.linalg.norm(at - head.template[vertex], axis=1) < 0.6 * radius
    photo = np.where(mask[..., None], portrait.photo * SHADE, portrait.photo).astype(np.uint8)
    return _bake(portrait, head), _bake(replace(portrait, photo=photo), head), inside


def _ratio(with_it: NDArray[np.uint8], without: NDArray[np.uint8], rows: NDArray[np.bool_], atlas: Atlas) -> float:
    one, other = (picture.reshape(-1, 3)[atlas.places.numpy()[rows]].mean(axis=1) for picture in (with_it, without))
    return float(np.median(one / other))


def test_a_shadow_with_a_sharp_border_is_light_and_no_skin(frontal: Portrait, head: HeadModel, atlas: Atlas) -> None:
    plain, cast, inside = _darkened(frontal, [(0.035, -0.02, 0.017)], head, atlas)
    assert plain.albedo is not None
    assert cast.albedo is not None
    assert abs(_ratio(cast.photo, plain.photo, inside, atlas) - SHADE) < 0.03
    assert _ratio(cast.albedo, plain.albedo, inside, atlas) > 0.85
    # nor does its border stay as a line
    at = atlas.at_texels(torch.from_numpy(head.template.copy())).numpy()
    far = np.linalg.norm(at - head.template[_spot(0.035, -0.02, head)], axis=1)
    border = (far > 0.014) & (far < 0.02) & (atlas.skin.numpy() > 0)
    one, other = (t.albedo.reshape(-1, 3)[atlas.places.numpy()[border]].mean(axis=1) for t in (cast, plain))
    assert float(np.std(np.log(one / other))) < 0.12


def test_a_mole_stays(frontal: Portrait, head: HeadModel, atlas: Atlas) -> None:
    plain, marked, inside = _darkened(frontal, [(0.035, -0.02, 0.003)], head, atlas)
    assert plain.albedo is not None
    assert marked.albedo is not None
    assert _ratio(marked.albedo, plain.albedo, inside, atlas) < SHADE + 0.1


def test_what_is_dark_on_both_sides_is_a_beard(frontal: Portrait, head: HeadModel, atlas: Atlas) -> None:
    sides = [(side * 0.035, -0.02, 0.017) for side in (1, -1)]
    plain, bearded, inside = _darkened(frontal, sides, head, atlas)
    assert plain.albedo is not None
    assert bearded.albedo is not None
    assert _ratio(bearded.albedo, plain.albedo, inside, atlas) < SHADE + 0.15


def test_hair_of_which_the_sky_greys_a_part_is_blond() -> None:
    blond, sky = [0.70, 0.56, 0.38], [0.62, 0.60, 0.58]
    strands = torch.tensor([blond, blond, sky]).repeat(1400, 1)
    order = torch.randperm(len(strands), generator=torch.manual_seed(3))
    strands *= torch.linspace(0.6, 1.2, len(strands))[order][:, None]
    tone = hair_tone(torch.cat([strands, torch.ones(len(strands), 2)], 1), np.array([0.5, 0.5, 0.5], np.float32))
    assert abs(float(tone[0] / tone[2]) / (blond[0] / blond[2]) - 1) < 0.1
    assert float(strands.mean()) - 0.08 < float(tone.mean()) < float(strands.mean()) + 0.02


def test_sun_on_blond_hair_is_light_and_no_white_hair(frontal: Portrait, head: HeadModel, atlas: Atlas) -> None:
    blond, sunny = np.array([0.62, 0.52, 0.38], np.float32), 1.55
    scalp = _spot(0.0, 0.075, head)
    camera = frontal.tracked.camera
    found = observe(frontal.photo, frontal.regions, frontal.tracked, camera, head, atlas)
    line = float(project(found.posed[None], camera)[0, scalp, 1])
    rows, columns = np.mgrid[:SIDE, :SIDE] + 0.5
    hair = (rows < line) * frontal.regions.person
    gain = np.where(columns > SIDE / 2, sunny, 1.0)[..., None]
    grain = 1 + 0.1 * np.sin(columns)[..., None]
    photo = np.where(hair[..., None] > 0, 255 * (blond * gain * grain).clip(0, 1), frontal.photo).astype(np.uint8)
    regions = replace(frontal.regions, hair=hair, skin=frontal.regions.skin - hair, hair_colour=blond, hair_share=0.5)
    texture = _bake(replace(frontal, photo=photo, regions=regions), head)
    assert texture.albedo is not None
    at = atlas.at_texels(torch.from_numpy(head.template.copy())).numpy()
    top = (texture.trust.reshape(-1, 4)[atlas.places.numpy(), 0] > 250) & (atlas.scalp.numpy() > 0.9)
    shown, shade = (
        np.median(texture.albedo.reshape(-1, 3)[atlas.places.numpy()[top & (side * at[:, 0] > 0.01)]], axis=0) / 255.0
        for side in (1, -1)
    )
    assert float(shown.mean()) < 1.4 * float(shade.mean())
    assert float(shown[0] / shown[2]) > 0.8 * float(blond[0] / blond[2])
