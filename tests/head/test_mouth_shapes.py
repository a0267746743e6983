"""Pucker, funnel and opened jaw of the committed open head, as somebody sees them who moves the sliders."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from meshlam_core.arkit import ARKIT_INDEX
from meshlam_core.head.builder.mend import belongs_to_lower_lip, edges_within
from meshlam_core.head.model import HeadModel

F64 = NDArray[np.float64]
LEFT_CORNER, RIGHT_CORNER, FOREHEAD, CHIN = 291, 61, 10, 152
LIP_FOLD, CHIN_TIP, NOSE_BASE, INNER_UPPER_LIP = 18, 199, 2, 13
LOWER_EDGE = (17, 314, 405, 321)  # the lower lip's lower edge from the middle to the left
COLUMNS, HALF = np.array([0, 0.0054, 0.0106, 0.0150]), 0.0222  # m aside: vertices of the lower lip, the corner


def moved(head: HeadModel, **values: float) -> F64:  # [V, 3] m
    return head.template + sum(
        value * head.blendshapes[ARKIT_INDEX[name]].astype(float) for name, value in values.items()
    )


def landmark(head: HeadModel, vertices: F64, number: int) -> F64:  # [3] m
    return head.landmark_bary[number] @ vertices[head.faces[head.landmark_faces[number]]]


def width(head: HeadModel, vertices: F64) -> float:
    """Of the mouth, in heights of the face."""
    corners = landmark(head, vertices, LEFT_CORNER) - landmark(head, vertices, RIGHT_CORNER)
    height = landmark(head, vertices, FOREHEAD) - landmark(head, vertices, CHIN)
    return float(np.linalg.norm(corners) / np.linalg.norm(height))


def lips(head: HeadModel) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Vertices of upper and lower lip."""
    mouth = np.flatnonzero(np.isin(head.part, [head.parts.index(name) for name in ("lips", "mouth_interior")]))
    jaw = np.linalg.norm(head.blendshapes[ARKIT_INDEX["jawOpen"]][mouth], axis=1)
    decimetres = 10 * head.template[mouth].astype(float)
    lower = belongs_to_lower_lip(decimetres, edges_within(mouth, head.faces.astype(np.int64)), jaw)
    own = head.part[mouth] == head.parts.index("lips")
    return mouth[own & ~lower], mouth[own & lower]


def gaps(head: HeadModel, vertices: F64) -> F64:  # [4] m between the lips, in columns from the middle to the left
    upper, lower = lips(head)
    columns = [np.abs(head.template[:, 0] - aside) < 0.0015 for aside in COLUMNS]
    return np.array([vertices[upper[c[upper]], 1].min() - vertices[lower[c[lower]], 1].max() for c in columns])


def test_a_pucker_draws_the_mouth_to_a_fifth_of_the_face_and_forward(head: HeadModel) -> None:
    pucker = moved(head, mouthPucker=1.0)
    assert 0.18 < width(head, pucker) < 0.205
    forward = landmark(head, pucker, INNER_UPPER_LIP) - landmark(head, head.template, INNER_UPPER_LIP)
    assert 0.005 < forward[2] < 0.010


@pytest.mark.parametrize(("point", "most"), [(LIP_FOLD, 0.0015), (CHIN_TIP, 0.0005), (NOSE_BASE, 0.0005)])
def test_a_pucker_leaves_chin_and_nose_where_they_are(head: HeadModel, point: int, most: float) -> None:
    drag = landmark(head, moved(head, mouthPucker=1.0), point) - landmark(head, head.template, point)
    assert np.abs(drag[:2]).max() < most


@pytest.mark.parametrize("strength", [0.5, 1.0])
def test_lips_stay_closed_and_do_not_cross_in_a_pucker(head: HeadModel, strength: float) -> None:
    change = gaps(head, moved(head, mouthPucker=strength)) - gaps(head, head.template)
    assert np.abs(change).max() < 0.0005


def test_a_funnel_is_round(head: HeadModel) -> None:
    opening = gaps(head, moved(head, mouthFunnel=1.0)) - gaps(head, head.template)
    np.testing.assert_allclose(opening / opening[0], np.sqrt(1 - (COLUMNS / HALF) ** 2), atol=0.12)


def test_pucker_and_funnel_together_leave_a_mouth(head: HeadModel) -> None:
    both = moved(head, mouthPucker=1.0, mouthFunnel=1.0)
    assert width(head, both) > 0.1
    assert gaps(head, both).min() > 0.003


@pytest.mark.parametrize("strength", [0.5, 1.0])
def test_the_lower_lip_of_an_opened_jaw_is_a_u(head: HeadModel, strength: float) -> None:
    opened = moved(head, jawOpen=strength)
    points = np.array([landmark(head, opened, number) for number in LOWER_EDGE])
    at_rest = np.array([landmark(head, head.template, number) for number in LOWER_EDGE])
    corner = landmark(head, opened, LEFT_CORNER) - landmark(head, head.template, LEFT_CORNER)
    drop = (points - at_rest)[:, 1] - corner[1]
    aside = at_rest[:, 0] / landmark(head, head.template, LEFT_CORNER)[0]
    np.testing.assert_allclose(drop / drop[0], np.sqrt(1 - aside**2), atol=0.13)


def test_mouth_close_shuts_the_lips_of_an_opened_jaw(head: HeadModel) -> None:
    apart = gaps(head, moved(head, jawOpen=1.0, mouthClose=1.0)) - gaps(head, head.template)
    assert np.abs(apart).max() < 0.002
