"""The open head's texture layout: no overlaps, no flips, the face large, left and right alike."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from meshlam_core.head.io import head_metadata
from meshlam_core.head.model import HeadModel

SIZE = 1024  # texels a side
PADDING = 4  # texels between islands


def signed_areas(head: HeadModel) -> NDArray[np.float64]:  # [F]
    a, b, c = np.moveaxis(head.uvs[head.uv_faces].astype(np.float64), 1, 0)
    one, two = b - a, c - a
    return np.asarray((one[:, 0] * two[:, 1] - one[:, 1] * two[:, 0]) / 2)


def coverage(head: HeadModel, size: int) -> tuple[NDArray[np.int32], NDArray[np.int32]]:  # [size, size] each
    """How many triangles contain each texel's centre, and the last of them (-1: none)."""
    count = np.zeros((size, size), np.int32)
    triangle = np.full((size, size), -1, np.int32)
    corners = head.uvs[head.uv_faces].astype(np.float64) * size
    for index, corner in enumerate(corners):
        low = np.ceil(corner.min(axis=0) - 0.5).astype(int)
        high = np.floor(corner.max(axis=0) - 0.5).astype(int) + 1
        if (high <= low).any():
            continue
        x, y = np.arange(low[0], high[0]) + 0.5, np.arange(low[1], high[1])[:, None] + 0.5
        inside = np.ones((high[1] - low[1], high[0] - low[0]), bool)
        for (ax, ay), (bx, by) in zip(corner, np.roll(corner, -1, axis=0), strict=True):
            inside &= (bx - ax) * (y - ay) - (by - ay) * (x - ax) > 0
        count[low[1] : high[1], low[0] : high[0]] += inside
        triangle[low[1] : high[1], low[0] : high[0]][inside] = index
    return count, triangle


@pytest.fixture(scope="module")
def covered(head: HeadModel) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    return coverage(head, 2 * SIZE)


def islands(head: HeadModel) -> NDArray[np.int64]:  # [F] island of each triangle; the hairs of a lash row count as one
    label = np.arange(len(head.uvs))
    while True:
        after = label.copy()
        for corner in range(3):
            np.minimum.at(after, head.uv_faces[:, corner], label[head.uv_faces].min(axis=1))
        after = after[after]
        if (after == label).all():
            break
        label = after
    result = label[head.uv_faces[:, 0]]
    lashes = head.part[head.faces[:, 0]] == head.parts.index("lashes")
    result[lashes] = -1
    return np.asarray(result)


def test_no_triangle_is_flipped_or_flat(head: HeadModel) -> None:
    assert signed_areas(head).min() > 1e-8


def test_no_two_triangles_overlap(covered: tuple[NDArray[np.int32], NDArray[np.int32]]) -> None:
    assert covered[0].max() == 1


def test_the_overlap_check_would_notice_one(head: HeadModel) -> None:
    moved = head.uvs.copy()
    eyeball = head.part[head.faces[:, 0]] == head.parts.index("eyeball_right")
    moved[np.unique(head.uv_faces[eyeball])] += np.array([0, 0.1], np.float32)
    assert coverage(replace(head, uvs=moved), SIZE)[0].max() > 1


def test_the_face_gets_at_least_40_percent_of_the_used_texels(
    head: HeadModel, covered: tuple[NDArray[np.int32], NDArray[np.int32]]
) -> None:
    used = covered[1][covered[1] >= 0]
    on_face = (head.part[head.faces[used]] == head.parts.index("face")).sum(axis=1) >= 2
    assert on_face.mean() >= 0.40
    assert head_metadata()["face_share_of_uv"] == pytest.approx(on_face.mean(), abs=0.005)


def test_islands_keep_a_margin_of_four_texels(
    head: HeadModel, covered: tuple[NDArray[np.int32], NDArray[np.int32]]
) -> None:
    island = np.where(covered[1] >= 0, islands(head)[covered[1]], -9)
    rows, columns = np.nonzero(island != -9)
    reach = 2 * PADDING
    assert min(rows.min(), columns.min()) >= reach
    assert max(rows.max(), columns.max()) < 2 * SIZE - reach
    for dy, dx in ((0, 1), (1, 0), (1, 1), (1, -1)):
        for step in range(1, reach + 1):
            if dy and dx and step * 1.5 > reach:
                continue
            shifted = np.roll(island, (dy * step, dx * step), axis=(0, 1))
            assert not ((island != -9) & (shifted != -9) & (island != shifted)).any(), (dy * step, dx * step)


