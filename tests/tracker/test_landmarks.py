import numpy as np
import pytest
from PIL import Image
from skimage import data

from meshlam_core.arkit import ARKIT_MIRROR, ARKIT_NAMES
from meshlam_core.errors import AssetError, FaceTooSmall, NoFace, UsageError
from meshlam_core.files.images import load_photo
from meshlam_core.points import LEFT_EYE_OUTER, MIRROR, NOSE_TIP, RIGHT_EYE_OUTER
from meshlam_core.tracker.landmarks import (
    MediaPipeDetector,
    check_face_size,
    choose_face,
    face_span,
    landmark_region,
)
from meshlam_core.tracker.types import Detection
from tests import faces as people


@pytest.fixture(scope="module")
def detector(assets):
    return MediaPipeDetector(assets["face_landmarker"])


@pytest.fixture(scope="module")
def portrait(portrait_file):
    return load_photo(portrait_file).pixels


def face_at(x, size=100.0):
    points = np.zeros((478, 3), np.float32)
    points[152, 1] = size
    return Detection(points, np.zeros(52, np.float32), (x, 0.0, x + size, size), 1.0)


def test_the_largest_face_is_chosen_unless_a_number_from_the_left_is_given():
    faces = [face_at(0), face_at(200, 150), face_at(500)]
    assert choose_face(faces) is faces[1]
    assert choose_face(faces, 1) is faces[0]
    assert choose_face(faces, 3) is faces[2]


def test_a_face_that_is_not_there_is_named_with_how_many_there_are():
    with pytest.raises(NoFace, match=r"Face 3 was asked for, but 2 faces were found in party\.jpg"):
        choose_face([face_at(0), face_at(200)], 3, "party.jpg")
    with pytest.raises(NoFace, match=r"No face was found in wall\.jpg"):
        choose_face([], "largest", "wall.jpg")
    with pytest.raises(UsageError, match="number from 1"):
        choose_face([face_at(0)], 0)


def test_a_face_with_too_few_pixels_is_refused_with_its_size():
    with pytest.raises(FaceTooSmall, match="40 pixels high; at least 64") as caught:
        check_face_size(face_at(0, 40.0))
    assert "larger" in caught.value.hint
    check_face_size(face_at(0, 64.0))


def test_a_missing_or_damaged_model_file_is_an_asset_error(tmp_path):
    with pytest.raises(AssetError, match="missing"):
        MediaPipeDetector(tmp_path / "none.task")
    (tmp_path / "bad.task").write_bytes(b"no zip")
    with pytest.raises(AssetError, match="damaged"):
        MediaPipeDetector(tmp_path / "bad.task")


def test_landmarks_and_coefficients_agree_with_mediapipes_own_graph(detector, portrait, assets):
    mediapipe = pytest.importorskip("mediapipe")
    from mediapipe.tasks.python import BaseOptions, vision

    options = vision.FaceLandmarkerOptions(
        base_options=BaseOptions(model_asset_path=str(assets["face_landmarker"])), output_face_blendshapes=True
    )
    with vision.FaceLandmarker.create_from_options(options) as theirs:
        result = theirs.detect(mediapipe.Image(image_format=mediapipe.ImageFormat.SRGB, data=portrait))
    size = np.array([portrait.shape[1], portrait.shape[0], portrait.shape[1]])
    expected = np.array([[p.x, p.y, p.z] for p in result.face_landmarks[0]]) * size
    (found,) = detector.detect(portrait)
    off = np.sqrt(((found.landmarks - expected)[:, :2] ** 2).sum(axis=1).mean()) / face_span(found.landmarks)
    assert off < 0.008  # two looks of the network at slightly different crops
    # the third network is a plain function of the landmarks, so on theirs it must give theirs
    ours = detector._nets.expression(expected.astype(np.float32))
    theirs_by_name = {category.category_name: category.score for category in result.face_blendshapes[0]}
    np.testing.assert_allclose(ours[:51], [theirs_by_name[name] for name in ARKIT_NAMES[:51]], atol=1e-3)


def test_the_mirrored_picture_gives_the_mirrored_face(detector, portrait):
    (face,) = detector.detect(portrait)
    face = detector.refine(portrait, face)
    flipped = np.ascontiguousarray(portrait[:, ::-1])
    mirrored = detector.refine(flipped, detector.detect(flipped)[0])
    back = mirrored.landmarks[MIRROR, :2] * [-1, 1] + [portrait.shape[1], 0]
    off = np.sqrt(((back - face.landmarks[:, :2]) ** 2).sum(axis=1).mean())
    assert off / face_span(face.landmarks) < 0.003


