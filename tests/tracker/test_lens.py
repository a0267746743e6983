from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from meshlam_core.frames import Camera, project
from meshlam_core.texture.albedo import posed_vertices
from meshlam_core.tracker.landmarks import MediaPipeDetector, choose_face, face_centre, face_span
from meshlam_core.tracker.lens import FULL_FRAME, Lens, edge_lens
from tests.tracker.conftest import look_at

SIZE = (4000, 3000)
WIDE = 26 / FULL_FRAME * 5000  # px


def rms(a, b):
    """m"""
    return np.sqrt(((np.asarray(a, float) - b) ** 2).sum(axis=1).mean())


def moved(detection, centre, height=400.0):
    """The detection as a pasted face of a height around a centre."""
    scale = height / face_span(detection.landmarks)
    points = (detection.landmarks - [*face_centre(detection), 0]) * scale + [*centre, 0]
    low, high = points.min(axis=0), points.max(axis=0)
    return replace(detection, landmarks=points.astype(np.float32), box=(*low[:2].tolist(), *high[:2].tolist()))


@pytest.fixture(scope="module")
def pictured(assets):
    """The public-domain NASA portrait of scikit-image, its detector, and the face in it."""
    from skimage import data

    detector = MediaPipeDetector(assets["face_landmarker"])
    picture = np.ascontiguousarray(data.astronaut())
    return picture, detector, detector.refine(picture, choose_face(detector.detect(picture)))


def test_the_same_face_at_forty_places_and_sizes_gives_the_same_head(pictured, fitter):
    picture, detector, face = pictured
    wanted = fitter.fit(face, (512, 512))
    x0, y0, x1, y1 = (round(side) for side in face.box)
    margin = (y1 - y0) // 3
    cut = Image.fromarray(picture).crop((x0 - margin, y0 - margin, x1 + margin, y1 + margin))
    span = face_span(face.landmarks)
    rng = np.random.default_rng(0)
    for index in range(40):
        factor = np.geomspace(67, 420, 40)[index] / span
        pasted = cut.resize((round(cut.width * factor), round(cut.height * factor)), Image.Resampling.LANCZOS)
        canvas = Image.new("RGB", (1200, 900), (128, 128, 128))
        corner = (rng.uniform(0, 1, 2) * np.subtract(canvas.size, pasted.size)).astype(int)
        if index % 4 == 0:  # into a corner of the picture
            corner = np.subtract(canvas.size, pasted.size) * np.array([index // 4 % 2, index // 8 % 2])
        canvas.paste(pasted, tuple(corner.tolist()))
        pixels = np.asarray(canvas)
        found = detector.refine(pixels, choose_face(detector.detect(pixels, every=False)))
        fitted = fitter.fit(found, canvas.size, (None, 12.0, 26.0, 200.0)[index % 4])
        assert rms(fitted.vertices, wanted.vertices) < 0.0015, (index, factor * span)
        assert abs(fitted.landmark_error - wanted.landmark_error) < 0.001


@pytest.mark.parametrize("exif", [None, 26.0])
def test_a_face_that_a_wide_lens_stretched_at_the_edge_gives_the_head_of_the_middle(pictured, fitter, exif):
    """The lens moves along its picture: what stood in the middle is seen at the edge as that lens would show it."""
    _, _, face = pictured
    middle = moved(face, (0.0, 0.0))
    wanted = fitter.fit(middle, SIZE)
    lens = Lens(WIDE, (2000.0, 1500.0))
    edge = np.array([1100.0, 900.0])
    turn = lens._turn(edge + lens.centre)
    rays = np.column_stack([middle.landmarks[:, :2], np.full(478, WIDE)]) @ turn.T
    points = np.column_stack([rays[:, :2] / rays[:, 2:] * WIDE + lens.centre, middle.landmarks[:, 2]])
    low, high = points.min(axis=0), points.max(axis=0)
    stretched = replace(face, landmarks=points.astype(np.float32), box=(*low[:2].tolist(), *high[:2].tolist()))
    fitted = fitter.fit(stretched, SIZE, exif)
    assert rms(fitted.vertices, wanted.vertices) < 0.0005
    assert fitted.camera == Camera(WIDE, (2000.0, 1500.0), SIZE)
    assert fitted.landmark_error < wanted.landmark_error + 0.001
    nose = project(posed_vertices(fitted, fitter.model).numpy(), fitted.camera)[:, :2]
    assert np.abs(nose.mean(axis=0) - face_centre(stretched)).max() < 400  # the head is where the face is


def test_a_face_pasted_at_the_edge_is_not_taken_for_a_stretched_one(pictured, fitter):
    _, _, face = pictured
    pasted = moved(face, (3300.0, 2500.0))
    fitted = fitter.fit(pasted, SIZE, 26.0)
    np.testing.assert_allclose(fitted.camera.centre, face_centre(pasted))
    assert rms(fitted.vertices, fitter.fit(moved(face, (2000.0, 1500.0)), SIZE).vertices) < 0.0002


def test_a_straightened_face_is_what_a_camera_turned_towards_it_sees(fitter):
    _, detection = look_at(fitter, [0.5], {}, focal=WIDE, size=(800, 1000))
    lens = Lens(WIDE, (2000.0, 1500.0))
    straight, view_from_straight = lens.straightened(moved(detection, (3000.0, 600.0)))
    np.testing.assert_allclose(view_from_straight @ view_from_straight.T, np.eye(3), atol=1e-12)
    ray = view_from_straight @ [0.0, 0.0, -1.0]  # the straight camera's axis in the view frame
    np.testing.assert_allclose([WIDE * ray[0] / -ray[2], -WIDE * ray[1] / -ray[2]], [1000.0, -900.0], rtol=1e-6)
    assert np.abs(face_centre(straight)).max() < 60  # its middle is near the new axis
    alone, same = lens.straightened(moved(detection, (2000.0, 1500.0)))
    np.testing.assert_allclose(same, np.eye(3), atol=1e-7)
    np.testing.assert_allclose(
        alone.landmarks[:, :2] + lens.centre, moved(detection, (2000.0, 1500.0)).landmarks[:, :2], atol=1e-2
    )


def test_only_faces_far_from_the_middle_are_asked_about_their_lens(fitter):
    _, detection = look_at(fitter, [], {})
    assert edge_lens(moved(detection, (2300.0, 1500.0)), SIZE, None) is None
    assert edge_lens(moved(detection, (3500.0, 1500.0)), SIZE, 100.0) is None
    assert edge_lens(moved(detection, (3500.0, 1500.0)), SIZE, None).focal == pytest.approx(WIDE)
