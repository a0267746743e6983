"""Rows that are drawn in other ways: Gaussians that follow the mesh, and the paper's peers."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from meshlam_core.cli import main
from meshlam_core.frames import rotation_from_axis_angle
from meshlam_core.head.model import HeadModel
from meshlam_core.model.weights import save_weights
from meshlam_core.viewing.gaussians import moved, rotation_of
from meshlam_core.viewing.viewer import AvatarRenderer, photo_camera
from tests.model.tiny import tiny_preset
from tests.sample_avatar import make_avatar
from training.evaluate.painters import GaussianPainter, carried
from training.metrics import overlap
from training.peers import NOTE, make_peer

AVATAR = make_avatar(texture_size=256)


def covariances(gaussians):  # type: ignore[no-untyped-def]
    axes = rotation_of(gaussians.rotations) * gaussians.scales[:, None].astype(np.float64)
    return axes @ axes.transpose(0, 2, 1)


def test_gaussians_turn_and_grow_with_their_triangles() -> None:
    painter = GaussianPainter(AVATAR, 2000)
    rest, faces = painter._rest, AVATAR.faces
    turn = rotation_from_axis_angle(np.array([0.3, -0.7, 0.2]))
    ours, wanted = carried(painter.gaussians, faces, rest, rest @ turn.T), moved(painter.gaussians, turn)
    np.testing.assert_allclose(ours.centres, wanted.centres, atol=1e-6)
    np.testing.assert_allclose(covariances(ours), covariances(wanted), atol=1e-9)
    np.testing.assert_allclose(np.linalg.det(rotation_of(ours.rotations)), 1, atol=1e-5)
    grown = carried(painter.gaussians, faces, rest, 2 * rest)
    np.testing.assert_allclose(covariances(grown), 4 * covariances(painter.gaussians), atol=1e-8)


def test_gaussians_in_another_expression_cover_what_the_mesh_covers() -> None:
    expression = AVATAR.photo.expression.copy()
    expression[24] = 1.0
    pose = (expression, AVATAR.photo.rotations + np.float32(0.1), AVATAR.photo.translation, photo_camera(AVATAR))
    mesh, splats = AvatarRenderer(AVATAR).draw_pose(*pose), GaussianPainter(AVATAR, 8000).draw_pose(*pose)
    assert overlap(mesh[..., 3] > 127, splats[..., 3] > 127) > 0.97


def test_the_command_gives_gaussians_and_peers_rows_with_their_budgets(
    shared_data: Path, head: HeadModel, assets: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    peer, weights = make_peer("rome", tiny_preset()), tmp_path / "rome.safetensors"
    save_weights(peer, peer.preset, head, weights, "CC0-1.0", {NOTE: "rome", "stage": "pictures", "samples": 7})
    sources = [str(shared_data / "negatives" / "s23.jpg"), str(next((shared_data / "hires").glob("*.jpg")))]
    out = tmp_path / "report.json"
    given = ["-o", str(out), "--pictures", "2", "--weights", "none", "--gaussians", "20000", "--peer", str(weights)]
    assert main(["evaluate", *sources, *given]) == 0
    heads = json.loads(out.read_text())["heads"]
    assert list(heads) == ["tracker", "hull", "Gaussians on hull", "rome"]
    for name in heads:
        assert (heads[name]["photos"]["n"], heads[name]["photos"]["failed"]) == (2, 1), name
    hull, splats, rome = (heads[name]["photos"] for name in ("hull", "Gaussians on hull", "rome"))
    assert hull["head"] - 4 < splats["head"] < hull["head"]  # as good as its texture, and a little blurred
    assert splats["silhouette"] == pytest.approx(hull["silhouette"], abs=0.02)
    assert rome["head"] < hull["head"]  # untrained
    page = out.with_suffix(".html").read_text()
    assert "20000 Gaussians on the mesh, fitted to nothing" in page
    assert "stage pictures, 7 samples" in page


def test_weights_that_are_no_peers_are_told(
    shared_data: Path, assets: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    photo = str(next((shared_data / "hires").glob("*.jpg")))
    (tmp_path / "no.safetensors").write_bytes(b"no weights")
    given = ["-o", str(tmp_path / "r.json"), "--peer", str(tmp_path / "no.safetensors")]
    assert main(["evaluate", photo, *given]) == 4
    assert "no.safetensors are not a whole safetensors file" in capsys.readouterr().err
