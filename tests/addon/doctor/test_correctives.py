"""The key doctor: what goes through teeth, eyes and skin, counted before and after."""

from __future__ import annotations

from dataclasses import replace
from itertools import combinations_with_replacement

import numpy as np
import pytest

from blender_addon.doctor.barriers import barriers, near_barriers
from blender_addon.doctor.correctives import Corrective, cure, faults, shown
from blender_addon.doctor.shapes import Mesh


def mouth(roll: float = 0.004, press: float = 0.0) -> Mesh:
    """Two arcs of teeth 1.5 mm behind two lips; the keys draw the upper lip's middle back by `roll` and `press`."""
    rows, columns = 5, 25
    angle = np.linspace(-1.4, 1.4, columns)

    def band(radius: float, low: float, high: float) -> np.ndarray:
        height = np.linspace(low, high, rows)
        ring = np.stack([np.sin(angle) * radius, np.zeros(columns), np.cos(angle) * radius], 1)
        return (ring[None] + height[:, None, None] * np.array([0, 1, 0])).reshape(-1, 3)

    def lip(side: int) -> np.ndarray:  # from the back over the edge to the front, and the other way below
        profile = [(0.0415, 0.009), (0.0415, 0.002), (0.043, 0.0005), (0.0445, 0.002), (0.0445, 0.009)][::side]
        rings = [(r * np.sin(angle), up * side + 0 * angle, r * np.cos(angle)) for r, up in profile]
        return np.stack(rings, 1).reshape(3, -1).T

    pieces = {
        "teeth_upper": band(0.04, 0.001, 0.008),
        "teeth_lower": band(0.04, -0.009, -0.001),
        "lips": np.concatenate([lip(1), lip(-1)]),
    }
    vertices = np.concatenate(list(pieces.values())).astype(np.float32)
    part = np.concatenate([np.full(len(points), name) for name, points in pieces.items()])
    index = np.arange(rows * columns).reshape(rows, columns)
    a, b, c, d = index[:-1, :-1], index[:-1, 1:], index[1:, :-1], index[1:, 1:]
    sheet = np.concatenate([np.stack([a, b, c], -1).reshape(-1, 3), np.stack([b, d, c], -1).reshape(-1, 3)])
    faces = np.concatenate([sheet + start for start in range(0, len(vertices), rows * columns)]).astype(np.int32)
    lower = vertices[:, 1] < 0
    upper_lip = (part == "lips") & ~lower
    back = np.exp(-((vertices[:, 0] / 0.012) ** 2))[:, None] * np.array([0, 0, -1])
    moves = {
        "mouthRollUpper": np.where(upper_lip[:, None], back * roll, 0),
        "mouthPress": np.where(upper_lip[:, None], back * press, 0),
        "browDown": np.zeros_like(vertices),
    }
    return Mesh(vertices, faces, part, lower.astype(np.float32), {k: v.astype(np.float32) for k, v in moves.items()})


UPPER = "lips through the upper teeth"


def test_a_lip_that_rolls_through_the_teeth_is_found_and_pushed_out_in_front_of_them():
    mesh = mouth(roll=0.004)
    found = cure(mesh)
    assert found.before.pairs[UPPER] == 1  # the key alone; the others do not touch the mouth
    assert found.before.deepest[UPPER] == pytest.approx(0.0025, abs=3e-4)
    assert found.after.total == 0
    (alone,) = [item for item in found.correctives if not item.others]
    assert alone.first == "mouthRollUpper"
    lip = (mesh.part == "lips") & (mesh.jaw == 0)
    rolled = (mesh.vertices + mesh.moves["mouthRollUpper"] + alone.move)[lip]
    assert rolled[np.abs(rolled[:, 0]) < 1e-3, 2].min() > 0.04 - 3e-4
    assert not alone.move[mesh.part != "lips"].any()


def test_keys_that_are_harmless_alone_get_a_corrective_for_the_two_together():
    found = cure(mouth(roll=0.0013, press=0.0013))
    assert found.before.pairs[UPPER] == 1
    assert [(item.first, item.others) for item in found.correctives] == [("mouthRollUpper", ("mouthPress",))]
    assert found.after.total == 0


def test_a_face_without_faults_is_left_alone():
    found = cure(mouth(roll=0.0005))
    assert (found.before.total, found.after.total, found.correctives) == (0, 0, [])


def test_what_touches_at_rest_already_is_no_fault_of_the_keys():
    mesh = mouth(roll=0.0)
    lip = (mesh.part == "lips")[:, None]
    sunk = replace(mesh, vertices=np.where(lip, mesh.vertices * np.float32([0.95, 1, 0.95]), mesh.vertices))
    assert cure(sunk).before.total == 0


