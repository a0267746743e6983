"""An avatar as Gaussians, read back from the file as a viewer would."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from meshlam_core import cli
from meshlam_core.avatar.io import write_avatar
from meshlam_core.viewing.gaussian_ply import read_gaussians
from meshlam_core.viewing.gaussians import moved, rotation_of
from meshlam_core.viewing.viewer import AvatarRenderer, neutral_pose, studio_view
from tests.sample_avatar import make_avatar
from training.evaluate.splatter import splat
from training.metrics import overlap, psnr

AVATAR = make_avatar(texture_size=256)


@pytest.fixture
def avatar_file(tmp_path: Path) -> Path:
    path = tmp_path / "head.meshlam"
    write_avatar(AVATAR, path)
    return path


def export(avatar: Path, out: Path, *options: str) -> Path:
    assert cli.main(["export", str(avatar), "-o", str(out), "--gaussians", "4000", *options]) == 0
    return out


def plain_rows(path: Path) -> dict[str, np.ndarray]:
    """What a reader sees that knows PLY and nothing of us: every property has four bytes."""
    header, body = path.read_bytes().split(b"end_header\n", 1)
    properties = [line.split()[1:] for line in header.decode().splitlines() if line.startswith("property")]
    kinds = {"float": "<f4", "int": "<i4"}
    rows = np.frombuffer(body, [(name, kinds[kind]) for kind, name in properties])
    return {name: rows[name] for _, name in properties}


def columns(rows: dict[str, np.ndarray], *names: str) -> np.ndarray:
    return np.stack([rows[name] for name in names], 1).astype(np.float64)


def test_the_file_holds_what_viewers_of_trained_gaussians_read(avatar_file: Path, tmp_path: Path) -> None:
    rows = plain_rows(export(avatar_file, tmp_path / "head.ply"))
    assert list(rows)[:17] == [
        *("x", "y", "z", "nx", "ny", "nz", "f_dc_0", "f_dc_1", "f_dc_2", "opacity"),
        *("scale_0", "scale_1", "scale_2", "rot_0", "rot_1", "rot_2", "rot_3"),
    ]
    assert len(rows["x"]) == 4000
    opaque = 1 / (1 + np.exp(-rows["opacity"].astype(float)))
    assert np.median(opaque) > 0.9
    sizes = np.exp(columns(rows, "scale_0", "scale_1", "scale_2"))
    surface = 0.12  # m^2 of the sample's head, with the eyeballs
    assert np.median(sizes[:, 0] * sizes[:, 1]) == pytest.approx(surface / 4000 * 2.2**2 / 12, rel=0.5)
    assert (sizes[:, 2] < sizes[:, :2].min(1)).all()  # flat
    colours = 0.5 + 0.28209479 * columns(rows, "f_dc_0", "f_dc_1", "f_dc_2")
    np.testing.assert_allclose(colours.mean(0), AVATAR.albedo.reshape(-1, 3).mean(0) / 255, atol=0.05)
    # each disc lies in the surface: its last axis is its normal
    axes = rotation_of(columns(rows, "rot_0", "rot_1", "rot_2", "rot_3"))
    np.testing.assert_allclose(axes[:, :, 2], columns(rows, "nx", "ny", "nz"), atol=1e-5)


def test_every_gaussian_is_where_its_triangle_and_barycentrics_say(avatar_file: Path, tmp_path: Path) -> None:
    out = export(avatar_file, tmp_path / "head.ply", "--axes", "y-up", "--set", "jawOpen=1")
    gaussians = read_gaussians(out)
    renderer = AvatarRenderer(AVATAR)
    bent = renderer.posed(neutral_pose(AVATAR, {"jawOpen": 1.0})).numpy()
    assert (gaussians.barycentrics >= 0).all()
    there = np.einsum("nk,nkd->nd", gaussians.barycentrics, bent[AVATAR.faces[gaussians.triangles]])
    np.testing.assert_allclose(gaussians.centres, there, atol=1e-6)
    at_rest = np.einsum("nk,nkd->nd", gaussians.barycentrics, AVATAR.vertices[AVATAR.faces[gaussians.triangles]])
    assert np.abs(gaussians.centres - at_rest).max() > 0.015  # the chin has gone down by 2 cm
    parts = AVATAR.part[AVATAR.faces[gaussians.triangles, 0]]
    assert set(parts) == {0, 1, 2}  # face, scalp and eyeballs


def test_by_default_y_points_down_and_the_face_looks_along_minus_z(avatar_file: Path, tmp_path: Path) -> None:
    down = plain_rows(export(avatar_file, tmp_path / "down.ply"))
    up = plain_rows(export(avatar_file, tmp_path / "up.ply", "--axes", "y-up"))
    flip = np.diag([1.0, -1, -1])
    for names in (("x", "y", "z"), ("nx", "ny", "nz")):
        np.testing.assert_allclose(columns(down, *names), columns(up, *names) @ flip, atol=1e-7)
    rotations = [rotation_of(columns(rows, "rot_0", "rot_1", "rot_2", "rot_3")) for rows in (down, up)]
    np.testing.assert_allclose(rotations[0], flip @ rotations[1], atol=1e-6)
    assert up["y"].max() > 0.27  # the top of the head
    face = up["triangle"][up["z"].argmax()]
    assert AVATAR.part[AVATAR.faces[face, 0]] != 1  # not the scalp


def test_the_same_avatar_gives_the_same_bytes_whatever_the_threads(avatar_file: Path, tmp_path: Path) -> None:
    threads = torch.get_num_threads()
    first = export(avatar_file, tmp_path / "a.ply").read_bytes()
    try:
        torch.set_num_threads(1 if threads > 1 else 2)
        assert export(avatar_file, tmp_path / "b.ply").read_bytes() == first
    finally:
        torch.set_num_threads(threads)


@pytest.mark.parametrize("yaw", [0.0, 120.0])
def test_splats_look_like_the_mesh_and_nothing_inside_shows(yaw: float, avatar_file: Path, tmp_path: Path) -> None:
    gaussians = read_gaussians(export(avatar_file, tmp_path / "head.ply", "--axes", "y-up", "--gaussians", "12000"))
    renderer = AvatarRenderer(AVATAR)
    mesh = renderer.draw(*studio_view(AVATAR, renderer.posed(neutral_pose(AVATAR)), yaw, 256))
    frame, camera = studio_view(AVATAR, torch.eye(4, 3), yaw, 256)  # where the axes' ends and the origin go
    origin = frame[3].numpy()
    splats = splat(moved(gaussians, (frame[:3].numpy() - origin).T, origin), camera)
    inside = mesh[..., 3] == 255
    assert (splats[..., 3][inside] > 240).mean() > 0.99
    assert overlap(splats[..., 3] > 127, mesh[..., 3] > 127) > 0.97
    assert psnr(splats[..., :3], mesh[..., :3], inside) > 27


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--gaussians", "999", "-o", "head.ply"], "a whole number from 1000 to 200000"),
        (["--gaussians", "4000", "-o", "head.glb"], "ends in .ply"),
        (["-o", "head.ply"], "required: --gaussians"),
        (["--gaussians", "4000", "-o", "head.ply", "--set", "grin=1"], "no expression 'grin'"),
    ],
)
def test_what_cannot_be_exported_is_one_sentence_and_no_file(
    arguments: list[str],
    words: str,
    avatar_file: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    assert cli.main(["export", str(avatar_file), *arguments, "--json"]) == 2
    assert words in json.loads(capsys.readouterr().out)["error"]["message"]
    assert [path.name for path in tmp_path.iterdir()] == ["head.meshlam"]


def surfaces_of(avatar_picture: np.ndarray) -> dict[str, np.ndarray]:
    """The sample as the add-on hands it over, the eyeballs with a blue picture of their own."""
    eyes = AVATAR.part[AVATAR.faces[:, 0]] == 2
    return {
        "vertices": AVATAR.vertices,
        "faces": AVATAR.faces,
        "uvs": AVATAR.uvs[AVATAR.uv_faces],
        "image": eyes.astype(np.int32),
        "image_0": avatar_picture,
        "image_1": np.full((4, 4, 3), (0, 0, 255), np.uint8),
    }


def test_surfaces_of_an_edited_head_are_covered_each_with_its_own_picture(tmp_path: Path) -> None:
    np.savez(tmp_path / "head.npz", **surfaces_of(AVATAR.albedo))
    gaussians = read_gaussians(export(tmp_path / "head.npz", tmp_path / "head.ply", "--axes", "y-up"))
    assert len(gaussians.centres) == 4000
    there = np.einsum("nk,nkd->nd", gaussians.barycentrics, AVATAR.vertices[AVATAR.faces[gaussians.triangles]])
    np.testing.assert_allclose(gaussians.centres, there, atol=1e-6)
    of_eyes = AVATAR.part[AVATAR.faces[gaussians.triangles, 0]] == 2
    assert 50 < of_eyes.sum() < 500
    np.testing.assert_allclose(gaussians.colours[of_eyes], np.tile([0, 0, 1], (of_eyes.sum(), 1)), atol=1e-5)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"faces": AVATAR.faces + 1}, "do not fit together"),
        ({"image": np.full(len(AVATAR.faces), 2, np.int32)}, "do not fit together"),
        ({"uvs": AVATAR.uvs}, "expected uvs as rows of (3, 2) float32"),
        ({"vertices": AVATAR.vertices * np.float32("nan")}, "do not fit together"),
    ],
)
def test_surfaces_that_are_none_are_refused_in_one_sentence(
    change: dict[str, np.ndarray], words: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    np.savez(tmp_path / "head.npz", **(surfaces_of(AVATAR.albedo) | change))
    command = ["export", str(tmp_path / "head.npz"), "--gaussians", "4000", "-o", str(tmp_path / "head.ply"), "--json"]
    assert cli.main(command) == 3
    assert words in json.loads(capsys.readouterr().out)["error"]["message"]
    assert not (tmp_path / "head.ply").exists()
