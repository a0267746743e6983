from dataclasses import replace

import numpy as np
import pytest

from meshlam_core.frames import axis_angle_from_rotation, rotation_from_axis_angle
from meshlam_core.head.io import load_head
from meshlam_core.provenance import Making, cut_off, yaw_of
from meshlam_core.tracker.fit import head_fitter
from meshlam_core.tracker.types import TrackedFace
from tests.tracker.conftest import look_at


@pytest.fixture(scope="module")
def tracked() -> TrackedFace:
    fitter = head_fitter(load_head())
    _, detection = look_at(fitter, [], {})
    return replace(fitter.fit(detection, (800, 1000)), plausibility=1.0)


def warnings(tracked: TrackedFace) -> list[str]:
    return Making("a.jpg", "", load_head(), tracked, None, "small", "auto", "cpu", 0, {}, False, False, None).warnings()


def turned(tracked: TrackedFace, yaw: float, roll: float = 0.0) -> TrackedFace:
    rotations = tracked.rotations.copy()
    about_z, about_y = (rotation_from_axis_angle(np.array(v)) for v in ([0.0, 0.0, roll], [0.0, yaw, 0.0]))
    rotations[0] = axis_angle_from_rotation(about_z @ about_y)
    return replace(tracked, rotations=rotations)


def test_a_good_portrait_gets_no_warning(tracked: TrackedFace) -> None:
    assert warnings(turned(tracked, 0.2)) == []


def test_a_doubtful_face_is_said_of_the_picture_and_not_of_the_person(tracked: TrackedFace) -> None:
    (said,) = warnings(replace(tracked, plausibility=0.2))
    assert "picture" in said
    assert "human" not in said
    assert "portrait of a person" not in said


def test_the_turn_is_told_from_where_the_nose_points_even_when_the_head_is_tilted(tracked: TrackedFace) -> None:
    assert yaw_of(turned(tracked, -0.9)) == pytest.approx(0.9)
    assert any("turned far" in said for said in warnings(turned(tracked, 0.9, roll=0.3)))
    assert not any("turned far" in said for said in warnings(turned(tracked, 0.1, roll=1.2)))


def test_what_the_border_cuts_off_is_named(tracked: TrackedFace) -> None:
    assert cut_off(tracked) == ""

    def shifted(x: float, y: float) -> TrackedFace:
        points = tracked.detection.landmarks + np.array([x, y, 0], np.float32)
        return replace(tracked, detection=replace(tracked.detection, landmarks=points))

    top = float(tracked.detection.landmarks[10, 1])
    assert cut_off(shifted(0, 5 - top)) == "the top of the head"
    assert cut_off(shifted(-400, 0)) == "a part of the face"
    assert any("border cuts off a part of the face" in said for said in warnings(shifted(-400, 0)))
