import numpy as np

from meshlam_core.head.surface import vertex_normals
from meshlam_core.points import LOWER_INNER_LIP, LOWER_OUTER_LIP
from meshlam_core.tracker.rig import landmark_rig


def test_the_rig_moves_landmarks_as_the_mesh_moves(head):
    rig = landmark_rig(head)
    rng = np.random.default_rng(0)
    identity = rng.normal(0, 1, len(head.identity_basis))
    expression = rng.uniform(0, 1, len(head.blendshapes))
    mesh = head.shaped(identity.astype(np.float32)) + np.tensordot(expression.astype(np.float32), head.blendshapes, 1)
    on_mesh = np.einsum("lk,lkd->dl", rig.bary, mesh[rig.corners].astype(np.float64))
    np.testing.assert_allclose(rig.positions(identity, expression), on_mesh, atol=2e-7)


def test_a_persons_rig_starts_from_his_own_vertices(head):
    rig = landmark_rig(head)
    vertices = head.shaped(np.ones(len(head.identity_basis), np.float32) * 0.3)
    person = rig.of_person(vertices)
    assert person.modes == 0
    np.testing.assert_allclose(
        person.positions(np.empty(0), np.zeros(len(rig.names))),
        rig.positions(np.full(rig.modes, 0.3), np.zeros(len(rig.names))),
        atol=1e-7,
    )


def test_the_lower_inner_lip_opens_with_the_jaw(head):
    """An embedding made with the mouth closed has these points on the upper lip."""
    rig = landmark_rig(head)
    drop = -rig.basis[1, rig.modes + rig.names.index("jawOpen")]
    assert (drop[LOWER_INNER_LIP] > 0.55 * drop[LOWER_OUTER_LIP]).all()


def test_the_rig_is_built_once_a_model(head):
    assert landmark_rig(head) is landmark_rig(head)


def test_normals_of_a_cube_corner_point_outwards():
    vertices = np.array([[0, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, 1.0]])
    faces = np.array([[0, 2, 1], [0, 1, 3], [0, 3, 2], [1, 2, 3]], np.int32)
    np.testing.assert_allclose(vertex_normals(vertices, faces)[0], -np.ones(3) / np.sqrt(3), atol=1e-12)
