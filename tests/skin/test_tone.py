from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from meshlam_core.errors import AssetError
from meshlam_core.head.model import HeadModel
from meshlam_core.skin.fit import Points, fit_light, shading
from meshlam_core.skin.model import SkinModel, load_skin_model
from meshlam_core.skin.tone import ToneModel, load_tone_model, with_tone

F64 = NDArray[np.float64]
DARK = np.array([-1.6, -2.3, -2.8])  # a tone


@pytest.fixture(scope="module")
def skin(head: HeadModel) -> SkinModel:
    found = load_skin_model(head)
    assert found is not None
    return found


def shown(skin: SkinModel, head: HeadModel, darker: float, strength: float) -> tuple[Points, F64]:
    """A face in the usual light at this strength, so many standard deviations darker than the mean; and its tone."""
    face = np.flatnonzero((head.part == head.parts.index("face")) & (skin.normals[:, 2] > 0.2))[::3]
    light = strength * skin.prior.mean.reshape(9, 3)
    mode = skin.basis[0]  # the one along which people are dark or pale
    albedo = (skin.mean - darker * np.sign(mode[face].mean()) * mode)[face]
    colour = albedo + np.log(shading(skin.transfer[face], light))
    points = Points(
        colour.astype(np.float32),
        np.ones(len(face), np.float32),
        skin.transfer[face],
        skin.mean[face],
        skin.basis[:, face],
    )
    return points, np.median(albedo, axis=0)


def albedo_of(points: Points, light: F64) -> F64:
    return np.asarray(np.median(points.colour - np.log(shading(points.transfer, light)), axis=0))


@pytest.mark.parametrize(
    ("darker", "strength"), [(-0.3, 1.0), (-0.3, 0.8), (0.5, 1.0), (1.5, 0.8), (1.5, 1.2), (2.5, 1.0)]
)
def test_pale_skin_is_judged_pale_and_dark_skin_dark(
    skin: SkinModel, head: HeadModel, darker: float, strength: float
) -> None:
    points, tone = shown(skin, head, darker, strength)
    fit = with_tone(fit_light(points, skin.prior), points, load_tone_model())
    off = albedo_of(points, fit.light) - tone
    assert abs(off.mean()) < 0.45  # as far as one photo tells
    assert (off - off.mean()).std() < 0.12
    assert 0.1 < fit.tone_doubt < 0.5


def test_what_the_light_loses_the_person_gains(skin: SkinModel, head: HeadModel) -> None:
    points, _ = shown(skin, head, 0.5, 1.0)
    known = load_tone_model()
    always = ToneModel(known.centre, known.scale, known.inner, known.inner_bias, 0 * known.outer, DARK, known.doubt)
    before = fit_light(points, skin.prior)
    after = with_tone(before, points, always)
    assert (after.light > 1.3 * before.light).all(where=before.light > 0)
    assert abs((albedo_of(points, after.light) - DARK).mean()) < 0.01
    np.testing.assert_allclose(after.paler, albedo_of(points, after.light) - albedo_of(points, before.light), atol=1e-6)


def test_the_photo_is_the_same_but_for_the_strength_and_tint_of_its_light(skin: SkinModel, head: HeadModel) -> None:
    points, _ = shown(skin, head, 1.0, 0.7)
    before = fit_light(points, skin.prior)
    ratio = with_tone(before, points, load_tone_model()).light / before.light
    np.testing.assert_allclose(ratio, np.broadcast_to(ratio[:1], ratio.shape))


def test_a_damaged_file_is_named(tmp_path: Path) -> None:
    path = tmp_path / "tone.npz"
    path.write_bytes(b"no archive")
    with pytest.raises(AssetError, match=r"tone\.npz is not readable"):
        load_tone_model(path)
