from dataclasses import replace

import numpy as np
import pytest

from meshlam_core.files.images import load_photo
from meshlam_core.frames import rotation_from_axis_angle
from meshlam_core.points import LIPS_INNER
from meshlam_core.tracker.fit import HeadFitter, plausibility
from meshlam_core.tracker.landmarks import MediaPipeDetector
from meshlam_core.tracker.track import track_photo
from tests.tracker.conftest import look_at

SIZE = (800, 1000)
BROWS = ("browInnerUp", "browOuterUpLeft", "browOuterUpRight")


def aligned_distance(a, b):
    """Mean distance of two point sets, m, after moving, turning and scaling the first onto the second.

    One picture tells neither size nor how far the face is from the neck's root.
    """
    a, b = a - a.mean(axis=0), b - b.mean(axis=0)
    u, s, vt = np.linalg.svd(b.T @ a)
    return np.linalg.norm(b - s.sum() / (a**2).sum() * a @ (u @ vt).T, axis=1).mean()


@pytest.mark.parametrize("turn", [(0.0, 0.0, 0.0), (0.15, 0.35, -0.1), (-0.2, -0.5, 0.3)])
def test_the_fit_finds_the_pose_and_shape_that_made_the_landmarks(fitter, turn):
    truth, detection = look_at(fitter, [0.8, -0.7, 0.5], {"jawOpen": 0.3, "mouthSmileLeft": 0.4}, turn)
    fitted = fitter.fit(detection, SIZE)
    assert fitted.landmark_error < 0.006
    turned = np.asarray(rotation_from_axis_angle(fitted.rotations[0])) @ truth.rotation.T
    assert np.degrees(np.arccos((np.trace(turned) - 1) / 2)) < 4
    assert (fitted.rotations[1:] == 0).all()
    skin = fitter.model.part == fitter.model.parts.index("face")
    mean = aligned_distance(fitter.model.template[skin], fitter.neutral(truth.identity)[skin])
    found = aligned_distance(fitted.vertices[skin], fitter.neutral(truth.identity)[skin])
    assert found < 0.0025
    assert found < 0.75 * mean  # closer than the average face is


def test_an_open_smiling_mouth_gives_a_neutral_head_with_closed_lips(fitter):
    closed = fitter.rig.of_person(fitter.neutral(np.zeros(0)))
    gap = lambda rig: abs(rig.neutral[1, 13] - rig.neutral[1, 14])
    expression = {"jawOpen": 0.5, "mouthSmileLeft": 0.6, "mouthSmileRight": 0.6, "mouthUpperUpLeft": 0.5}
    _, detection = look_at(fitter, [], expression)
    fitted = fitter.fit(detection, SIZE)
    person = fitter.person(fitted.vertices.astype(float)).rig
    assert gap(person) < gap(closed) + 0.002
    posed = person.positions(np.empty(0), fitted.expression.astype(float))
    assert np.ptp(posed[1, LIPS_INNER]) > 0.012


def test_closed_eyes_give_a_neutral_head_with_open_eyes(fitter):
    _, detection = look_at(fitter, [], {"eyeBlinkLeft": 1.0, "eyeBlinkRight": 1.0})
    fitted = fitter.fit(detection, SIZE)
    person = fitter.person(fitted.vertices.astype(float)).rig
    rest = fitter.rig.neutral
    for upper, lower in ((159, 145), (386, 374)):
        opening = person.neutral[1, upper] - person.neutral[1, lower]
        assert opening > 0.75 * (rest[1, upper] - rest[1, lower])


@pytest.mark.parametrize("keys", [BROWS, ("mouthFrownLeft", "mouthFrownRight"), ("mouthLeft",)])
def test_an_expression_that_is_read_too_weakly_hardly_bends_the_neutral_face(fitter, keys):
    _, calm = look_at(fitter, [0.4], {})
    _, seen = look_at(fitter, [0.4], dict.fromkeys(keys, 0.7))
    weak = replace(seen, coefficients=0.4 * seen.coefficients)  # about what the network reads of them
    skin = fitter.model.part == fitter.model.parts.index("face")
    at_rest, neutral = (fitter.fit(detection, SIZE).vertices[skin] for detection in (calm, weak))
    assert np.linalg.norm(neutral - at_rest, axis=1).mean() < 0.0006  # m


def test_exif_of_another_picture_leaves_the_head_as_it_is(fitter):
    _, detection = look_at(fitter, [0.5], {})
    heads = [fitter.fit(detection, SIZE, focal).vertices for focal in (None, 12.0, 28.0, 200.0)]
    for head in heads[1:]:
        np.testing.assert_array_equal(head, heads[0])


def test_noise_on_the_landmarks_does_not_bend_the_head(fitter):
    _, clean = look_at(fitter, [0.5], {})
    _, noisy = look_at(fitter, [0.5], {}, noise=1.0)
    assert aligned_distance(fitter.fit(clean, SIZE).vertices, fitter.fit(noisy, SIZE).vertices) < 0.001


def test_the_fit_is_deterministic(fitter, head):
    _, detection = look_at(fitter, [0.5], {"jawOpen": 0.2})
    a, b = fitter.fit(detection, SIZE), HeadFitter(head).fit(detection, SIZE)
    np.testing.assert_array_equal(a.vertices, b.vertices)


def test_plausibility_falls_with_a_doubtful_detection_a_poor_fit_and_a_strained_shape(fitter):
    _, detection = look_at(fitter, [], {})
    ordinary = plausibility(detection, 0.008, np.full(80, 0.6))
    assert ordinary > 0.9
    assert plausibility(detection, 0.06, np.full(80, 0.6)) < 0.1
    assert plausibility(detection, 0.008, np.full(80, 2.5)) < 0.1


def check_fit(photo, detector, head):
    fitted = track_photo(load_photo(photo), detector, head)
    assert fitted.landmark_error < 0.012
    assert fitted.plausibility > 0.8
    assert np.linalg.norm(head.joints(fitted.vertices)[0]) < 1e-3


def test_a_portrait_fits_however_it_was_taken(assets, portrait_files, head):
    detector = MediaPipeDetector(assets["face_landmarker"])
    for photo in portrait_files:
        check_fit(photo, detector, head)


def test_people_fit_within_one_and_a_half_percent_and_animals_are_marked_as_implausible(assets, shared_data, head):
    detector = MediaPipeDetector(assets["face_landmarker"])
    for name in ("portraits/A000055.jpg", "hires/1522-32753.jpg", "hires/17022-167.jpg", "portraits/A000022.jpg"):
        check_fit(shared_data / name, detector, head)
    for name in ("s22", "s25", "s30"):
        fitted = track_photo(load_photo(shared_data / "negatives" / f"{name}.jpg"), detector, head)
        assert fitted.detection.score < 0.4
        assert fitted.plausibility < 0.4


def test_a_photo_worked_on_at_half_size_gives_the_camera_in_native_pixels(assets, portrait_file, head):
    detector = MediaPipeDetector(assets["face_landmarker"])
    full = track_photo(load_photo(portrait_file), detector, head)
    half = track_photo(load_photo(portrait_file, max_side=512), detector, head)
    assert half.camera.size == full.camera.size == (1024, 1024)
    off = half.detection.landmarks[:, :2] - full.detection.landmarks[:, :2]
    assert np.abs(off).mean() < 4
