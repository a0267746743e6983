from dataclasses import replace

import numpy as np
import pytest

from meshlam_core.errors import FaceTooSmall, NoFace
from meshlam_core.files.images import Frame, Photo, read_clip
from meshlam_core.frames import axis_angle_from_rotation, rotation_from_axis_angle
from meshlam_core.tracker.clip_fit import fit_person, spread_frames
from meshlam_core.tracker.fit import clip_fitter
from meshlam_core.tracker.landmarks import MediaPipeDetector
from meshlam_core.tracker.track import find_face, scaled_detection, track_clip
from tests import faces as people
from tests.tracker.conftest import look_at

SIZE = (800, 1000)
PICTURE = np.zeros((1000, 800, 3), np.uint8)


@pytest.fixture
def fitter(head):
    """Faces in these clips move as the landmark network shows them."""
    return clip_fitter(head)


class Scripted:
    """A detector that answers from a list, one answer a frame; None is a frame without a face."""

    def __init__(self, answers):
        self.answers, self.index = answers, -1

    def detect(self, image, every=True):
        self.index += 1
        answer = self.answers[self.index]
        return [] if answer is None else [answer]

    def follow(self, image, previous):
        if self.answers[self.index + 1 if self.index < len(self.answers) - 1 else -1] is None:
            return None
        self.index += 1
        return self.answers[self.index]

    def refine(self, image, detection):
        return detection


class EveryFrame(Scripted):
    """The same, but each frame is told by its time, so that nothing depends on the order of calls."""

    def detect(self, image, every=True):
        answer = self.answers[int(image[0, 0, 0])]
        return [] if answer is None else [answer]

    def follow(self, image, previous):
        return self.answers[int(image[0, 0, 0])]


def clip_of(answers, fps=25):
    for index in range(len(answers)):
        picture = np.full((1000, 800, 3), index, np.uint8)
        yield Frame(index / fps, picture)


def talking(fitter, count=24, identity=(0.6, -0.5, 0.4)):
    """A head that turns and opens its mouth."""
    faces, detections = [], []
    for index in range(count):
        phase = 2 * np.pi * index / count
        turn = (0.1 * np.sin(phase), 0.35 * np.cos(phase), 0.05)
        face, detection = look_at(fitter, identity, {"jawOpen": 0.25 - 0.25 * np.cos(2 * phase)}, turn)
        faces.append(face)
        detections.append(detection)
    return faces, detections


def turn_between(axis_angle, rotation):
    return np.degrees(np.linalg.norm(axis_angle_from_rotation(rotation_from_axis_angle(axis_angle) @ rotation.T)))


def test_a_clip_has_one_identity_and_focal_length_and_each_frame_its_pose(fitter, head):
    faces, detections = talking(fitter)
    track = track_clip(clip_of(detections), EveryFrame(detections), head)
    assert track.size == SIZE
    assert len(track.frames) == len(faces)
    turns = [turn_between(frame.rotation, face.rotation) for frame, face in zip(track.frames, faces, strict=True)]
    assert np.median(turns) < 2.0
    jaw = track.names.index("jawOpen")
    opened = np.array([frame.expression[jaw] for frame in track.frames])
    truth = np.array([face.expression[jaw] for face in faces])
    assert np.abs(opened - truth).mean() < 0.06
    assert np.median([frame.landmark_error for frame in track.frames]) < 0.008


def test_several_views_tell_the_shape_better_than_one(fitter):
    faces, detections = talking(fitter, 12, (1.0, -1.0, 0.8, 0.0, 1.0))
    truth = fitter.neutral(faces[0].identity)
    skin = fitter.model.part == fitter.model.parts.index("face")

    def off(vertices):
        a, b = vertices[skin] - vertices[skin].mean(axis=0), truth[skin] - truth[skin].mean(axis=0)
        return np.linalg.norm(b - (a * b).sum() / (a**2).sum() * a, axis=1).mean()

    person, start = fit_person(fitter, detections, np.array(SIZE) / 2)
    assert off(person.vertices) < off(fitter.fit(detections[3], SIZE).vertices.astype(float))
    assert 0.5 < np.exp(start.log_focal) / 1800 < 2.0


def test_frames_without_a_face_are_marked_and_bridged(fitter, head):
    faces, detections = talking(fitter, 16)
    answers = list(detections)
    answers[6] = answers[7] = None
    track = track_clip(clip_of(answers), EveryFrame(answers), head)
    assert [frame.found for frame in track.frames] == [answer is not None for answer in answers]
    assert np.isnan(track.frames[6].landmark_error)
    for index in (6, 7):
        assert turn_between(track.frames[index].rotation, faces[index].rotation) < 6.0


def test_a_face_that_appears_late_holds_its_first_pose_before(fitter, head):
    _, detections = talking(fitter, 10)
    answers = [None, None, *detections[2:]]
    track = track_clip(clip_of(answers), EveryFrame(answers), head)
    np.testing.assert_allclose(track.frames[0].translation, track.frames[2].translation, atol=1e-6)


def test_a_clip_without_any_face_is_refused(head):
    with pytest.raises(NoFace, match=r"No face was found in walk\.mp4"):
        track_clip(clip_of([None, None]), EveryFrame([None, None]), head, source="walk.mp4")


def test_tracking_can_be_cancelled_from_the_progress_callback(fitter, head):
    _, detections = talking(fitter, 6)

    def stop(stage, fraction):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        track_clip(clip_of(detections), EveryFrame(detections), head, progress=stop)


def test_key_frames_are_those_that_differ_most(fitter):
    _, still = look_at(fitter, [], {})
    _, left = look_at(fitter, [], {}, turn=(0, 0.5, 0))
    _, right = look_at(fitter, [], {}, turn=(0, -0.5, 0))
    chosen = spread_frames([still, still, left, still, right, still], 3)
    assert set(chosen) >= {2, 4}
    assert len(spread_frames([still, still], 5)) == 1  # the same frame twice teaches nothing


def test_a_found_face_is_given_in_native_pixels_and_a_small_one_is_refused(fitter, tmp_path):
    _, detection = look_at(fitter, [], {})
    photo = Photo(PICTURE, None, "", tmp_path / "p.jpg", (1600, 2000), 0.5)
    found = find_face(photo, Scripted([detection]))
    np.testing.assert_allclose(found.landmarks, detection.landmarks * 2)
    assert found.box == tuple(side * 2 for side in detection.box)
    tiny = scaled_detection(detection, 0.2)
    with pytest.raises(FaceTooSmall, match=r"p\.jpg"):
        find_face(replace(photo, scale=1.0), Scripted([tiny]))


def test_a_real_face_in_a_clip_is_tracked_within_two_percent(assets, head, tmp_path):
    clip = read_clip(people.write_clip(tmp_path / "clip.mp4", 24))
    track = track_clip(clip, MediaPipeDetector(assets["face_landmarker"]), head)
    assert [frame.found for frame in track.frames] == [True] * 24
    assert np.median([frame.landmark_error for frame in track.frames]) < 0.012
