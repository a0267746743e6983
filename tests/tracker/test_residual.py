import numpy as np
import pytest

from meshlam_core.tracker.residual import wendland, without_folds
from tests.tracker.conftest import look_at

CENTRE = np.array([400.0, 500.0])


def field_for(fitter, shift, turn=(0.0, 0.0, 0.0)):
    """The residual that a uniform shift of all landmarks, px, calls for."""
    face, detection = look_at(fitter, [], {}, turn=turn)
    moved = detection.landmarks.copy()
    moved[:, :2] += shift
    sighting = fitter.observe(detection, CENTRE, face).sight(face)
    object.__setattr__(sighting, "offset", np.tile(np.array(shift, float)[:, None], (1, 478)))
    return face, fitter.residual.fit(face, sighting)


def test_the_kernel_is_one_at_its_centre_and_ends_at_its_support():
    values = wendland(np.array([[0.0, 0, 0], [0.05, 0, 0], [0.0751, 0, 0]]), np.zeros((1, 3)), 0.075)
    assert values[0, 0] == 1
    assert 0 < values[1, 0] < 0.2
    assert values[2, 0] == 0


@pytest.mark.parametrize("turn", [(0.0, 0.0, 0.0), (0.1, 0.5, 0.2)])
def test_the_field_follows_the_offsets_in_the_picture_plane_only(fitter, head, turn):
    face, field = field_for(fitter, (3.0, -2.0), turn)
    in_view = field @ face.rotation.T
    nose = np.linalg.norm(head.template - head.landmarks(head.template)[4], axis=1).argmin()
    metres_per_pixel = 1.4 / np.exp(face.log_focal)
    np.testing.assert_allclose(in_view[nose, :2] / metres_per_pixel, [3.0, 2.0], rtol=0.2)
    np.testing.assert_allclose(in_view[:, 2], 0, atol=1e-12)


def test_neck_border_back_and_teeth_stay(fitter, head):
    _, field = field_for(fitter, (4.0, 0.0))
    size = np.linalg.norm(field, axis=1)
    lowest = head.template[:, 1] < head.template[:, 1].min() + 0.003
    assert size[lowest].max() < 1e-4
    assert size[head.template[:, 2] < -0.02].max() < 1e-9
    for part in ("teeth_upper", "teeth_lower", "tongue"):
        assert size[head.part == head.parts.index(part)].max() == 0


def test_each_eyeball_moves_as_a_rigid_body(fitter, head):
    _, field = field_for(fitter, (4.0, 3.0))
    for part in ("eyeball_left", "eyeball_right"):
        ball = field[head.part == head.parts.index(part)]
        assert np.ptp(ball, axis=0).max() < 1e-9
        assert np.linalg.norm(ball[0]) > 1e-3


def test_the_root_joint_stays_at_the_origin(fitter, head):
    _, field = field_for(fitter, (4.0, 3.0))
    assert np.linalg.norm(head.joint_regressor[0] @ field) < 1e-3


def test_a_displacement_that_would_fold_the_mesh_is_cut():
    vertices = np.array([[0, 0, 0], [1, 0, 0], [0, 1, 0], [1, 1, 0.0]])
    faces = np.array([[0, 1, 2], [1, 3, 2]], np.int32)
    gentle = np.array([[0.1, 0, 0]] * 4)
    np.testing.assert_array_equal(without_folds(vertices, gentle, faces), vertices + gentle)
    folding = np.zeros((4, 3))
    folding[0] = (1.5, 1.5, 0)
    moved = without_folds(vertices, folding, faces)
    corners = moved[faces]
    assert (np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])[:, 2] > 0).all()
    assert np.linalg.norm(moved - vertices) > 0
