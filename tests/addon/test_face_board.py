from __future__ import annotations

import pytest

from blender_addon.face_board import Board, frame_of, free_room

SIZE = (4000, 2000)
BOXES = [(400, 500, 900, 1100), (1800, 300, 2300, 900), (2200, 500, 2700, 1100), (3900, 1900, 3910, 1912)]
ROOM = (100.0, 50.0, 1100.0, 850.0)


@pytest.fixture
def board() -> Board:
    return Board.of(SIZE, BOXES, ROOM)


def middle(box) -> tuple[float, float]:
    return (box[0] + box[2]) / 2, (box[1] + box[3]) / 2


def test_the_photo_fills_the_room_undistorted_in_its_middle(board):
    left, bottom, right, top = board.photo
    assert (right - left) / (top - bottom) == pytest.approx(2)
    assert middle(board.photo) == pytest.approx(middle(ROOM))
    assert ROOM[0] < left < ROOM[0] + 100
    assert ROOM[1] < bottom < top < ROOM[3]


def test_a_click_into_a_box_means_its_face_and_beside_all_none(board):
    for number, box in enumerate(board.faces, 1):
        assert board.face_at(*middle(box)) == number
    scale = (board.photo[2] - board.photo[0]) / SIZE[0]
    x, y = board.photo[0] + 450 * scale, board.photo[3] - 550 * scale  # as the photo counts: from its upper left
    assert board.face_at(x, y) == 1
    assert board.face_at(x, board.photo[1] + 550 * scale) == 0  # the same from below
    assert board.face_at(*ROOM[:2]) == 0


def test_where_boxes_overlap_the_nearer_face_is_meant(board):
    second, third = board.faces[1:3]
    y = (second[1] + third[3]) / 2
    assert board.face_at(third[0] + 2, y) == 2
    assert board.face_at(second[2] - 2, y) == 3


def test_a_tiny_face_can_be_hit(board):
    x, y = middle(board.faces[3])
    assert board.face_at(x + 10, y - 10) == 4


def test_keys_mean_the_faces_of_their_numbers(board):
    assert [board.face_of_key(key) for key in ("ONE", "NUMPAD_3", "FIVE", "A", "ZERO")] == [1, 3, 0, 0, 0]


def test_a_frame_leaves_what_it_frames_free():
    bars = frame_of((10, 20, 50, 80), 2)
    assert sum((right - left) * (top - bottom) for left, bottom, right, top in bars) == 44 * 64 - 40 * 60
    assert all(right <= 10 or left >= 50 or top <= 20 or bottom >= 80 for left, bottom, right, top in bars)


def test_the_room_is_what_header_tools_and_sidebar_leave():
    view = (0, 100, 1000, 900)
    header, tools, sidebar = (0, 874, 1000, 900), (0, 100, 56, 874), (720, 100, 1000, 874)
    folded, elsewhere = (999, 100, 1000, 874), (1000, 100, 1300, 900)
    assert free_room(view, [header, tools, sidebar, folded, elsewhere]) == (56, 100, 720, 874)
    assert free_room(view, [(0, 100, 1000, 126)]) == (0, 126, 1000, 900)  # a header below
    assert free_room(view, []) == view
