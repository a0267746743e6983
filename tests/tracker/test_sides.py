"""Ears and neck on outlines drawn of heads whose ears stand off and whose necks are wide."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from meshlam_core.head.model import ById, HeadModel
from meshlam_core.tracker.lobes import ears_of
from meshlam_core.tracker.sides import cheeks, ears_and_neck, with_sides
from meshlam_core.tracker.types import Detection, TrackedFace
from tests.tracker.test_hair import CAMERA, PLACE, covered, in_view, masks

F32 = NDArray[np.float32]
WIDER = 0.006  # m


@pytest.fixture(scope="module")
def tracked(head: HeadModel) -> TrackedFace:
    unseen = Detection(np.zeros((478, 3), np.float32), np.zeros(52, np.float32), (0, 0, 1, 1), 1.0)
    modes, shapes = len(head.identity_basis), len(head.blendshapes)
    return TrackedFace(
        camera=CAMERA,
        identity=np.zeros(modes, np.float32),
        vertices=head.template,
        expression=np.zeros(shapes, np.float32),
        rotations=np.zeros((5, 3), np.float32),
        translation=PLACE,
        detection=unseen,
        landmark_error=0.0,
        plausibility=1.0,
    )


def widened(head: HeadModel, part: str, sides: tuple[int, ...] = (1, -1)) -> F32:
    """The template with one part wider."""
    vertices = head.template.copy()
    index = head.parts.index(part)
    for region in ears_and_neck(ById(head)):
        if head.part[region.moved[0]] == index and region.side in sides:
            vertices[region.moved, 0] += region.side * WIDER * region.share
    return vertices


def grown(found: TrackedFace, head: HeadModel, part: str, side: int) -> float:
    """How far a side of the part came out, m."""
    rows = (head.part == head.parts.index(part)) & (side * head.template[:, 0] > 0)
    return float((side * (found.vertices - head.template)[rows, 0]).max())


@pytest.mark.parametrize("part", ["ears", "neck"])
def test_what_is_wider_in_the_photo_becomes_wider(part: str, head: HeadModel, tracked: TrackedFace) -> None:
    photo = in_view(widened(head, part), 0)
    found = with_sides(tracked, masks(photo, photo, head, hairy=False), CAMERA, head)
    for side in (1, -1):
        assert 0.6 * WIDER < grown(found, head, part, side) < 1.4 * WIDER
    wanted, _ = covered(photo, head)
    before, _ = covered(in_view(head.template, 0), head)
    after, _ = covered(in_view(found.vertices, 0), head)
    assert (wanted ^ after).sum() < 0.5 * (wanted ^ before).sum()


def test_each_ear_has_its_own_width(head: HeadModel, tracked: TrackedFace) -> None:
    photo = in_view(widened(head, "ears", (1,)), 0)
    found = with_sides(tracked, masks(photo, photo, head, hairy=False), CAMERA, head)
    assert grown(found, head, "ears", 1) > 0.6 * WIDER
    assert abs(grown(found, head, "ears", -1)) < 0.002


@pytest.mark.parametrize("yaw", [0, -25])
def test_a_head_that_is_wider_than_its_landmarks_say_becomes_wider_as_a_whole(
    yaw: float, head: HeadModel, tracked: TrackedFace
) -> None:
    vertices = head.template.copy()
    for side in cheeks(ById(head), (False, False)):
        vertices[side.moved, 0] += side.side * WIDER * side.share
    photo = in_view(vertices, yaw)
    turned = np.zeros((5, 3), np.float32)
    turned[0, 1] = np.radians(yaw)
    found = with_sides(replace(tracked, rotations=turned), masks(photo, photo, head, hairy=False), CAMERA, head)
    wanted, _ = covered(photo, head)
    before, _ = covered(in_view(head.template, yaw), head)
    after, _ = covered(in_view(found.vertices, yaw), head)
    assert (wanted ^ after).sum() < 0.75 * (wanted ^ before).sum()
    if yaw == 0:
        return  # ears stand before most of the cheeks
    face = head.part == head.parts.index("face")
    for end in (np.argmin, np.argmax):  # a side that the photo does not show is like the other
        outermost = np.flatnonzero(face)[end(head.template[face, 0])]
        inner = np.flatnonzero(face)[abs(head.template[face, 0]).argmin()]
        moved = np.abs((found.vertices - head.template)[outermost, 0] - (found.vertices - head.template)[inner, 0])
        assert 0.4 * WIDER < moved < 1.2 * WIDER


def lengthened(head: HeadModel, by: float, sides: tuple[int, ...] = (1, -1)) -> F32:
    """The template with lobes that end so much lower, m."""
    vertices = head.template.copy()
    for ear in ears_of(ById(head)):
        if ear.side in sides:
            height = head.template[ear.rows, 1]
            down = np.clip((height.mean() - height) / (height.mean() - height.min()), 0, 1) * by
            vertices[ear.around, 1] -= ear.share * down[ear.leader]
    return vertices


@pytest.mark.parametrize("by", [0.007, -0.004])
def test_lobes_end_where_they_do_in_the_photo(by: float, head: HeadModel, tracked: TrackedFace) -> None:
    photo = in_view(lengthened(head, by), 0)
    found = with_sides(tracked, masks(photo, photo, head, hairy=False), CAMERA, head)
    ears = [ear.rows for ear in ears_of(ById(head))]
    for rows in ears:
        lobe = rows[head.template[rows, 1].argmin()]
        down = (head.template - found.vertices)[lobe, 1] + (tracked.translation - found.translation)[1]
        assert abs(down - by) < 0.0025


def test_an_ear_that_is_hidden_is_as_long_as_the_other(head: HeadModel, tracked: TrackedFace) -> None:
    photo = in_view(lengthened(head, 0.007), 0)
    regions = masks(photo, photo, head, hairy=False)
    half = regions.person.shape[1] // 2
    regions.hair[:, :half], regions.skin[:, :half] = regions.person[:, :half], 0
    found = with_sides(tracked, regions, CAMERA, head)
    left, right = (float((head.template - found.vertices)[ear.rows, 1].max()) for ear in ears_of(ById(head)))
    assert left > 0.004
    assert abs(left - right) < 0.001


def test_hair_over_the_ears_says_nothing_about_them(head: HeadModel, tracked: TrackedFace) -> None:
    photo = in_view(widened(head, "ears"), 0)
    regions = masks(photo, photo, head, hairy=False)
    regions.hair[:], regions.skin[:] = regions.person, 0
    found = with_sides(tracked, regions, CAMERA, head)
    np.testing.assert_array_equal(found.vertices, head.template)


def test_the_root_joint_stays_the_origin_and_the_head_in_its_place(head: HeadModel, tracked: TrackedFace) -> None:
    photo = in_view(widened(head, "neck", (1,)), 0)
    found = with_sides(tracked, masks(photo, photo, head, hairy=False), CAMERA, head)
    np.testing.assert_allclose(head.joints(found.vertices)[0], 0, atol=1e-6)
    face = head.part == head.parts.index("face")
    np.testing.assert_allclose(
        (found.vertices + found.translation)[face], (tracked.vertices + tracked.translation)[face], atol=1e-6
    )
