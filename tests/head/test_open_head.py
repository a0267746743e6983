"""The committed open head: is it a head, rigged and laid out as promised?"""

from __future__ import annotations

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from meshlam_core.arkit import ARKIT_NAMES
from meshlam_core.head.builder.crop import border_loops
from meshlam_core.head.model import HeadModel
from meshlam_core.head.skinning import pose_vertices
from meshlam_core.points import MIRROR

F64 = NDArray[np.float64]
CLOSED = ("tongue", "eyeball_left", "eyeball_right")  # pieces without a border


def vertices_of(head: HeadModel, *names: str) -> NDArray[np.int64]:
    return np.flatnonzero(np.isin(head.part, [head.parts.index(name) for name in names]))


def faces_of(head: HeadModel, *names: str) -> NDArray[np.int32]:
    return head.faces[np.isin(head.faces, vertices_of(head, *names)).all(axis=1)]


def skin_faces(head: HeadModel) -> NDArray[np.int32]:
    names = ("face", "scalp", "neck", "ears", "eyelids", "lips", "mouth_interior", "eye_sockets")
    return faces_of(head, *names)


def expression(head: HeadModel, **values: float) -> F64:
    result = head.template.astype(np.float64)
    for name, value in values.items():
        result = result + value * head.blendshapes[head.blendshape_names.index(name)]
    return result


def random_people(head: HeadModel, count: int) -> list[NDArray[np.float32]]:
    rng = np.random.default_rng(11)
    return [head.shaped(rng.normal(size=len(head.identity_basis)).astype(np.float32)) for _ in range(count)]


def test_it_has_the_promised_size_and_regions(head: HeadModel) -> None:
    assert 5500 <= len(head.template) <= 6500
    # dense where hair changes the outline, sparse where nobody looks
    assert len(vertices_of(head, "scalp")) > 1500
    assert len(vertices_of(head, "eye_sockets", "mouth_interior")) < 400
    assert len(head.identity_basis) >= 80
    for name in head.parts:
        assert len(vertices_of(head, name)) > 0, name
    extent = np.ptp(head.template, axis=0)
    assert 0.2 < extent[1] < 0.35  # m, crown to the base of the neck


def test_the_skin_is_one_manifold_surface_with_one_straight_border_at_the_neck(head: HeadModel) -> None:
    faces = skin_faces(head)
    edges = np.sort(np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]]), axis=1)
    _, times = np.unique(edges, axis=0, return_counts=True)
    assert times.max() == 2
    loops = border_loops(faces)
    assert len(loops) == 1
    border = head.template[loops[0]].astype(np.float64)
    assert len(border) >= 40
    centred = border - border.mean(axis=0)
    normal = np.linalg.svd(centred)[2][2]
    assert np.abs(centred @ normal).max() < 1e-6  # m off the plane
    length = np.linalg.norm(np.roll(border, -1, axis=0) - border, axis=1)
    assert length.max() < 3 * length.min()


@pytest.mark.parametrize("name", CLOSED)
def test_tongue_and_eyeballs_are_closed(head: HeadModel, name: str) -> None:
    assert border_loops(faces_of(head, name)) == []


def test_every_triangle_has_an_area_and_every_vertex_is_used(head: HeadModel) -> None:
    corners = head.template[head.faces].astype(np.float64)
    area = np.linalg.norm(np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]), axis=1) / 2
    assert area.min() > 1e-9  # m^2
    assert len(np.unique(head.faces)) == len(head.template)
    assert len(np.unique(head.uv_faces)) == len(head.uvs)


def test_triangles_face_outwards(head: HeadModel) -> None:
    def volume(faces: NDArray[np.int32]) -> float:
        corners = head.template[faces].astype(np.float64) - head.template[faces].mean(axis=(0, 1))
        return float(np.linalg.det(corners).sum() / 6)

    assert volume(skin_faces(head)) > 0.001  # m^3
    for name in CLOSED:
        assert volume(faces_of(head, name)) > 1e-7


