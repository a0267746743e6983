"""Loose strands lie on hair, follow it, stand off a little, and are nowhere else."""

from __future__ import annotations

import json
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.interpolate import griddata

from meshlam_core.avatar.io import read_avatar, write_avatar
from meshlam_core.avatar.record import Avatar, Strands
from meshlam_core.avatar.schema import validate
from meshlam_core.cli import main
from meshlam_core.errors import BadAvatar
from meshlam_core.model.strands import POINTS, grow_strands, neighbours
from meshlam_core.model.topology.hull import with_fine_hull
from meshlam_core.texture.hair_look import HairLook
from meshlam_core.viewing.viewer import AvatarRenderer, neutral_pose, render_yaw
from tests.model import people

SLEEK, TOUSLED = HairLook(bands=(0.03,) * 5, order=0.85), HairLook(bands=(0.09,) * 5, order=0.4)


@cache
def person(family: str) -> Avatar:
    """Somebody with a hairstyle, on a mesh that is fine enough for it."""
    return with_fine_hull(people.person(family, 1.0 if family.startswith("long") else 0.0, hair_part=True))


@cache
def strands_of(family: str, look: HairLook = TOUSLED) -> Strands:
    avatar = person(family)
    found = grow_strands(avatar, np.ones(len(avatar.vertices), np.float32), look)
    assert found is not None
    return found


def spots(avatar: Avatar, strands: Strands) -> NDArray[np.float64]:  # [S, 3] m, where they are anchored
    return np.einsum("sk,skd->sd", strands.bary, avatar.vertices[avatar.faces[strands.anchor]])


def lengths(strands: Strands) -> NDArray[np.float64]:  # [N] m, from root to tip
    ribbons = strands.vertices.reshape(-1, 2 * POINTS - 1, 3)
    return np.linalg.norm(ribbons[:, -1] - ribbons[:, :2].mean(axis=1), axis=1)


@pytest.mark.parametrize("family", ["short", "long_back", "afro"])
def test_strands_lie_on_the_hair_all_over_it_and_stand_off_a_little(family: str) -> None:
    avatar, strands = person(family), strands_of(family)
    hair = avatar.parts.index("hair")
    assert (avatar.part[avatar.faces[strands.anchor]] == hair).all()
    offset = strands.vertices - spots(avatar, strands)
    off = np.linalg.norm(offset, axis=1)
    hangs = offset[:, 1] < -0.6 * off
    assert np.quantile(off[~hangs], 0.9) < 0.006
    assert off[~hangs].max() < 0.008
    assert off.max() < 0.035  # ends of long hair
    grown = avatar.vertices[avatar.part == hair]
    nearest = np.linalg.norm(grown[::20, None] - strands.vertices[None, ::7], axis=2).min(axis=1)
    assert np.quantile(nearest, 0.95) < 0.012


def test_long_hair_has_longer_strands_than_short_hair() -> None:
    hanging, short = (np.quantile(lengths(strands_of(family)), 0.9) for family in ("long_back", "short"))
    assert hanging > 1.5 * short


def test_strands_of_long_hair_hang_down_and_over_its_lower_end() -> None:
    avatar, strands = person("long_back"), strands_of("long_back")
    ribbons = strands.vertices.reshape(-1, 2 * POINTS - 1, 3)
    low = ribbons[:, 0, 1] < avatar.vertices[:, 1].mean()
    assert ((ribbons[:, -1, 1] - ribbons[:, 0, 1])[low] < 0).mean() > 0.9
    grown = avatar.vertices[avatar.part == avatar.parts.index("hair")]
    assert strands.vertices[:, 1].min() < grown[:, 1].min() - 0.003


def test_strands_close_the_lower_end_of_long_hair_all_round() -> None:
    """Of narrow sectors around the head in which long hair ends, hardly any is without a strand that hangs there."""
    avatar, strands = person("long_back"), strands_of("long_back")
    assert avatar.hair is not None
    sectors = np.radians(2.0)

    def sector(points: NDArray[np.float64]) -> NDArray[np.float64]:  # [N, 3] -> [N]
        return np.floor(np.arctan2(points[:, 0] - middle[0], points[:, 2] - middle[2]) / sectors)

    middle = avatar.vertices.mean(axis=0)
    hanging = (np.linalg.norm(avatar.hair, axis=1) > 0.03) & (avatar.vertices[:, 1] < middle[1])
    ribbons = (strands.vertices - spots(avatar, strands)).reshape(-1, 2 * POINTS - 1, 3)
    tips = strands.vertices.reshape(ribbons.shape)[ribbons[:, -1, 1] < -0.003, -1]
    ends = np.unique(sector(avatar.vertices[hanging]))
    assert len(ends) > 30
    assert np.isin(ends, sector(tips)).mean() > 0.95


def test_strands_of_sleek_hair_lie_closer() -> None:
    avatar = person("short")
    sleek, tousled = (
        np.median(np.linalg.norm(s.vertices - spots(avatar, s), axis=1).reshape(-1, 2 * POINTS - 1)[:, -1])
        for s in (strands_of("short", SLEEK), strands_of("short", TOUSLED))
    )
    assert sleek < 0.5 * tousled


