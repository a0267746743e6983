from dataclasses import replace

import numpy as np

from meshlam_core.points import OVAL
from meshlam_core.tracker.problem import project_face
from tests.tracker.conftest import look_at


def test_outline_normals_point_away_from_the_face(fitter):
    _, detection = look_at(fitter, [], {})
    targets = detection.landmarks[:, :2].T.astype(float)
    normals = fitter.contour.outline_normals(targets)
    np.testing.assert_allclose(np.linalg.norm(normals, axis=0), 1)
    outwards = targets[:, fitter.contour.points] - targets[:, OVAL].mean(axis=1, keepdims=True)
    assert ((outwards * normals).sum(axis=0) > 0).all()


def test_a_sliding_point_goes_to_the_candidate_that_reaches_farthest(fitter):
    contour = fitter.contour
    for turn in (0.0, 0.5, -0.5):
        face, detection = look_at(fitter, [0.5, -0.5], {}, turn=(0, turn, 0))
        normals = contour.outline_normals(detection.landmarks[:, :2].T.astype(float))
        rig = replace(fitter.rig, neutral=fitter.rig.neutral.copy(), basis=fitter.rig.basis.copy())
        contour.slide(rig, face, normals)
        reached = (project_face(rig, face, np.zeros(2)).pixels[:, contour.points] * normals).sum(axis=0)
        everyone = replace(fitter.rig, neutral=contour.neutral, basis=contour.basis)
        pixels = project_face(everyone, face, np.zeros(2)).pixels
        for row, candidates in enumerate(contour.candidates):
            assert reached[row] >= (pixels[:, candidates] * normals[:, [row]]).sum(axis=0).max() - 1e-9


def test_on_a_turned_head_the_far_outline_slides_towards_the_nose(fitter):
    contour = fitter.contour
    face, detection = look_at(fitter, [], {}, turn=(0, 0.6, 0))
    normals = contour.outline_normals(detection.landmarks[:, :2].T.astype(float))
    rig = replace(fitter.rig, neutral=fitter.rig.neutral.copy(), basis=fitter.rig.basis.copy())
    facing = contour.slide(rig, face, normals)
    # turned to the subject's left, his left cheek (+X) is the far one
    far = contour.points[fitter.rig.neutral[0, contour.points] > 0.045]
    moved = rig.neutral[2, far] - fitter.rig.neutral[2, far]
    assert np.median(moved) > 0.005
    assert np.median(facing[np.isin(contour.points, far)]) < 0.5


def test_the_models_own_arrays_are_left_alone(fitter):
    before = fitter.rig.basis.copy()
    face, detection = look_at(fitter, [], {}, turn=(0, 0.6, 0))
    centre = np.array([400.0, 500.0])
    fitter.observe(detection, centre, face).look(face)
    np.testing.assert_array_equal(fitter.rig.basis, before)
