import hashlib
import sys
from dataclasses import replace
from types import ModuleType, SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image

from meshlam_core import assets, cli
from meshlam_core.errors import AssetError
from meshlam_core.points import CLASSIC_68
from meshlam_core.tracker.face_alignment_backend import NETWORKS, FaceAlignmentDetector, spread_68
from tests.tracker.conftest import look_at


@pytest.fixture
def package(monkeypatch):
    """A stand-in for the package: the same names, answers from a list."""
    module = ModuleType("face_alignment")
    module.LandmarksType = SimpleNamespace(TWO_D=1, THREE_D=2)
    module.answers = []

    class FaceAlignment:
        def __init__(self, kind, device="cpu", flip_input=False):
            assert kind == 1
            module.hub = torch.hub.get_dir()

        def get_landmarks_from_image(self, image):
            return module.answers or None

    module.FaceAlignment = FaceAlignment
    monkeypatch.setitem(sys.modules, "face_alignment", module)
    return module


def test_without_the_package_the_error_says_what_to_install(monkeypatch, head):
    monkeypatch.setitem(sys.modules, "face_alignment", None)
    with pytest.raises(AssetError, match="not installed") as caught:
        FaceAlignmentDetector(head.landmarks(head.template))
    assert "pip install face-alignment" in caught.value.hint


def test_its_networks_are_files_of_the_data_folder_and_checked(package, head, monkeypatch, tmp_path):
    monkeypatch.setenv("MESHLAM_HOME", str(tmp_path))
    template, content = head.landmarks(head.template), b"a network"
    with pytest.raises(AssetError, match=r"s3fd-619a316812\.pth is missing") as caught:
        FaceAlignmentDetector.open(template, "cpu")
    assert "meshlam assets fetch face-alignment" in caught.value.hint
    folder = tmp_path / "assets" / "face-alignment" / "checkpoints"
    folder.mkdir(parents=True)
    for name in NETWORKS:
        (tmp_path / "assets" / assets.find_asset(name).file).write_bytes(content)
    with pytest.raises(AssetError, match="its hash is not the expected one"):
        FaceAlignmentDetector.open(template, "cpu")
    start = hashlib.sha256(content).hexdigest()[:10]
    table = {name: replace(assets.find_asset(name), sha256=start) for name in NETWORKS}
    monkeypatch.setattr(assets, "_table", lambda: table)
    before = torch.hub.get_dir()
    FaceAlignmentDetector.open(template, "cpu")
    assert package.hub == str(folder.parent), "the package loads from there, and asks nobody"
    assert torch.hub.get_dir() == before


def test_the_command_line_can_choose_it(monkeypatch, tmp_path, capsys):
    monkeypatch.setitem(sys.modules, "face_alignment", None)
    Image.new("RGB", (64, 64)).save(tmp_path / "p.png")
    for command, out in (("reconstruct", "a.meshlam"), ("track", "a.json")):
        arguments = [command, str(tmp_path / "p.png"), "-o", str(tmp_path / out), "--landmarks", "face-alignment"]
        assert cli.main(arguments) == 4
        assert "pip install face-alignment" in capsys.readouterr().err


def test_68_points_spread_to_all_478_near_where_they_belong(fitter, head):
    _, truth = look_at(fitter, [2.0, -2.0, 2.0, 2.0], {}, turn=(0.1, 0.3, 0.1))
    spread = spread_68(truth.landmarks[CLASSIC_68, :2].astype(float), head.landmarks(head.template).astype(float))
    np.testing.assert_allclose(spread[CLASSIC_68, :2], truth.landmarks[CLASSIC_68, :2], atol=1e-3)
    height = np.linalg.norm(truth.landmarks[10, :2] - truth.landmarks[152, :2])
    inner = np.setdiff1d(np.arange(468), np.concatenate([fitter.contour.points, CLASSIC_68]))
    assert np.linalg.norm(spread[inner, :2] - truth.landmarks[inner, :2], axis=1).mean() < 0.011 * height
    # the depth, too: the nose tip is nearer than the cheek bones
    assert spread[1, 2] < spread[[117, 346], 2].min()


def test_the_detector_gives_faces_from_left_to_right_and_follows_one(package, fitter, head):
    _, truth = look_at(fitter, [], {})
    points = truth.landmarks[CLASSIC_68, :2].astype(float)
    package.answers = [points + np.array([1500, 0]), points]
    detector = FaceAlignmentDetector(head.landmarks(head.template))
    image = np.zeros((10, 10, 3), np.uint8)
    left, right = detector.detect(image)
    assert left.box[0] < right.box[0]
    assert left.landmarks.shape == (478, 3)
    assert detector.refine(image, left) is left
    package.answers = [points + 10, points + np.array([1500, 0])]
    np.testing.assert_allclose(detector.follow(image, left).landmarks[1, :2], left.landmarks[1, :2] + 10, atol=1)
    package.answers = []
    assert detector.detect(image) == []
    assert detector.follow(image, left) is None


def test_its_faces_can_be_fitted(package, fitter, head):
    _, truth = look_at(fitter, [0.5], {"jawOpen": 0.2}, turn=(0, 0.2, 0))
    package.answers = [truth.landmarks[CLASSIC_68, :2].astype(float)]
    (face,) = FaceAlignmentDetector(head.landmarks(head.template)).detect(np.zeros((4, 4, 3), np.uint8))
    assert fitter.fit(face, (800, 1000)).landmark_error < 0.02
