"""What hangs on the vertices is carried over: positions with gradients, weights, joints, landmarks, whole heads."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from meshlam_core.errors import UsageError
from meshlam_core.head.model import HeadModel
from meshlam_core.model.topology import Correction, correct, corrected_head, epsilon_for
from meshlam_core.model.topology.landmarks import carry_landmarks
from tests.model.topology_meshes import Mesh, seam_length, shape_of, torus, uv_areas, with_faces
from tests.tolerance import round_off


def split(mesh: Mesh, epsilon: float = 0.5) -> Correction:
    return correct(mesh.vertices, mesh.faces, mesh.uvs, mesh.uv_faces, epsilon)


def merged() -> tuple[Mesh, Correction, int]:
    """A torus with two coincident vertices, and the one that goes."""
    mesh = torus()
    keep, gone = sorted(mesh.faces[10][:2].tolist())
    mesh.vertices[gone] = mesh.vertices[keep]
    return mesh, split(mesh, 0.6), gone


def random_skin(count: int, joints: int = 6) -> np.ndarray:
    """Four random non-zero weights a vertex."""
    random = np.random.default_rng(0)
    skin = random.random((count, joints))
    skin[np.argsort(random.random(skin.shape), axis=1) >= 4] = 0
    return (skin / skin.sum(1, keepdims=True)).astype(np.float32)


def test_arrays_and_tensors_are_carried_alike_along_any_axis() -> None:
    mesh = torus()
    result = split(mesh)
    values = np.random.default_rng(1).normal(size=(7, 96, 3))
    for axis, array in (
        (-2, values),
        (1, values),
        (0, values[0]),
        (2, values.transpose(0, 2, 1)),
        (0, values[0, :, 0]),
    ):
        carried = result.carry(array, axis)
        assert carried.shape[axis] == result.vertex_count
        np.testing.assert_allclose(result.carry(torch.from_numpy(array), axis).numpy(), carried, rtol=1e-12, atol=1e-14)


def test_old_vertices_come_back_bit_equal() -> None:
    mesh = torus()
    result = split(mesh)
    values = torch.randn(2, 96, 5, generator=torch.Generator().manual_seed(0))
    values[:, 3] = -0.0
    assert torch.equal(result.carry(values)[:, :96].view(torch.int32), values.view(torch.int32))


def test_gradients_reach_the_old_vertices_with_the_right_shares() -> None:
    mesh = torus(4, 5)
    result = split(mesh, 1.5)
    assert result.vertex_count > result.copies
    points = torch.from_numpy(mesh.vertices).requires_grad_()
    assert torch.autograd.gradcheck(lambda p: result.carry(p), (points,))


def test_a_tensor_with_a_graph_can_be_corrected() -> None:
    mesh = torus()
    points = torch.from_numpy(mesh.vertices).float().requires_grad_()
    result = correct(points * 2, mesh.faces, mesh.uvs, mesh.uv_faces, 1.0)
    result.carry(points * 2).sum().backward()
    assert points.grad is not None
    torch.testing.assert_close(points.grad.sum() / 2, torch.tensor(3.0 * result.vertex_count))


def test_half_precision_hidden_states_keep_their_type() -> None:
    result = split(torus())
    assert result.carry(torch.zeros(1, 96, 8, dtype=torch.bfloat16)).dtype == torch.bfloat16


def test_every_vertex_is_a_convex_combination() -> None:
    _, result, _ = merged()
    np.testing.assert_allclose(result.weights.sum(1), 1, rtol=1e-12)
    assert (result.weights >= 0).all()


def test_a_wrong_vertex_count_is_named() -> None:
    with pytest.raises(UsageError, match=r"expected 96 vertices along axis -2, got \(95, 3\)"):
        split(torus()).carry(np.zeros((95, 3)))


def test_skinning_weights_sum_to_one_with_at_most_four_a_vertex() -> None:
    result = split(torus(), 0.3)
    skin = random_skin(96)
    new = result.carry_weights(skin)
    np.testing.assert_array_equal(new[:96], skin)
    np.testing.assert_allclose(new.sum(1), 1, atol=1e-6)
    assert (new > 0).sum(1).max() == 4
    assert (result.carry(skin, 0) > 0).sum(1).max() > 4  # so the limit had something to do


def test_the_part_of_a_new_vertex_is_the_one_around_it() -> None:
    mesh = torus()
    result = split(mesh, 0.3)
    part = np.arange(96, dtype=np.uint8)
    new = result.carry_part(part)
    np.testing.assert_array_equal(new[:96], part)
    heaviest = result.weights == result.weights.max(axis=1, keepdims=True)
    expected = np.where(heaviest, result.indices, 1000).min(axis=1)  # ties: the oldest
    np.testing.assert_array_equal(new, expected)
    assert (result.carry_part(np.full(96, 5, np.uint8)) == 5).all()


def test_two_light_corners_of_one_part_outweigh_a_heavy_one() -> None:
    mesh = torus()
    result = split(mesh, 0.15)
    row = np.flatnonzero((result.weights.max(1) < 0.5) & (result.weights.min(1) > 0))[0]
    part = np.zeros(96, dtype=np.uint8)
    part[result.indices[row, 0]] = 1  # the heaviest
    assert result.carry_part(part)[row] == 0


def test_split_vertices_take_no_part_in_the_joints() -> None:
    mesh = torus()
    result = split(mesh)
    regressor = np.random.default_rng(3).dirichlet(np.ones(96), 5).astype(np.float32)
    new = result.carry_regressor(regressor, mesh.vertices)
    np.testing.assert_array_equal(new[:, :96], regressor)
    assert (new[:, 96:] == 0).all()
    for seed in range(3):  # exact for every shape, not only for this one
        shape = np.random.default_rng(seed).normal(size=(96, 3))
        np.testing.assert_allclose(new @ result.carry(shape), regressor @ shape, atol=1e-6)


@pytest.mark.parametrize("alone", [False, True])
def test_joints_stay_where_the_undeformed_shape_puts_them_when_vertices_merge(alone: bool) -> None:
    _, result, gone = merged()
    undeformed = torus().vertices  # there the two vertices are apart
    regressor = np.random.default_rng(3).dirichlet(np.ones(96), 5).astype(np.float32)
    if alone:
        regressor = np.eye(96, dtype=np.float32)[[gone, 0]]  # a joint that is the lost vertex
    new = result.carry_regressor(regressor, undeformed)
    np.testing.assert_allclose(new @ result.carry(undeformed), regressor @ undeformed, atol=1e-5)
    np.testing.assert_allclose(new.sum(1), 1, atol=1e-5)


def embedded(count: int, faces: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(4)
    bary = random.dirichlet(np.ones(3), count)
    bary[0], bary[1], bary[2] = [1, 0, 0], [0.5, 0.5, 0], [0.25, 0.5, 0.25]  # corners and edges of the children
    return random.integers(0, len(faces), count).astype(np.int32), bary.astype(np.float32)


@pytest.mark.parametrize("epsilon", [9.0, 0.7, 0.2])
def test_landmarks_stay_at_the_same_points_of_the_surface(epsilon: float) -> None:
    mesh = torus()
    result = split(mesh, epsilon)
    faces, bary = embedded(60, mesh.faces)
    new_faces, new_bary = carry_landmarks(result, faces, bary, mesh.faces, mesh.vertices)
    before = np.einsum("lk,lkd->ld", bary, mesh.vertices[mesh.faces[faces]])
    after = np.einsum("lk,lkd->ld", new_bary, result.carry(mesh.vertices)[result.faces[new_faces]])
    np.testing.assert_allclose(after, before, atol=1e-6)
    assert (new_bary >= 0).all()
    # they stay inside their old triangle even when the mesh is bent later
    np.testing.assert_array_equal(result.parent[new_faces], faces)


def test_landmarks_on_turned_and_vanished_faces_stay_where_they_were() -> None:
    mesh, result, _ = merged()
    vanished = np.flatnonzero((np.isin(mesh.faces, sorted(mesh.faces[10][:2]))).sum(1) == 2)
    mesh.faces[50:60] = mesh.faces[50:60][:, [0, 2, 1]]
    mesh.uv_faces[50:60] = mesh.uv_faces[50:60][:, [0, 2, 1]]
    result = split(with_faces(mesh, [[0, 0, 1]]), 0.6)
    faces = np.concatenate([vanished, np.arange(45, 65), [192]]).astype(np.int32)
    bary = np.random.default_rng(5).dirichlet(np.ones(3), len(faces)).astype(np.float32)
    old_faces = np.concatenate([mesh.faces, [[0, 0, 1]]])
    new_faces, new_bary = carry_landmarks(result, faces, bary, old_faces, mesh.vertices)
    before = np.einsum("lk,lkd->ld", bary, mesh.vertices[old_faces[faces]])
    after = np.einsum("lk,lkd->ld", new_bary, result.carry(mesh.vertices)[result.faces[new_faces]])
    np.testing.assert_allclose(after, before, atol=1e-6)


@pytest.fixture(scope="module")
def refined(head: HeadModel) -> tuple[np.ndarray, Correction, HeadModel]:
    identity = np.random.default_rng(0).normal(size=len(head.identity_basis)).astype(np.float32) * 0.7
    shape = head.shaped(identity)
    epsilon = epsilon_for(head.template, head.faces, 8000)
    correction = correct(shape, head.faces, head.uvs, head.uv_faces, epsilon)
    return shape, correction, corrected_head(head, correction)


def test_the_open_head_ends_near_eight_thousand_vertices(refined: tuple[np.ndarray, Correction, HeadModel]) -> None:
    assert 7200 < refined[1].vertex_count < 8800
    assert refined[1].repairs.total == 0


def test_the_open_head_keeps_its_topology_and_seams(
    head: HeadModel, refined: tuple[np.ndarray, Correction, HeadModel]
) -> None:
    shape, correction, new = refined
    assert shape_of(new.faces) == shape_of(head.faces)
    np.testing.assert_allclose(
        seam_length(correction.carry(shape), new.faces, new.uv_faces),
        seam_length(shape, head.faces, head.uv_faces),
        rtol=1e-5,
    )
    before, after = uv_areas(head.uvs, head.uv_faces), uv_areas(new.uvs, new.uv_faces)
    assert (np.sign(after) == np.sign(before)[correction.parent]).all()


def test_the_refined_head_is_the_same_head(head: HeadModel, refined: tuple[np.ndarray, Correction, HeadModel]) -> None:
    shape, correction, new = refined
    on_new, allowed = correction.carry(shape), round_off(shape, layers=8)
    np.testing.assert_allclose(new.joints(on_new), head.joints(shape), **allowed)
    np.testing.assert_allclose(new.landmarks(on_new), head.landmarks(shape), **allowed)
    moved = shape + head.blendshapes[17]
    np.testing.assert_allclose(new.landmarks(on_new + new.blendshapes[17]), head.landmarks(moved), **allowed)
    np.testing.assert_allclose(new.shaped(np.ones(len(head.identity_basis), np.float32))[: len(shape)],
                               head.shaped(np.ones(len(head.identity_basis), np.float32)), **allowed)  # fmt: skip
    np.testing.assert_allclose(new.weights.sum(1), 1, atol=1e-6)
    assert new.part.max() < len(new.parts)


def test_mirrored_vertices_of_a_symmetric_head_stay_mirrored(head: HeadModel) -> None:
    correction = correct(head.template, head.faces, head.uvs, head.uv_faces, 0.012)
    new = corrected_head(head, correction, with_identity=False)
    assert len(new.identity_basis) == 0
    np.testing.assert_array_equal(new.mirror[new.mirror], np.arange(len(new.mirror)))
    paired = new.mirror != np.arange(len(new.mirror))
    np.testing.assert_allclose(new.template[new.mirror[paired]] * [-1, 1, 1], new.template[paired], atol=1e-6)
    off_centre = np.abs(new.template[:, 0]) > 1e-4
    assert paired[off_centre].mean() > 0.98


def test_a_correction_of_another_mesh_is_refused(head: HeadModel) -> None:
    with pytest.raises(UsageError, match="got one with 96"):
        corrected_head(head, split(torus()))