def test_left_is_plus_x_and_the_mirror_table_is_exact(head: HeadModel) -> None:
    assert head.template[vertices_of(head, "eyeball_left"), 0].min() > 0
    assert (head.mirror[head.mirror] == np.arange(len(head.mirror))).all()
    np.testing.assert_allclose(head.template[head.mirror] * [-1, 1, 1], head.template, atol=1e-6)
    mirrored = {tuple(sorted(face)) for face in head.mirror[head.faces].tolist()}
    assert mirrored == {tuple(sorted(face)) for face in head.faces.tolist()}


def test_the_face_looks_along_plus_z(head: HeadModel) -> None:
    assert head.template[:, 2].argmax() in vertices_of(head, "face")  # the tip of the nose


def test_the_root_joint_of_every_identity_is_the_origin(head: HeadModel) -> None:
    for vertices in random_people(head, 5):
        assert np.abs(head.joints(vertices)[0]).max() < 2e-4


def test_eyeballs_of_every_identity_are_spheres_around_their_joints(head: HeadModel) -> None:
    for vertices in random_people(head, 5):
        joints = head.joints(vertices)
        for joint, name in ((3, "eyeball_left"), (4, "eyeball_right")):
            radius = np.linalg.norm(vertices[vertices_of(head, name)] - joints[joint], axis=1)
            assert np.ptp(radius) < 1e-4  # m
            assert 0.011 < radius.mean() < 0.020


def test_lids_stay_outside_the_eyeballs_of_every_identity(head: HeadModel) -> None:
    lids = vertices_of(head, "eyelids")
    lids = lids[head.template[lids, 0] > 0]
    ball = vertices_of(head, "eyeball_left")

    def clearance(vertices: NDArray[np.float32]) -> NDArray[np.float32]:
        centre = head.joints(vertices)[3]
        radius = np.linalg.norm(vertices[ball] - centre, axis=1).mean()
        return np.asarray(np.linalg.norm(vertices[lids] - centre, axis=1) - radius)

    skin = clearance(head.template) > 3e-4  # the rims lie inside the ball
    for vertices in random_people(head, 5):
        assert clearance(vertices)[skin].min() > -8e-4  # m


def test_identity_modes_are_ordered_and_the_first_ones_matter(head: HeadModel) -> None:
    face = vertices_of(head, "face", "lips", "eyelids")
    moved = head.identity_basis[:, face] - head.identity_basis[:, face].mean(axis=1, keepdims=True)
    size = np.sqrt((moved**2).sum(axis=2).mean(axis=1))
    assert size[0] > 0.001
    assert size[:10].mean() > 5 * size[-10:].mean()


def test_blendshapes_carry_apples_names_and_unit_ranges(head: HeadModel) -> None:
    assert head.blendshape_names == ARKIT_NAMES
    assert head.blendshape_kind == "arkit"
    np.testing.assert_array_equal(head.blendshape_ranges, np.tile([0, 1], (52, 1)))
    assert (np.linalg.norm(head.blendshapes, axis=2).max(axis=1) > 0.001).all()


def test_left_and_right_blendshapes_mirror_each_other(head: HeadModel) -> None:
    for name in (n for n in ARKIT_NAMES if n.endswith("Left")):
        left = head.blendshapes[ARKIT_NAMES.index(name)]
        right = head.blendshapes[ARKIT_NAMES.index(name.removesuffix("Left") + "Right")]
        assert np.abs(left - right[head.mirror] * [-1, 1, 1]).max() < 0.0025, name
        weight = np.linalg.norm(left, axis=1)
        middle = (weight * head.template[:, 0]).sum() / weight.sum()
        assert middle > -0.005 if "mouth" in name or "jaw" in name else middle > 0.005, name


def test_blinking_covers_the_eyeball_seen_from_the_front(head: HeadModel) -> None:
    closed = expression(head, eyeBlinkLeft=1.0)
    joint = head.joints(head.template)[3]
    ball = vertices_of(head, "eyeball_left")
    front = ball[head.template[ball, 2] > joint[2] + 0.009]
    corners = closed[faces_of(head, "face", "eyelids")]
    for x, y, z in head.template[front].astype(np.float64):
        a, b, c = corners[:, 0], corners[:, 1], corners[:, 2]
        area = (b[:, 0] - a[:, 0]) * (c[:, 1] - a[:, 1]) - (b[:, 1] - a[:, 1]) * (c[:, 0] - a[:, 0])
        wb = ((x - a[:, 0]) * (c[:, 1] - a[:, 1]) - (y - a[:, 1]) * (c[:, 0] - a[:, 0])) / area
        wc = ((b[:, 0] - a[:, 0]) * (y - a[:, 1]) - (b[:, 1] - a[:, 1]) * (x - a[:, 0])) / area
        inside = (wb >= 0) & (wc >= 0) & (wb + wc <= 1)
        depth = a[:, 2] + wb * (b[:, 2] - a[:, 2]) + wc * (c[:, 2] - a[:, 2])
        assert (depth[inside] > z).any(), (x, y)


