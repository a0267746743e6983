import numpy as np
import pytest

from meshlam_core.frames import Camera, project
from meshlam_core.tracker.problem import Face, jacobian, project_face

CENTRE = np.array([320.0, 240.0])


def test_a_face_is_projected_as_frames_py_defines_the_camera(rig, face):
    x = rig.positions(face.identity, face.expression).T
    expected = project(x @ face.rotation.T + face.translation, Camera(1400.0, (320.0, 240.0), (640, 480)))
    np.testing.assert_allclose(project_face(rig, face, CENTRE).pixels.T, expected[:, :2], atol=1e-9)


def test_the_analytic_jacobian_equals_central_differences_for_every_parameter(rig, face):
    analytic = jacobian(rig, face, project_face(rig, face, CENTRE))
    count = analytic.shape[1]
    assert count == rig.modes + len(rig.names) + 7
    for parameter in range(count):
        step = np.zeros(count)
        step[parameter] = h = 1e-6
        ahead, behind = (project_face(rig, face.moved(s), CENTRE).pixels for s in (step, -step))
        np.testing.assert_allclose(analytic[:, parameter], (ahead - behind) / (2 * h), rtol=1e-7, atol=2e-5)


def test_a_rotation_step_turns_the_head_about_the_view_axes(rig, face):
    step = np.zeros(rig.modes + len(rig.names) + 7)
    step[rig.modes + len(rig.names) + 1] = np.pi / 2  # about +Y: what pointed to the camera points to +X
    turned = Face(face.identity, face.expression, np.eye(3), face.translation, face.log_focal).moved(step)
    np.testing.assert_allclose(turned.rotation @ [0, 0, 1], [1, 0, 0], atol=1e-12)


def test_no_step_brings_the_face_behind_the_camera(rig, face):
    step = np.zeros(rig.modes + len(rig.names) + 7)
    step[-2] = 5.0
    assert face.moved(step).translation[2] < 0
    assert np.isfinite(project_face(rig, face.moved(step), CENTRE).pixels).all()


@pytest.mark.parametrize("seed", [3, 4])
def test_rotations_stay_rotations_after_many_steps(rig, face, seed):
    rng = np.random.default_rng(seed)
    for _ in range(50):
        face = face.moved(rng.normal(0, 0.3, rig.modes + len(rig.names) + 7) * 0.1)
    np.testing.assert_allclose(face.rotation @ face.rotation.T, np.eye(3), atol=1e-12)
