import numpy as np

from meshlam_core.frames import axis_angle_from_rotation
from meshlam_core.tracker.problem import Face, project_face
from meshlam_core.tracker.solver import Prior, clamped, free_parameters, normal_equations, solve

CENTRE = np.array([320.0, 240.0])
SIGMA = 1.0  # px


def unit_weights(rig):
    W = np.zeros((2, 2, rig.neutral.shape[1]))
    W[0, 0] = W[1, 1] = 1 / SIGMA
    return W


def loose_prior(rig, face, **changes):
    values = {
        "identity_sigma": 30.0,
        "expression_mean": face.expression,
        "expression_sigma": np.full(len(rig.names), 30.0),
        "log_focal_mean": face.log_focal,
        "log_focal_sigma": 0.01,
    }
    return Prior(**(values | changes))


def disturbed(rig, face):
    rng = np.random.default_rng(5)
    step = np.concatenate([-face.identity, rng.normal(0, 0.1, len(rig.names)), rng.normal(0, 0.1, 3)])
    return clamped(rig, face.moved(np.concatenate([step, [0.02, 0.02, 0.05, 0.0]])))


def test_noise_free_landmarks_give_back_the_face_they_came_from(rig, face):
    targets = project_face(rig, face, CENTRE).pixels
    W = unit_weights(rig)
    found = solve(
        lambda _: (rig, W), disturbed(rig, face), targets, CENTRE, loose_prior(rig, face), 30, tolerance=1e-12
    )
    np.testing.assert_allclose(project_face(rig, found.face, CENTRE).pixels, targets, atol=1e-2)
    np.testing.assert_allclose(found.face.identity, face.identity, atol=0.02)
    np.testing.assert_allclose(found.face.expression, face.expression, atol=5e-3)
    turn = axis_angle_from_rotation(found.face.rotation @ face.rotation.T)
    assert np.linalg.norm(turn) < 1e-3
    np.testing.assert_allclose(found.face.translation, face.translation, atol=2e-3)


def test_the_gradient_is_half_that_of_the_cost(rig, face):
    rng = np.random.default_rng(2)
    targets = project_face(rig, face, CENTRE).pixels + rng.normal(0, 3, (2, rig.neutral.shape[1]))
    W = unit_weights(rig)
    prior = loose_prior(rig, face, identity_sigma=0.7, log_distance_mean=0.1, log_distance_sigma=0.2)
    prior.expression_sigma[:] = 0.3

    def cost(at):
        r = project_face(rig, at, CENTRE).pixels - targets
        focal = (at.log_focal - prior.log_focal_mean) / prior.log_focal_sigma
        distance = (np.log(-at.translation[2]) - 0.1) / 0.2
        shape = ((at.expression - prior.expression_mean) / 0.3) ** 2
        return (r**2).sum() + (at.identity**2).sum() / 0.49 + shape.sum() + focal**2 + distance**2

    _, gradient = normal_equations(rig, face, targets, CENTRE, W, prior, np.inf)
    for parameter in range(len(gradient)):
        step = np.zeros(len(gradient))
        step[parameter] = 1e-6
        numeric = (cost(face.moved(step)) - cost(face.moved(-step))) / 2e-6
        np.testing.assert_allclose(2 * gradient[parameter], numeric, rtol=2e-5, atol=1e-2)


def test_wild_landmarks_are_ignored_by_the_robust_loss(rig, face):
    targets = project_face(rig, face, CENTRE).pixels
    targets[:, ::9] += 80.0
    W, start = unit_weights(rig), disturbed(rig, face)
    prior = loose_prior(rig, face)
    plain = solve(lambda _: (rig, W), start, targets, CENTRE, prior, 30).face
    robust = solve(lambda _: (rig, W), start, targets, CENTRE, prior, 40, robust_scale=6.0, tolerance=1e-9).face
    off = lambda found: np.abs(found.identity - face.identity).max()
    assert off(robust) < 0.3 < off(plain)


def test_the_expression_never_leaves_its_range(rig, face):
    beyond = Face(face.identity, face.expression + 1.5, face.rotation, face.translation, face.log_focal)
    targets = project_face(rig, beyond, CENTRE).pixels
    W = unit_weights(rig)
    found = solve(lambda _: (rig, W), face, targets, CENTRE, loose_prior(rig, face), 20).face
    assert found.expression.max() <= 1.0
    assert found.expression.min() >= 0.0


def test_a_coefficient_pushed_against_its_bound_is_held_and_one_pushed_inwards_is_free(rig, face):
    expression = face.expression.copy()
    expression[0], expression[1] = 0.0, 0.0
    at = Face(face.identity, expression, face.rotation, face.translation, face.log_focal)
    gradient = np.zeros(rig.modes + len(rig.names) + 7)
    gradient[rig.modes], gradient[rig.modes + 1] = 1.0, -1.0
    free = free_parameters(rig, at, gradient)
    assert not free[rig.modes]
    assert free[rig.modes + 1]
    assert free.sum() == len(gradient) - 1


def test_the_prior_decides_between_distance_and_focal_length(rig, face):
    """A flat face looks the same from near and far: only the prior tells, and it must."""
    flat = project_face(rig, face, CENTRE).pixels
    W = unit_weights(rig) * 1e-3
    for distance in (0.6, 1.4):
        prior = loose_prior(
            rig, face, log_focal_sigma=np.inf, log_distance_mean=np.log(distance), log_distance_sigma=0.02
        )
        found = solve(lambda _: (rig, W), face, flat, CENTRE, prior, 30, tolerance=1e-9).face
        assert abs(-found.translation[2] / distance - 1) < 0.05


def test_a_fixed_focal_length_stays(rig, face):
    targets = project_face(rig, face, CENTRE).pixels * 1.1
    W = unit_weights(rig)
    found = solve(lambda _: (rig, W), face, targets, CENTRE, loose_prior(rig, face), 5, fix_focal=True).face
    assert found.log_focal == face.log_focal