def test_upper_lashes_follow_the_closing_lid(head: HeadModel) -> None:
    lashes = vertices_of(head, "lashes")
    joint = head.joints(head.template)[3]
    upper = lashes[(head.template[lashes, 0] > 0) & (head.template[lashes, 1] > joint[1] + 0.001)]
    assert (expression(head, eyeBlinkLeft=1.0) - head.template)[upper, 1].mean() < -0.005


@pytest.mark.parametrize(
    ("name", "axis", "sign"),
    [("eyeLookInLeft", 0, -1), ("eyeLookOutLeft", 0, 1), ("eyeLookUpLeft", 1, 1), ("eyeLookDownLeft", 1, -1)],
)
def test_gaze_shapes_turn_the_pupil_the_right_way_about_a_fixed_centre(
    head: HeadModel, name: str, axis: int, sign: int
) -> None:
    ball = vertices_of(head, "eyeball_left")
    pupil = ball[head.template[ball, 2].argmax()]
    moved = expression(head, **{name: 1.0})
    assert sign * (moved[pupil] - head.template[pupil])[axis] > 0.002
    centre = head.joint_regressor[3] @ moved
    assert np.linalg.norm(centre - head.joints(head.template)[3]) < 2e-5


def test_the_jaw_carries_lower_teeth_and_tongue_but_not_upper_teeth(head: HeadModel) -> None:
    opened = expression(head, jawOpen=1.0) - head.template
    assert np.linalg.norm(opened[vertices_of(head, "teeth_upper")], axis=1).max() < 1e-4
    assert opened[vertices_of(head, "teeth_lower"), 1].mean() < -0.01
    assert opened[vertices_of(head, "tongue"), 1].mean() < -0.008


def test_an_open_mouth_shows_the_tips_of_the_teeth_and_no_wall_of_them(head: HeadModel) -> None:
    lips, moved = vertices_of(head, "lips"), head.blendshapes[ARKIT_NAMES.index("jawOpen")]
    middle = lips[np.abs(head.template[lips, 0]) < 0.004]
    lower = middle[moved[middle, 1] < -0.02]
    upper = middle[moved[middle, 1] > -0.005]
    rows = {name: vertices_of(head, name) for name in ("teeth_upper", "teeth_lower")}
    front = {name: rows[name][np.abs(head.template[rows[name], 0]) < 0.004] for name in rows}
    for strength in (0.5, 1.0):
        opened = expression(head, jawOpen=strength)
        above_lip = opened[front["teeth_lower"], 1].max() - opened[lower, 1].max()
        below_lip = opened[upper, 1].min() - opened[front["teeth_upper"], 1].min()
        assert 0.001 < above_lip < 0.005, strength
        assert -0.001 < below_lip < 0.003, strength


def test_closed_teeth_stand_one_row_behind_the_other(head: HeadModel) -> None:
    rows = [vertices_of(head, name) for name in ("teeth_upper", "teeth_lower")]
    upper, lower = (head.template[row[np.abs(head.template[row, 0]) < 0.004]] for row in rows)
    assert 0.001 < lower[:, 1].max() - upper[:, 1].min() < 0.004
    assert upper[upper[:, 1].argmin(), 2] - lower[lower[:, 1].argmax(), 2] > 0.001