def test_the_coefficients_of_a_mirrored_look_are_named_for_the_right_side(detector):
    aside = np.asarray(people.looking_aside())
    (face,) = detector.detect(aside)
    region = landmark_region(face.landmarks)
    plain = detector._look(aside, region).coefficients
    mirrored = detector._look(aside, region, mirrored=True).coefficients
    lopsided = np.abs(plain - plain[ARKIT_MIRROR]).max()
    assert lopsided > 0.3  # or the test would see nothing
    assert np.abs(mirrored - plain).max() < 0.5 * np.abs(mirrored - plain[ARKIT_MIRROR]).max()


@pytest.mark.parametrize("angle", [-35, 90, 180])
def test_a_rolled_head_is_found_and_its_landmarks_roll_with_it(detector, portrait, angle):
    (upright,) = detector.detect(portrait)
    upright = detector.refine(portrait, upright)
    turned = np.asarray(Image.fromarray(portrait).rotate(angle, Image.Resampling.BICUBIC))
    found = detector.detect(turned)
    face = detector.refine(turned, found[0])
    a = np.radians(angle)
    rotation = np.array([[np.cos(a), np.sin(a)], [-np.sin(a), np.cos(a)]])  # counter-clockwise in a y-down picture
    expected = (upright.landmarks[:, :2] - 512) @ rotation.T + 512
    off = np.sqrt(((face.landmarks[:, :2] - expected) ** 2).sum(axis=1).mean())
    assert off / face_span(upright.landmarks) < 0.01


def test_small_faces_in_a_group_are_all_found_from_left_to_right(detector, group_file):
    faces = detector.detect(load_photo(group_file).pixels)
    assert len(faces) == 3
    assert [face.box[0] for face in faces] == sorted(face.box[0] for face in faces)


def test_the_largest_face_is_the_same_without_the_search_for_small_ones(detector, group_file, portrait_file):
    for path in (group_file, portrait_file):
        pixels = load_photo(path).pixels
        quick, thorough = (choose_face(detector.detect(pixels, every)) for every in (False, True))
        np.testing.assert_allclose(quick.landmarks, thorough.landmarks)


@pytest.mark.parametrize("name", ["cat", "rocket", "brick", "gravel"])
def test_pictures_without_a_human_like_face_give_none(detector, name):
    picture = Image.fromarray(getattr(data, name)()).convert("RGB")
    assert detector.detect(np.asarray(picture)) == []


def test_a_face_of_forty_pixels_is_found_so_that_it_can_be_refused(detector, portrait):
    small = np.full((480, 640, 3), 120, np.uint8)
    side = round(1024 * 40 / face_span(detector.detect(portrait)[0].landmarks))
    small[200 : 200 + side, 300 : 300 + side] = np.asarray(Image.fromarray(portrait).resize((side, side)))
    (face,) = detector.detect(small)
    with pytest.raises(FaceTooSmall, match=r"(3[6-9]|4[0-4]) pixels"):
        check_face_size(face)


@pytest.mark.parametrize("half", ["left", "right"])
def test_half_a_face_at_the_border_of_the_picture_is_found(detector, portrait, half):
    landmarks = detector.detect(portrait)[0].landmarks[:, :2]
    low, high = landmarks.min(axis=0), landmarks.max(axis=0)
    size, middle = high - low, (low + high) / 2
    rim, nose = 0.1 * size[0], 0.01 * size[0]  # without a little of the nose's other side it is chance
    x0, x1 = (low[0] - rim, middle[0] + nose) if half == "left" else (middle[0] - nose, high[0] + rim)
    y0, y1 = low[1] - 0.1 * size[1], high[1] + 0.1 * size[1]
    cut = np.ascontiguousarray(portrait[int(y0) : int(y1), int(x0) : int(x1)])
    (face,) = detector.detect(cut, every=False)
    found = detector.refine(cut, face).landmarks[:, :2] + [int(x0), int(y0)]
    assert np.linalg.norm(found - landmarks, axis=1).mean() < 0.04 * size[1]


def test_a_moved_face_is_followed_and_a_vanished_one_is_lost(detector, portrait):
    (face,) = detector.detect(portrait)
    shifted = np.roll(portrait, 60, axis=1)
    followed = detector.follow(shifted, face)
    np.testing.assert_allclose(followed.landmarks[NOSE_TIP, 0], face.landmarks[NOSE_TIP, 0] + 60, atol=6)
    assert detector.follow(np.full_like(portrait, 127), face) is None


def test_the_landmark_region_is_upright_and_holds_the_face():
    points = np.zeros((478, 3), np.float32)
    points[:, 0] = np.linspace(0, 100, 478)
    points[RIGHT_EYE_OUTER, :2], points[LEFT_EYE_OUTER, :2] = (10, 20), (90, 20)
    region = landmark_region(points)
    assert region.roll == 0
    assert region.side == pytest.approx(150, rel=0.01)
