from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from meshlam_core.errors import FaceTooSmall, NoFace
from meshlam_core.files.images import Frame
from meshlam_core.tracker.landmarks import MediaPipeDetector
from meshlam_core.tracker.shots import watch
from meshlam_core.tracker.track import scaled_detection, track_clip
from tests.tracker.conftest import look_at

ANNA, BERT = (1.5, -1.5, 1.2, 0.0, 1.5), (-1.5, 1.5, -1.2, 0.5, -1.5)


class Staged:
    """A detector that knows for every frame which faces it shows; a frame is told by its brightness."""

    def __init__(self, scenes):
        self.scenes = scenes

    def detect(self, image, every=True):
        return sorted(self.scenes[int(image[0, 0, 1])], key=lambda face: face.box[0])

    def follow(self, image, previous):
        near = [face for face in self.detect(image) if abs(face.box[0] - previous.box[0]) < 40]
        return near[0] if near else None

    def refine(self, image, detection):
        return detection


def film(scenes, cuts=()):
    """Frames whose red tells the shot, so that cuts are seen, and whose green tells the number."""
    for index in range(len(scenes)):
        picture = np.zeros((90, 160, 3), np.uint8)
        picture[..., 0] = 200 * (sum(index >= cut for cut in cuts) % 2)
        picture[..., 1] = index
        yield Frame(index / 25, picture)


def face_of(fitter, identity, x=0.0, **kwargs):
    detection = look_at(fitter, identity, {}, **kwargs)[1]
    points = detection.landmarks + np.float32([x, 0, 0])
    x0, y0, x1, y1 = detection.box
    return replace(detection, landmarks=points, box=(x0 + x, y0, x1 + x, y1))


def seen(scenes, fitter, face="largest", cuts=()):
    return watch(film(scenes, cuts), Staged(scenes), fitter, face, "walk.mp4", lambda stage, fraction: None)


def found(watched):
    return [detection is not None for detection in watched.detections]


def test_a_person_who_jumps_across_the_picture_is_found_again_at_once(fitter):
    left, right = face_of(fitter, ANNA), face_of(fitter, ANNA, 2000)
    watched = seen([[left]] * 8 + [[right]] * 8, fitter)
    assert all(found(watched))
    assert watched.shots == [0] * 16


def test_a_cut_begins_another_shot_in_which_the_same_person_is_found(fitter):
    left, right = face_of(fitter, ANNA), face_of(fitter, ANNA, 2000, turn=(0.0, 0.2, 0.0))
    watched = seen([[left]] * 8 + [[]] * 2 + [[right]] * 8, fitter, cuts=(8,))
    assert watched.shots == [0] * 8 + [1] * 10
    assert found(watched) == [True] * 8 + [False] * 2 + [True] * 8
    assert watched.refused == 0


def test_of_two_people_in_turn_the_one_seen_longest_is_kept(fitter):
    anna, bert = face_of(fitter, ANNA), face_of(fitter, BERT)
    watched = seen([[anna]] * 6 + [[bert]] * 9 + [[anna]] * 6, fitter, cuts=(6, 15))
    assert found(watched) == [True] * 6 + [False] * 9 + [True] * 6


def test_of_two_people_side_by_side_the_asked_one_is_kept(fitter):
    anna, bert = face_of(fitter, ANNA), face_of(fitter, BERT, 900)
    scenes = [[anna, bert]] * 5 + [[bert]] * 5
    assert found(seen(scenes, fitter, 1)) == [True] * 5 + [False] * 5
    assert found(seen(scenes, fitter, 2)) == [True] * 10
    assert found(seen(scenes, fitter)) == [True] * 10
    with pytest.raises(NoFace, match="Face 3 was asked for, but 2 faces"):
        seen(scenes, fitter, 3)


def test_frames_with_too_small_a_face_are_refused_and_the_rest_is_used(fitter):
    anna = face_of(fitter, ANNA)
    tiny = scaled_detection(anna, 0.2)
    watched = seen([[tiny]] * 5 + [[anna]] * 5, fitter, cuts=(5,))
    assert found(watched) == [False] * 5 + [True] * 5
    assert watched.refused == 5
    with pytest.raises(FaceTooSmall, match=r"walk\.mp4"):
        seen([[tiny]] * 5, fitter)


def test_a_doubtful_face_in_some_frames_is_no_face(fitter):
    anna = face_of(fitter, ANNA)
    dog = replace(face_of(fitter, BERT, 900), score=0.1)
    watched = seen([[dog]] * 9 + [[anna]] * 5, fitter, cuts=(9,))
    assert found(watched) == [False] * 9 + [True] * 5
    assert watched.refused == 9
    with pytest.raises(NoFace, match="too unsurely"):
        seen([[]] * 3 + [[dog]] * 9, fitter)


def test_a_slow_fade_and_a_shaking_camera_are_no_cuts(fitter):
    anna = face_of(fitter, ANNA)
    for speed in (4, 15):
        frames = (Frame(i / 25, np.full((90, 160, 3), [0, i, speed * i % 240], np.uint8)) for i in range(12))
        watched = watch(frames, Staged([[anna]] * 12), fitter, "largest", "fade.mp4", lambda stage, fraction: None)
        assert set(watched.shots) == {0}


def test_poses_are_not_blended_across_a_cut(fitter, head):
    left = face_of(fitter, ANNA, turn=(0.0, -0.3, 0.0))
    right = face_of(fitter, ANNA, turn=(0.0, 0.3, 0.0))
    scenes = [[left]] * 7 + [[]] * 3 + [[]] * 3 + [[right]] * 7
    track = track_clip(film(scenes, (10,)), Staged(scenes), head)
    turns = np.array([frame.rotation[1] for frame in track.frames])
    assert np.ptp(turns[:10]) < 0.02
    assert np.ptp(turns[10:]) < 0.02
    assert turns[12] - turns[3] > 0.5


def test_the_nasa_portrait_is_found_again_within_three_frames_of_a_cut(assets, head):
    from skimage import data

    portrait = Image.fromarray(np.ascontiguousarray(data.astronaut()[:330, 40:400]))

    def clip():
        for index in range(24):
            background, corner, zoom = (
                ((40, 60, 90), (10, 20), 0.75) if index < 12 else ((220, 190, 150), (650, 330), 0.85)
            )
            frame = Image.new("RGB", (1000, 640), background)
            size = (round(portrait.width * zoom), round(portrait.height * zoom))
            frame.paste(portrait.resize(size), (corner[0] + index, corner[1]))
            yield Frame(index / 25, np.asarray(frame))

    track = track_clip(clip(), MediaPipeDetector(assets["face_landmarker"]), head)
    assert sum(frame.found for frame in track.frames) >= 24 - 3
    assert track.frames[-1].found