def test_the_tongue_comes_out_in_front_of_the_lips(head: HeadModel) -> None:
    out = expression(head, tongueOut=1.0, jawOpen=0.4)
    tongue, lips = out[vertices_of(head, "tongue")], out[vertices_of(head, "lips")]
    assert 0.015 < tongue[:, 2].max() - lips[:, 2].max() < 0.035
    fallen = head.blendshapes[ARKIT_NAMES.index("jawOpen")][vertices_of(head, "lips"), 1] < -0.02
    lower = lips[fallen & (np.abs(lips[:, 0]) < 0.008)]
    edge = lower[lower[:, 1].argmax()]
    over = tongue[(np.abs(tongue[:, 2] - edge[2]) < 0.006) & (np.abs(tongue[:, 0]) < 0.008)]
    assert 0 < over[:, 1].min() - edge[1] < 0.012


def test_lips_meet_at_rest(head: HeadModel) -> None:
    lips = vertices_of(head, "lips")
    moved = head.blendshapes[ARKIT_NAMES.index("jawOpen")][lips, 1]
    middle = np.abs(head.template[lips, 0]) < 0.012
    lower = lips[middle & (moved < 0.5 * moved.min())]
    upper = lips[middle & (moved > 0.5 * moved.min())]
    assert head.template[lower, 1].max() > head.template[upper, 1].min() - 2e-4


def test_skinning_weights_are_those_of_five_joints(head: HeadModel) -> None:
    assert head.joint_names == ("root", "neck", "jaw", "left_eye", "right_eye")
    assert head.joint_parents == (-1, 0, 1, 1, 1)
    np.testing.assert_allclose(head.weights.sum(axis=1), 1, atol=1e-6)
    assert head.weights.min() >= 0  # avatar files take no other
    assert (head.weights > 0).sum(axis=1).max() <= 4
    for name, joint in (("eyeball_left", 3), ("eyeball_right", 4), ("teeth_upper", 1), ("teeth_lower", 2)):
        assert (head.weights[vertices_of(head, name), joint] == 1).all(), name
    assert head.weights[vertices_of(head, "lashes"), 1].min() == 1
    np.testing.assert_allclose(head.weights[head.mirror][:, [0, 1, 2, 4, 3]], head.weights, atol=0.02)


def test_the_joint_regressor_uses_few_vertices(head: HeadModel) -> None:
    np.testing.assert_allclose(head.joint_regressor.sum(axis=1), 1, atol=1e-6)
    assert (head.joint_regressor != 0).sum(axis=1).max() <= 16


def test_turning_the_jaw_bone_opens_the_mouth_like_the_morph(head: HeadModel) -> None:
    turn = torch.zeros(1, 5, 3, dtype=torch.float64)
    turn[0, 2, 0] = np.radians(18)
    posed = pose_vertices(
        torch.tensor(head.template, dtype=torch.float64),
        torch.tensor(head.blendshapes, dtype=torch.float64),
        torch.zeros(1, 52, dtype=torch.float64),
        turn,
        torch.tensor(head.joints(head.template), dtype=torch.float64),
        torch.tensor(head.weights, dtype=torch.float64),
        head.joint_parents,
    )[0].numpy()
    by_bone = posed - head.template
    lips = vertices_of(head, "lips")
    by_morph = head.blendshapes[ARKIT_NAMES.index("jawOpen")]
    lower = lips[by_morph[lips, 1] < 0.7 * by_morph[lips, 1].min()]
    assert by_bone[lower, 1].mean() < -0.008
    assert by_bone[vertices_of(head, "teeth_lower"), 1].mean() < -0.008
    assert np.abs(by_bone[vertices_of(head, "eyeball_left", "lashes", "scalp", "teeth_upper")]).max() < 1e-6


def test_landmarks_are_symmetric_and_irises_lie_on_the_eyeballs(head: HeadModel) -> None:
    landmarks = head.landmarks(head.template)
    assert np.abs(landmarks[MIRROR] * [-1, 1, 1] - landmarks).max() < 1.5e-3
    eyeballs = vertices_of(head, "eyeball_left", "eyeball_right")
    assert np.isin(head.faces[head.landmark_faces[468:]], eyeballs).all()
    assert not np.isin(head.faces[head.landmark_faces[:468]], eyeballs).any()
    for iris, joint in ((473, 3), (468, 4)):
        assert np.linalg.norm(landmarks[iris] - head.joints(head.template)[joint] - [0, 0, 0.0154]) < 0.003
    assert head.landmark_weight.min() > 0
    assert head.landmark_weight.max() <= 1