def test_strands_follow_what_is_painted() -> None:
    """Stripes around the head, as of hair combed sideways, turn strands that fall by themselves."""
    avatar = person("short")
    side = 512
    vertex = np.zeros(len(avatar.uvs), np.intp)
    vertex[avatar.uv_faces] = avatar.faces
    grid = np.stack(np.meshgrid(np.arange(side), np.arange(side)), axis=-1)
    height = griddata(avatar.uvs * [side, -side] + [0, side], avatar.vertices[vertex, 1], grid, fill_value=0.0)
    striped = np.uint8(np.repeat((127 + 100 * np.sin(2 * np.pi * height / 0.008))[..., None], 3, axis=2))
    painted = replace(avatar, albedo=striped, albedo_photo=None)

    def level(head: Avatar) -> float:
        """How level strands are at the sides of the head."""
        found = grow_strands(head, np.ones(len(head.vertices), np.float32), SLEEK)
        assert found is not None
        ribbons = found.vertices.reshape(-1, 2 * POINTS - 1, 3)
        way = ribbons[:, -1] - ribbons[:, :2].mean(axis=1)
        side = (abs(ribbons[:, 0, 0]) > 0.06) & (ribbons[:, 0, 1] > avatar.vertices[:, 1].max() - 0.12)
        return float(np.median(abs(way[side, 1]) / np.linalg.norm(way[side], axis=1)))

    assert level(painted) < 0.5 * level(avatar)


def test_what_is_no_hair_bears_none() -> None:
    avatar = person("short")
    hat = np.where(avatar.vertices[:, 1] > avatar.vertices[:, 1].max() - 0.06, 0, 1).astype(np.float32)
    found = grow_strands(avatar, hat, TOUSLED)
    assert found is not None
    assert spots(avatar, found)[:, 1].max() < avatar.vertices[:, 1].max() - 0.055
    assert grow_strands(avatar, np.zeros(len(hat), np.float32), TOUSLED) is None
    assert grow_strands(replace(avatar, hair=None), np.ones(len(hat), np.float32), TOUSLED) is None


def test_the_same_head_has_the_same_strands_and_the_file_keeps_them(tmp_path: Path) -> None:
    avatar, strands = person("short"), strands_of("short")
    again = grow_strands(avatar, np.ones(len(avatar.vertices), np.float32), TOUSLED)
    path = tmp_path / "a.meshlam"
    write_avatar(replace(avatar, strands=strands), path)
    kept = read_avatar(path).strands
    for name in ("vertices", "faces", "uvs", "anchor", "bary"):
        assert (getattr(again, name) == getattr(strands, name)).all()
        assert (getattr(kept, name) == getattr(strands, name)).all()


def test_strands_are_drawn_and_move_with_the_hair_below_them() -> None:
    avatar = person("short")
    dressed = AvatarRenderer(replace(avatar, strands=strands_of("short")))
    bare = AvatarRenderer(avatar)
    pose = neutral_pose(avatar)
    rotations = pose.rotations.copy()
    rotations[avatar.joint_names.index("neck")] = [0.3, 0.2, 0.1]
    moved = np.asarray(dressed.posed(replace(pose, rotations=rotations)))
    count = len(avatar.vertices)
    anchors = spots(replace(avatar, vertices=moved[:count]), strands_of("short"))
    off = np.linalg.norm(moved[count:] - anchors, axis=1)
    before = np.linalg.norm(strands_of("short").vertices - spots(avatar, strands_of("short")), axis=1)
    assert abs(off - before).max() < 5e-4
    with_them, without = (render_yaw(r, pose, 90, 256)[..., 3].sum() for r in (dressed, bare))
    assert 1.0005 * without < with_them < 1.05 * without


@pytest.mark.parametrize("family", ["short", "long_back"])
def test_every_triangle_has_an_area_in_the_texture(family: str) -> None:
    """And on the head: without one it has no tangents, which files of engines must not lack."""
    strands = strands_of(family)
    a, b, c = (strands.uvs[strands.faces[:, corner]].astype(np.float64) for corner in range(3))
    across, along = b - a, c - a
    assert abs(across[:, 0] * along[:, 1] - across[:, 1] * along[:, 0]).min() > 1e-10
    a, b, c = (strands.vertices[strands.faces[:, corner]].astype(np.float64) for corner in range(3))
    assert np.linalg.norm(np.cross(b - a, c - a), axis=1).min() > 1e-8  # m^2


def test_triangles_know_what_lies_beside_them() -> None:
    faces = np.array([[0, 1, 2], [2, 1, 3], [4, 5, 6]], np.int32)
    assert neighbours(faces).tolist() == [[1, -1, -1], [-1, -1, 0], [-1, -1, -1]]


def broken(**change: Any) -> Avatar:
    avatar = person("short")
    return replace(avatar, strands=replace(strands_of("short"), **change))


@pytest.mark.parametrize(
    ("name", "words"), [("faces", "strand_faces"), ("anchor", "strand_anchor"), ("bary", "strand_bary")]
)
def test_strands_that_break_the_format_are_refused(name: str, words: str) -> None:
    array = getattr(strands_of("short"), name).copy()
    array[0] += 1 << 20
    with pytest.raises(BadAvatar, match=words):
        validate(broken(**{name: array}))


@pytest.mark.parametrize("hair", ["strands", "hull"])
def test_the_command_line_has_the_choice(
    hair: str, portrait_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "a.meshlam"
    options = ["-o", str(out), "--hair", hair, "--texture-size", "256", "--weights", "none", "--json"]
    assert main(["reconstruct", str(portrait_file), *options]) == 0
    assert (read_avatar(out).strands is not None) == (hair == "strands")
    capsys.readouterr()
    assert main(["info", str(out), "--json"]) == 0
    assert bool(json.loads(capsys.readouterr().out)["strands"]) == (hair == "strands")
