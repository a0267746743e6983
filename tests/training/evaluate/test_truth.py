from __future__ import annotations

import numpy as np

from meshlam_core.points import CHIN, FOREHEAD
from training.evaluate.photo import compare
from training.evaluate.truth import HeadTruth, Window, above_chin, head_window, touching, without_spots


def face(centre: tuple[float, float], height: float, roll: float = 0.0) -> np.ndarray:  # [478, 2] px
    """A square face, forehead and chin on the middle of two of its sides."""
    edge = np.linspace(-0.5, 0.5, 478)
    points = np.stack([edge, edge], 1)
    points[FOREHEAD], points[CHIN] = (0, -0.5), (0, 0.5)
    turn = np.array([[np.cos(roll), -np.sin(roll)], [np.sin(roll), np.cos(roll)]])
    return points @ turn.T * height + centre


def test_the_window_is_three_faces_wide_and_a_little_higher_than_the_face() -> None:
    window = head_window(face((500, 600), 100), (1000, 1200))
    assert (window.width, window.height) == (300, 300)
    assert (window.x0, window.y0) == (350, 440)
    assert window.factor == 512 / 300


def test_the_window_ends_where_the_photo_ends() -> None:
    window = head_window(face((60, 50), 100), (1000, 110))
    assert (window.x0, window.y0) == (0, 0)
    assert (window.width, window.height) == (210, 110)


def test_the_cut_shows_the_window_at_512_pixels() -> None:
    pixels = np.zeros((100, 200, 3), np.uint8)
    pixels[20:40, 50:90] = (200, 100, 50)
    view = Window(50, 20, 40, 20).cut(pixels)
    assert view.shape == (256, 512, 3)
    assert (view[45:-45, 45:-45] == (200, 100, 50)).all()  # but for the filter's ringing at the edges


def test_above_the_chin_of_an_upright_face_is_above_a_row() -> None:
    mask = above_chin(face((50, 40), 40), (100, 100))
    assert mask[:60].all()
    assert not mask[60:].any()


def test_above_the_chin_of_a_face_on_its_side_is_beside_a_column() -> None:
    mask = above_chin(face((50, 40), 40, roll=np.pi / 2), (100, 100))  # the forehead points to the right
    assert mask[:, 31:].all()
    assert not mask[:, :29].any()


def test_hair_that_does_not_touch_the_head_is_somebody_elses() -> None:
    mask = np.zeros((10, 20), bool)
    mask[2:5, 2:6] = mask[2:5, 10:14] = True
    place = np.zeros_like(mask)
    place[4, 3] = True
    kept = touching(mask, place)
    assert kept[2:5, 2:6].all()
    assert kept.sum() == 12


def made_up_truth() -> HeadTruth:
    """A picture of 80 x 80 px: hair in rows 10 to 20, face in rows 20 to 40, chin at row 40, shoulders below."""
    hair, outline, person, clothes = np.zeros((4, 80, 80), bool)
    hair[10:20, 30:50] = outline[20:40, 30:50] = True
    person[10:40, 30:50] = person[40:, 10:70] = True
    landmarks = face((40, 30), 20).astype(np.float32)
    picture = np.full((80, 80, 3), 100, np.uint8)
    above = above_chin(landmarks, (80, 80))
    return HeadTruth(Window(0, 0, 80, 80), picture, landmarks, hair, outline, person, above, clothes)


def test_a_perfect_rendering_has_perfect_scores() -> None:
    truth = made_up_truth()
    rendering = np.dstack([truth.picture, np.where(truth.head, 255, 0)]).astype(np.uint8)
    scores = compare(rendering, truth)
    assert scores.hair == 1
    assert scores.silhouette == 1  # shoulders are below the chin
    assert scores.head > 100
    assert scores.outline > 100


def test_pixels_that_the_mesh_does_not_reach_are_errors() -> None:
    truth = made_up_truth()
    bald = np.dstack([truth.picture, np.where(truth.outline, 255, 0)]).astype(np.uint8)
    scores = compare(bald, truth)
    assert scores.hair == 0
    assert abs(scores.silhouette - 2 / 3) < 1e-9
    third = 10 * np.log10(255**2 / (100**2 / 3))  # a third of the head is off by 100
    assert abs(scores.head - third) < 1e-6
    assert scores.outline > 100


def test_shoulders_beside_the_chin_count_as_a_person_but_not_without_clothes() -> None:
    truth = made_up_truth()
    truth.person[35:40, 10:30] = truth.clothes[35:40, 10:30] = True
    rendering = np.dstack([truth.picture, np.where(truth.head, 255, 0)]).astype(np.uint8)
    scores = compare(rendering, truth)
    assert abs(scores.silhouette - 600 / 700) < 1e-9
    assert scores.undressed == 1


def test_an_empty_rendering_covers_nothing() -> None:
    scores = compare(np.zeros((80, 80, 4), np.uint8), made_up_truth())
    assert (scores.hair, scores.silhouette) == (0, 0)
    assert abs(scores.head - 20 * np.log10(255 / 100)) < 1e-6


def test_a_spot_beside_the_face_is_no_hair_but_a_fringe_and_a_plait_are() -> None:
    outline = np.zeros((200, 200), bool)
    outline[60:160, 60:140] = True
    hair = np.zeros_like(outline)
    hair[30:61, 70:130] = True  # on the forehead
    hair[150:156, 59:62] = True  # a curl at the jaw
    plait, spot = np.zeros_like(hair), np.zeros_like(hair)
    plait[100:190, 150:156] = True
    spot[150:160, 20:30] = True
    np.testing.assert_array_equal(without_spots(hair | plait | spot, outline), hair | plait)