def test_the_skin_is_one_island_with_its_seam_at_the_back(head: HeadModel) -> None:
    island = islands(head)
    outer = [head.parts.index(name) for name in ("face", "scalp", "neck", "ears", "lips", "eyelids")]
    skin = np.isin(head.part[head.faces], outer).all(axis=1) & ~np.isin(
        head.part[head.faces], [head.parts.index("eye_sockets")]
    ).any(axis=1)
    assert len(np.unique(island[skin])) == 1
    copies: dict[int, set[int]] = {}
    for face, uv_face in zip(head.faces[skin].tolist(), head.uv_faces[skin].tolist(), strict=True):
        for vertex, uv in zip(face, uv_face, strict=True):
            copies.setdefault(vertex, set()).add(uv)
    seam = [vertex for vertex, uvs in copies.items() if len(uvs) > 1]
    assert len(seam) > 8
    assert np.abs(head.template[seam, 0]).max() < 1e-6
    assert head.template[seam, 2].max() < head.template[:, 2].mean()


def test_eyes_teeth_and_tongue_have_islands_of_their_own(head: HeadModel) -> None:
    island = islands(head)
    seen: set[int] = set()
    for name in ("face", "teeth_upper", "teeth_lower", "tongue", "eyeball_left", "eyeball_right"):
        own = set(island[(head.part[head.faces] == head.parts.index(name)).all(axis=1)].tolist())
        assert len(own) == 1, name
        assert not own & seen, name
        seen |= own


def test_the_front_of_an_eyeball_covers_115_texels_and_the_iris_is_undistorted(head: HeadModel) -> None:
    ball = head.part[head.faces[:, 0]] == head.parts.index("eyeball_left")
    centre = head.joints(head.template)[3]
    front = ball & (head.template[head.faces].mean(axis=1)[:, 2] > centre[2] + 0.0154 * np.cos(np.radians(62)))
    extent = np.ptp(head.uvs[head.uv_faces[front]].reshape(-1, 2), axis=0) * SIZE
    assert extent.min() >= 115
    iris = ball & (head.template[head.faces].mean(axis=1)[:, 2] > centre[2] + 0.0154 * np.cos(np.radians(24)))
    corners = head.template[head.faces[iris]].astype(np.float64)
    area = np.linalg.norm(np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]), axis=1) / 2
    scale = np.sqrt(signed_areas(head)[iris] / area)
    assert scale.max() / scale.min() < 1.06


def test_the_skin_is_mirrored_about_the_middle(head: HeadModel) -> None:
    place: dict[int, set[tuple[float, float]]] = {}
    outer = np.isin(head.part[head.faces], [head.parts.index(n) for n in ("face", "scalp", "neck", "ears")]).all(axis=1)
    for face, uv_face in zip(head.faces[outer].tolist(), head.uv_faces[outer].tolist(), strict=True):
        for vertex, uv in zip(face, uv_face, strict=True):
            place.setdefault(vertex, set()).add(tuple(head.uvs[uv].tolist()))
    for vertex, spots in place.items():
        if len(spots) == 1 and len(place[int(head.mirror[vertex])]) == 1:
            (u, v), (other_u, other_v) = next(iter(spots)), next(iter(place[int(head.mirror[vertex])]))
            assert abs(u + other_u - 1) < 1e-4
            assert abs(v - other_v) < 1e-4


def test_the_forehead_is_up_and_the_subjects_left_is_on_the_right(head: HeadModel) -> None:
    landmarks = head.uvs[head.uv_faces[head.landmark_faces]].mean(axis=1)
    assert landmarks[10, 1] > landmarks[152, 1] + 0.3
    assert landmarks[263, 0] > landmarks[33, 0] + 0.1
