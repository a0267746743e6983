"""The tongue of a drawn person, made from the NASA portrait, and of the portrait itself."""

from __future__ import annotations

import numpy as np
import pytest

from meshlam_core.errors import AssetError
from meshlam_core.files.images import load_photo
from meshlam_core.pipeline import ReconstructOptions, Session, reconstruct
from meshlam_core.points import LEFT_EYE_OUTER, MIRROR, RIGHT_EYE_OUTER
from meshlam_core.tracker.close_look import (
    CLOSE_LOOK,
    KEY,
    PLACE,
    close_region,
    load_close_look,
    look_closely,
)
from meshlam_core.tracker.fit import head_fitter
from meshlam_core.tracker.landmarks import choose_face
from training.expressions.sitter import Sitter

OPTIONS = ReconstructOptions(weights="none", hair="bald", texture="photo", texture_size=512)


@pytest.fixture(scope="module")
def session(assets):
    return Session.open(OPTIONS)


@pytest.fixture(scope="module")
def sitter(session, portrait_file):
    return Sitter(reconstruct(portrait_file, OPTIONS, session).avatar)


def seen(session, picture):
    return session.detector.refine(picture, choose_face(session.detector.detect(picture, every=False)))


def told(session, picture):
    return float(seen(session, picture).coefficients[PLACE])


@pytest.mark.parametrize(("tongue", "jaw"), [(0.8, 0.3), (1.0, 0.4), (1.0, 0.6)])
def test_a_tongue_that_is_out_is_told(session, sitter, tongue, jaw):
    assert told(session, sitter.picture({"tongueOut": tongue, "jawOpen": jaw})) > 0.4


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"jawOpen": 0.6},
        {"mouthSmileLeft": 0.8, "mouthSmileRight": 0.8},
        {"mouthPucker": 0.8},
        {"cheekPuff": 0.8},
        {"mouthPucker": 0.5, "mouthShrugLower": 0.6},
        {"jawOpen": 0.4, "mouthLowerDownLeft": 0.8, "mouthLowerDownRight": 0.8},
    ],
    ids=str,
)
def test_other_faces_give_exactly_nothing(session, sitter, settings):
    assert told(session, sitter.picture(settings)) == 0.0


def test_a_real_face_gives_exactly_nothing(session, portrait_file):
    assert told(session, load_photo(portrait_file).pixels) == 0.0


def test_a_mirrored_picture_gives_the_same_answer_and_so_does_a_second_look(session, sitter):
    picture = sitter.picture({"tongueOut": 1.0, "jawOpen": 0.4})
    landmarks = seen(session, picture).landmarks[:, :2]
    there = look_closely(picture, landmarks)
    assert there > 0.3
    assert look_closely(picture, landmarks) == there
    mirrored = (landmarks * [-1, 1] + [picture.shape[1], 0]).astype(np.float32)[MIRROR]
    assert look_closely(np.ascontiguousarray(picture[:, ::-1]), mirrored) == pytest.approx(there, abs=0.1)


def test_the_fit_believes_what_is_seen_and_is_free_where_nothing_is(session):
    fitter = head_fitter(session.head)
    names = fitter.rig.names
    at, nothing = names.index(KEY), np.zeros(len(names))
    something = nothing.copy()
    something[at] = 0.5
    smallest = fitter.settings.expression_sigma_range[0]
    assert fitter.expression_sigma(something)[at] == smallest
    assert fitter.expression_sigma(nothing)[at] == np.clip(
        fitter.expression_slack[at], *fitter.settings.expression_sigma_range
    )


def test_the_region_turns_and_grows_with_the_face():
    rng = np.random.default_rng(0)
    face = rng.uniform(0, 100, (478, 2)).astype(np.float32)
    face[[RIGHT_EYE_OUTER, LEFT_EYE_OUTER]] = (30, 40), (70, 40)
    upright = close_region(face)
    assert upright.roll == pytest.approx(0.0)
    assert upright.centre[1] - upright.side / 2 == pytest.approx(40 - 0.02 * upright.side, abs=1e-3)
    c, s = np.cos(0.3), np.sin(0.3)
    turn = np.array([[c, -s], [s, c]])
    turned = close_region((2 * face @ turn.T + [5, 7]).astype(np.float32))
    assert turned.roll == pytest.approx(0.3, abs=1e-5)
    assert turned.side == pytest.approx(2 * upright.side, rel=1e-5)
    assert turned.centre == pytest.approx((2 * turn @ upright.centre + [5, 7]).tolist(), rel=1e-4)


def test_a_damaged_network_is_an_asset_error(tmp_path):
    path = tmp_path / "close.npz"
    for content in (b"no zip", CLOSE_LOOK.read_bytes()[:2000]):
        path.write_bytes(content)
        with pytest.raises(AssetError, match=r"close\.npz"):
            load_close_look(path)
    with np.load(CLOSE_LOOK) as stored:
        arrays = dict(stored)
    np.savez(path, **(arrays | {"told.4.bias": np.zeros(3, np.float16)}))
    with pytest.raises(AssetError, match=r"told\.4\.bias"):
        load_close_look(path)