def test_a_mouth_that_closes_further_than_it_is_open_is_taken_back():
    mesh = mouth(roll=0.0)
    lower_lip = ((mesh.part == "lips") & (mesh.jaw > 0))[:, None]
    up = np.where(lower_lip, np.float32([0, 0.004, 0]), np.float32(0))
    teeth = np.where((mesh.jaw > 0)[:, None], np.float32([0, -0.012, 0]), np.float32(0))
    found = cure(replace(mesh, moves={"jawOpen": teeth, "mouthClose": up}))
    assert found.before.pairs["the lower lip through the upper"] == 1
    assert found.after.total == 0
    (back,) = found.correctives
    assert (back.first, back.others, back.above) == ("mouthClose", ("jawOpen",), True)
    np.testing.assert_array_equal(back.move, -up)


def test_a_lower_lip_that_is_pressed_into_the_upper_one_ends_where_they_touch():
    mesh = mouth(roll=0.0)
    lip = mesh.part == "lips"
    up = np.where((lip & (mesh.jaw > 0))[:, None], np.float32([0, 0.002, 0]), np.float32(0))
    pressed = replace(mesh, moves={"mouthShrugLower": up})
    found = cure(pressed)
    assert found.before.pairs["the lower lip through the upper"] == 1
    assert found.before.deepest["the lower lip through the upper"] == pytest.approx(0.001, abs=3e-4)
    assert found.after.total == 0
    points = shown(pressed, found.correctives, {"mouthShrugLower": 1.0})
    gap = points[lip & (mesh.jaw == 0), 1].min() - points[lip & (mesh.jaw > 0), 1].max()
    assert -3e-4 < gap < 3e-4  # neither through each other nor ajar


def test_a_head_without_named_parts_has_nothing_to_be_tested():
    mesh = mouth()
    assert barriers(replace(mesh, part=np.full(len(mesh.vertices), "head"))) == []


def deepest_of_all_pairs(mesh: Mesh, correctives: list[Corrective]) -> float:
    """m, of all 1378 pairs of 52 keys, each as sliders and drivers show it, deeper than at rest and as they are
    meant to close; nothing left out."""
    pairs = list(combinations_with_replacement(mesh.moves, 2))
    assert len(pairs) == 1378
    near, kept = near_barriers(mesh)
    correctives = [replace(item, move=item.move[kept]) for item in correctives]
    found = barriers(near)
    closed = [(), ("jawOpen", "mouthClose"), ("mouthSmileLeft",), ("mouthSmileRight",)]
    states = np.stack([shown(near, [], dict.fromkeys(keys, 1.0)) for keys in closed])
    allowed = []
    for barrier in found:
        meant = states if "lip through" in barrier.name else states[:1]
        allowed.append(np.maximum(barrier.depths(meant, np.zeros(len(meant), np.intp)).max(0), 0))
    deepest = 0.0
    for start in range(0, len(pairs), 100):
        chunk = pairs[start : start + 100]
        states = np.stack([shown(near, correctives, dict.fromkeys(pair, 1.0)) for pair in chunk])
        for barrier, most in zip(found, allowed, strict=True):
            moving = states[:, barrier.still].reshape(len(states), -1)
            first: dict[bytes, int] = {}  # teeth and eyes mostly stay where they are
            same = np.array([first.setdefault(row.tobytes(), index) for index, row in enumerate(moving)])
            deepest = max(deepest, float((barrier.depths(states, same) - most).max()))
    return deepest


def test_no_pair_of_the_52_keys_of_the_open_head_goes_through_teeth_eyes_or_skin_any_more(head):
    part = np.array(head.parts)[head.part]
    moves = dict(zip(head.blendshape_names, np.asarray(head.blendshapes, np.float32), strict=True))
    jaw = np.asarray(head.weights[:, head.joint_names.index("jaw")], np.float32)
    mesh = Mesh(np.asarray(head.template, np.float32), np.asarray(head.faces, np.int32), part, jaw, moves)
    found = cure(mesh)
    assert found.before.total > 100
    assert max(found.after.deepest.values()) <= 3e-4
    assert deepest_of_all_pairs(mesh, found.correctives) <= 3e-4
    without = [item for item in found.correctives if not item.others]
    assert faults(mesh, without).total > 0  # the pairs' correctives are needed
    # what closes the eye or the mouth closes it as before
    for keys in (("eyeBlinkLeft",), ("jawOpen", "mouthClose"), ("mouthSmileLeft",)):
        values = dict.fromkeys(keys, 1.0)
        off = np.linalg.norm(shown(mesh, found.correctives, values) - shown(mesh, [], values), axis=1)
        seam = (part == "lips") if keys != ("eyeBlinkLeft",) else (part == "eyelids")
        assert off[seam].max() < 0.0012, keys
    assert all(isinstance(item, Corrective) and item.move.shape == mesh.vertices.shape for item in found.correctives)
