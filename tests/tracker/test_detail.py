from dataclasses import replace

import numpy as np
import pytest

from meshlam_core.points import LIPS_INNER, LIPS_OUTER, RIGHT_EYE
from meshlam_core.tracker.detail import outline_residual
from tests.tracker.conftest import look_at

CENTRE = np.array([400.0, 500.0])
ALL = np.arange(478)
UPPER_LID = RIGHT_EYE[9:]
METRES_PER_PIXEL = 1.4 / 1800


def at_rest(fitter):
    return fitter.model.template.astype(float)


def moved_at_rest(fitter, detail):
    return detail.vertices - at_rest(fitter)


def detail_for(fitter, landmarks, shift, expression):
    """The face, and what the fine residual makes of landmarks that lie `shift` px from where the head has them."""
    face, detection = look_at(fitter, [], expression)
    sighting = fitter.observe(detection, CENTRE, face).sight(face)
    offset = np.zeros((2, 478))
    offset[:, landmarks] = np.array(shift, float)[:, None]
    return face, fitter.detail.fit(face, replace(sighting, offset=offset), at_rest(fitter), fitter.model)


def landmarks_at(fitter, vertices):
    return np.einsum("lk,lkd->ld", fitter.rig.bary, vertices[fitter.rig.corners])


def posed(fitter, detail, coefficients):
    head = fitter.model
    shapes = head.blendshapes if detail.blendshapes is None else detail.blendshapes
    return detail.vertices + np.tensordot(coefficients, shapes, 1)


def test_a_lid_that_stands_higher_in_the_photo_stands_higher_at_rest(fitter):
    _, detail = detail_for(fitter, ALL, (0, -1.5), {})
    moved = landmarks_at(fitter, moved_at_rest(fitter, detail))[UPPER_LID[3:6], 1].mean()
    assert moved == pytest.approx(1.5 * METRES_PER_PIXEL, rel=0.35)


@pytest.mark.parametrize("cut", [1.0, 0.5])  # what is left of a displacement that would fold the mesh
def test_lids_of_another_shape_still_meet_when_they_close(fitter, monkeypatch, cut):
    monkeypatch.setattr("meshlam_core.tracker.detail.without_folds", lambda at, move, faces: at + cut * move)
    _, detail = detail_for(fitter, UPPER_LID, (0, -1.5), {})
    blink = np.zeros(len(fitter.rig.names))
    blink[fitter.rig.names.index("eyeBlinkRight")] = 1
    own = landmarks_at(fitter, posed(fitter, detail, blink))[RIGHT_EYE]
    usual = landmarks_at(fitter, fitter.model.template + np.tensordot(blink, fitter.model.blendshapes, 1))[RIGHT_EYE]
    np.testing.assert_allclose(own, usual, atol=1e-6)


def test_closed_eyes_say_nothing_about_the_open_lids(fitter):
    _, detail = detail_for(fitter, UPPER_LID, (0, -1.5), {"eyeBlinkRight": 0.9})
    assert (
        np.abs(
            moved_at_rest(fitter, detail)[fitter.detail.eyes[fitter.rig.names.index("eyeBlinkRight")].vertices]
        ).max()
        == 0
    )


def test_what_a_smile_does_to_the_lips_stays_in_the_smile(fitter):
    lips = np.concatenate([LIPS_OUTER, LIPS_INNER])
    smile = {"mouthSmileLeft": 0.6, "mouthSmileRight": 0.6, "jawOpen": 0.3}
    face, detail = detail_for(fitter, ALL, (0, -2.0), smile)
    assert np.abs(landmarks_at(fitter, moved_at_rest(fitter, detail))[lips]).max() < 1e-4
    before = landmarks_at(fitter, fitter.model.template + np.tensordot(face.expression, fitter.model.blendshapes, 1))
    after = landmarks_at(fitter, posed(fitter, detail, face.expression))
    assert (after - before)[lips, 1].mean() == pytest.approx(2.0 * METRES_PER_PIXEL, rel=0.35)


def test_lips_at_rest_take_their_shape_into_the_neutral_head(fitter):
    lips = np.concatenate([LIPS_OUTER, LIPS_INNER])
    _, detail = detail_for(fitter, ALL, (0, -2.0), {})
    moved = landmarks_at(fitter, moved_at_rest(fitter, detail))[lips, 1].mean()
    assert moved == pytest.approx(2.0 * METRES_PER_PIXEL, rel=0.35)
    if detail.blendshapes is not None:
        jaw = fitter.rig.names.index("jawOpen")
        np.testing.assert_array_equal(detail.blendshapes[jaw], fitter.model.blendshapes[jaw])


def test_closed_lips_stay_closed_when_their_landmarks_disagree(fitter):
    upper, lower = LIPS_INNER[11:], LIPS_INNER[1:10]
    face, detection = look_at(fitter, [], {})
    sighting = fitter.observe(detection, CENTRE, face).sight(face)
    offset = np.zeros((2, 478))
    offset[1, upper], offset[1, lower] = -1.5, 1.5  # px: the network sees lips a little apart
    detail = fitter.detail.fit(face, replace(sighting, offset=offset), at_rest(fitter), fitter.model)
    opened = landmarks_at(fitter, moved_at_rest(fitter, detail))
    assert abs(opened[13, 1] - opened[14, 1]) < 0.001


def test_teeth_and_eyeballs_do_not_follow_lips_and_lids(fitter, head):
    _, detail = detail_for(fitter, ALL, (2.0, -2.0), {"jawOpen": 0.5})
    for part in ("teeth_upper", "teeth_lower", "tongue", "eyeball_left", "eyeball_right"):
        mine = head.part == head.parts.index(part)
        assert np.abs(moved_at_rest(fitter, detail)[mine]).max() == 0
        if detail.blendshapes is not None:
            np.testing.assert_array_equal(detail.blendshapes[:, mine], head.blendshapes[:, mine])


def test_cheeks_are_pulled_out_to_the_outline(fitter, head):
    face, detection = look_at(fitter, [], {})
    observation = fitter.observe(detection, CENTRE, face)
    sighting = observation.sight(face)
    points, positions = observation.outline()
    outwards = np.zeros((2, 478))
    outwards[0, points] = 3.0 * np.sign(positions[:, 0])
    field = outline_residual(
        face, replace(sighting, offset=outwards), points, positions, head.template.astype(float), fitter.yields
    )
    cheek = [np.linalg.norm(head.template - p, axis=1).argmin() for p in positions]
    widened = field[cheek, 0] * np.sign(positions[:, 0])
    assert np.median(widened) == pytest.approx(3.0 * METRES_PER_PIXEL, rel=0.35)
    nose = np.linalg.norm(head.template - head.landmarks(head.template)[4], axis=1).argmin()
    assert np.abs(field[nose]).max() < 1e-4
