"""The committed hairstyle basis on the open head: does it grow hair as promised?"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from meshlam_core.errors import AssetError
from meshlam_core.head.hair import HAIR_BASIS, HairModel, load_hair_model, save_hair_model
from meshlam_core.head.model import HeadModel

SEEN, HIDDEN = (0.0, 0.0), (1.0, 1.0)


def random_growth(hair: HairModel, seed: int) -> NDArray[np.float32]:
    return hair.growth(np.random.default_rng(seed).normal(size=len(hair.modes)))


def random_head(head: HeadModel, seed: int) -> NDArray[np.float32]:
    return head.shaped(np.random.default_rng(seed).normal(size=len(head.identity_basis)).astype(np.float32))


def parts_of(head: HeadModel, hair: HairModel) -> set[str]:
    return {head.parts[i] for i in head.part[hair.indices]}


def hair_box(head: HeadModel) -> NDArray[np.float32]:
    return head.template[head.part == head.parts.index("scalp")]


def test_no_growth_and_seen_ears_are_exactly_the_bald_head(head: HeadModel, hair: HairModel) -> None:
    person = random_head(head, 0)
    hull = hair.hull(person, np.zeros(len(hair.indices)), SEEN)
    np.testing.assert_array_equal(hull, person)


def test_only_hairy_parts_and_the_skin_beside_them_can_move(head: HeadModel, hair: HairModel) -> None:
    assert parts_of(head, hair) == {"scalp", "ears", "face", "neck"}
    centre = 0.5 * (hair_box(head).min(axis=0) + hair_box(head).max(axis=0))
    offset = head.template[hair.indices] - centre
    ahead = np.degrees(np.arctan2(np.abs(offset[:, 0]), offset[:, 2]))
    part = head.part[hair.indices]
    lobe = head.template[head.part == head.parts.index("ears")][:, 1].min()
    low = head.template[hair.indices, 1] < lobe
    assert ahead[low & (part == head.parts.index("face"))].min() > 60  # degrees from straight ahead: no jaw
    assert ahead[part == head.parts.index("neck")].min() > 50  # no throat


def test_growth_moves_along_the_rays_by_so_many_metres(head: HeadModel, hair: HairModel) -> None:
    growth = np.minimum(0.01, hair.reach)
    grown = hair.hull(head.template, growth, HIDDEN) - hair.hull(head.template, 0 * growth, HIDDEN)
    along = (grown[hair.indices] * hair.directions).sum(axis=1)
    np.testing.assert_allclose(along, growth, atol=1e-5)
    still = np.setdiff1d(np.arange(len(grown)), hair.indices)
    assert not grown[still].any()


def test_a_seen_ear_stays_while_the_hair_around_it_grows(head: HeadModel, hair: HairModel) -> None:
    hull = hair.hull(head.template, hair.reach, (1.0, 0.0))
    right = hair.indices[hair.ear < 0]
    np.testing.assert_array_equal(hull[right], head.template[right])
    assert (
        np.linalg.norm(hull[hair.indices[hair.ear > 0]] - head.template[hair.indices[hair.ear > 0]], axis=1).min() > 0
    )


def test_hidden_ears_lie_on_the_skull_of_any_person(head: HeadModel, hair: HairModel) -> None:
    for seed in range(4):
        person = random_head(head, seed)
        flat = hair.hull(person, 0 * hair.reach, HIDDEN)
        for side in (1, -1):
            ear = hair.indices[hair.ear == side]
            around = hair.around[head.template[hair.around, 0] * side > 0]
            widest = np.abs(person[around, 0]).max()
            assert np.abs(flat[ear, 0]).max() < widest + 0.004  # m: nothing sticks out
            assert np.abs(person[ear, 0]).max() > widest + 0.006  # as it did


def test_left_and_right_are_alike(head: HeadModel, hair: HairModel) -> None:
    sign = np.array([-1.0, 1, 1], np.float32)
    growth = random_growth(hair, 3)
    hull = hair.hull(head.template, growth, (1.0, 0.0))
    other = hair.hull(head.template, growth[hair.mirror], (0.0, 1.0))
    np.testing.assert_allclose(other, sign * hull[head.mirror], atol=2e-4)
    np.testing.assert_array_equal(head.mirror[hair.indices], hair.indices[hair.mirror])
    np.testing.assert_allclose(hair.mean, hair.mean[hair.mirror], atol=1e-4)


def test_every_mode_is_its_own_mirror_image_or_the_opposite_of_it(hair: HairModel) -> None:
    strongest = hair.modes[:20]
    swapped = strongest[:, hair.mirror]
    alike = np.abs((strongest * swapped).sum(axis=1)) / (strongest**2).sum(axis=1)
    np.testing.assert_allclose(alike, 1, atol=0.02)


def test_the_modes_are_ordered_and_keep_nearly_everything(hair: HairModel) -> None:
    assert (np.diff(hair.variance_kept) > 0).all()
    assert 0.97 < hair.variance_kept[-1] <= 1


def test_a_bald_head_is_well_inside_the_prior(hair: HairModel) -> None:
    coefficients = np.linalg.lstsq(hair.modes.T, -hair.mean, rcond=None)[0]
    assert np.sqrt((coefficients**2).mean()) < 0.6  # standard deviations
    assert np.median(hair.growth(coefficients)) < 0.001  # m


def test_growths_stay_within_reach(hair: HairModel) -> None:
    growth = hair.growth(np.full(len(hair.modes), 3.0))
    assert (growth >= 0).all()
    assert (growth <= hair.reach).all()


def test_the_file_is_small(head: HeadModel) -> None:
    assert HAIR_BASIS.stat().st_size < 500_000


def test_what_is_saved_is_what_is_loaded(head: HeadModel, hair: HairModel, tmp_path: Path) -> None:
    save_hair_model(hair, head, tmp_path / "hair.npz", {})
    again = load_hair_model(head, tmp_path / "hair.npz")
    assert again is not None
    for name, array in vars(hair).items():
        np.testing.assert_array_equal(getattr(again, name), array, err_msg=name)


def test_a_head_of_another_kind_or_without_a_file_stays_bald(head: HeadModel, tmp_path: Path) -> None:
    assert load_hair_model(replace(head, name="flame2023")) is None
    assert load_hair_model(head, tmp_path / "nothing.npz") is None


def test_another_topology_is_refused(head: HeadModel) -> None:
    other = replace(head, faces=head.faces[::-1].copy())
    with pytest.raises(AssetError, match="belongs to another topology of the head open"):
        load_hair_model(other)


def test_a_damaged_file_is_refused_with_a_sentence(head: HeadModel, hair: HairModel, tmp_path: Path) -> None:
    broken = tmp_path / "hair.npz"
    broken.write_bytes(HAIR_BASIS.read_bytes()[:5000])
    with pytest.raises(AssetError, match="not readable"):
        load_hair_model(head, broken)
    save_hair_model(replace(hair, mean=hair.mean[:-1]), head, broken, {})
    with pytest.raises(AssetError, match=r"expected mean as 2770 \(Q\), got \(2769,\)"):
        load_hair_model(head, broken)
