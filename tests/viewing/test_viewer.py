from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy import ndimage
from torch.nn import functional

from meshlam_core.avatar.record import Avatar, Fold
from meshlam_core.errors import UsageError
from meshlam_core.frames import project as project_points
from meshlam_core.raster.normals import vertex_normals
from meshlam_core.viewing.viewer import (
    AvatarRenderer,
    Pose,
    mouth_light,
    neutral_pose,
    photo_camera,
    photo_pose,
    render_avatar,
    render_thumbnail,
    studio_view,
    with_settings,
)


@pytest.fixture
def renderer(sample_avatar: Avatar) -> AvatarRenderer:
    return AvatarRenderer(sample_avatar)


def _centre_of_part(renderer: AvatarRenderer, part: str, view: str) -> np.ndarray:
    """Where a part is drawn: its texture painted white, all else black."""
    avatar = renderer.avatar
    albedo = np.zeros_like(avatar.albedo)
    height, width = albedo.shape[:2]
    index = avatar.parts.index(part)
    owned = avatar.uvs[np.unique(avatar.uv_faces[(avatar.part[avatar.faces] == index).all(1)])]
    left_half = owned[owned[:, 0] < 0.325]  # the island of the subject's left eye
    u0, v0 = left_half.min(0)
    u1, v1 = left_half.max(0)
    albedo[int((1 - v1) * height) : int((1 - v0) * height) + 1, int(u0 * width) : int(u1 * width) + 1] = 255
    picture = render_avatar(replace(avatar, albedo=albedo), view, 128)
    return np.argwhere(picture[..., 0] > 127).mean(0)[::-1]


def test_seen_from_the_front_the_subjects_left_eye_is_on_the_right(renderer: AvatarRenderer) -> None:
    assert _centre_of_part(renderer, "eyeballs", "front")[0] > 70


def test_the_left_view_shows_the_subjects_left_eye_and_looks_to_the_left(renderer: AvatarRenderer) -> None:
    assert _centre_of_part(renderer, "eyeballs", "left")[0] < 50


def test_the_three_quarter_view_turns_the_head_to_the_left_of_the_picture(renderer: AvatarRenderer) -> None:
    front, turned = (_centre_of_part(renderer, "eyeballs", view)[0] for view in ("front", "three-quarter"))
    assert turned < front - 5


def test_the_photo_view_draws_the_head_where_the_camera_equations_say(renderer: AvatarRenderer) -> None:
    avatar = renderer.avatar
    vertices = renderer.posed(photo_pose(avatar)).numpy() + avatar.photo.translation
    pixels = project_points(vertices.astype(np.float64), photo_camera(avatar))
    alpha = render_avatar(avatar, "photo", "native")[..., 3]
    rows, columns = np.flatnonzero(alpha.any(1)), np.flatnonzero(alpha.any(0))
    expected = [pixels[:, 0].min(), pixels[:, 0].max(), pixels[:, 1].min(), pixels[:, 1].max()]
    assert np.abs(np.array([columns[0], columns[-1] + 1, rows[0], rows[-1] + 1]) - expected).max() < 1


def test_pictures_made_in_strips_are_the_same_as_in_one_piece(
    renderer: AvatarRenderer, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = render_avatar(renderer.avatar, "photo", 200, renderer=renderer)
    monkeypatch.setattr("meshlam_core.raster.render.MAX_SAMPLES", 5000)
    strips = render_avatar(renderer.avatar, "photo", 200, renderer=renderer)
    assert np.array_equal(whole[..., 3], strips[..., 3])
    assert np.abs(whole.astype(int) - strips).mean() < 0.5


def test_edges_are_antialiased_and_not_darkened(renderer: AvatarRenderer) -> None:
    picture = render_avatar(replace(renderer.avatar, albedo=np.full_like(renderer.avatar.albedo, 200)), "front", 64)
    edge = (picture[..., 3] > 0) & (picture[..., 3] < 255)
    assert edge.sum() > 20
    assert (picture[edge][:, :3] == 200).all()


def test_a_picture_of_any_size_shows_the_head_at_the_same_place(renderer: AvatarRenderer) -> None:
    centres = []
    for size in (100, 400):
        alpha = render_avatar(renderer.avatar, "photo", size, renderer=renderer)[..., 3].astype(float)
        rows, columns = np.mgrid[0 : alpha.shape[0], 0 : alpha.shape[1]] + 0.5
        centres.append(np.array([(rows * alpha).sum(), (columns * alpha).sum()]) / alpha.sum() / size)
    assert np.abs(centres[0] - centres[1]).max() < 0.001


def test_every_view_fits_into_its_picture(renderer: AvatarRenderer) -> None:
    for yaw in range(0, 360, 15):
        points, camera = studio_view(renderer.avatar, renderer.posed(neutral_pose(renderer.avatar)), yaw, 100)
        pixels = project_points(points.numpy(), camera)
        assert pixels[:, :2].min() > 5.9
        assert pixels[:, :2].max() < 94.1


def test_a_pose_from_the_photo_does_not_turn_the_named_views(renderer: AvatarRenderer) -> None:
    avatar = renderer.avatar
    turned = replace(avatar, photo=replace(avatar.photo, expression=avatar.photo.expression * 0))
    a = render_avatar(turned, "front", 64, pose="photo", renderer=renderer)
    assert np.array_equal(a, render_avatar(avatar, "front", 64, pose="neutral", renderer=renderer))


def test_a_head_outside_the_picture_leaves_it_empty(renderer: AvatarRenderer) -> None:
    far = torch.tensor(renderer.avatar.vertices) + torch.tensor([5.0, 0, -1])
    assert not renderer.draw(far, photo_camera(renderer.avatar)).any()


def test_settings_replace_coefficients_by_name(sample_avatar: Avatar) -> None:
    changed = with_settings(sample_avatar, sample_avatar.photo.expression, {"jawOpen": 0.9, "tongueOut": 0.1})
    assert changed[sample_avatar.blendshape_names.index("jawOpen")] == np.float32(0.9)
    with pytest.raises(UsageError, match="Did you mean mouthSmileLeft"):
        with_settings(sample_avatar, changed, {"mouthSmileLefft": 1})
    with pytest.raises(UsageError, match="from -10 to 10"):
        with_settings(sample_avatar, changed, {"jawOpen": float("inf")})


def test_the_inside_of_the_mouth_darkens_with_its_depth_but_not_where_the_photo_showed_it(
    sample_avatar: Avatar,
) -> None:
    mouth = replace(sample_avatar, parts=("face", "scalp", "tongue"), albedo_seen=sample_avatar.albedo_seen * 0)
    inside = mouth.part == 2
    light = mouth_light(mouth)
    assert (light[~inside] == 1).all()
    deep, shallow = (light[inside][pick(mouth.vertices[inside, 2])] for pick in (np.argmin, np.argmax))
    assert deep < shallow <= 1
    seen = replace(mouth, albedo_seen=np.full_like(mouth.albedo_seen, 255))
    assert np.allclose(mouth_light(seen), 1)
    assert (mouth_light(sample_avatar) == 1).all(), "a head without a mouth interior stays as it is"


def test_a_corner_of_a_tooth_just_beside_what_the_photo_showed_is_as_light(sample_avatar: Avatar) -> None:
    mouth = replace(sample_avatar, parts=("face", "scalp", "tongue"), albedo_seen=sample_avatar.albedo_seen * 0)
    hidden = mouth_light(mouth)
    corner = int(np.flatnonzero(mouth.part == 2)[np.argmin(hidden[mouth.part == 2])])
    place = mouth.uvs[mouth.uv_faces[mouth.faces == corner][-1]]
    height, width = mouth.albedo_seen.shape
    row, column = min(int((1 - place[1]) * height), height - 1), min(int(place[0] * width), width - 1)
    seen = mouth.albedo_seen.copy()
    seen[row, column - 1 if column else 1] = 255
    assert hidden[corner] < 0.95
    assert mouth_light(replace(mouth, albedo_seen=seen))[corner] == 1


def test_the_thumbnail_shows_the_head(sample_avatar: Avatar) -> None:
    thumbnail = render_thumbnail(sample_avatar).thumbnail
    assert thumbnail.shape == (256, 256, 4)
    assert 0.1 < (thumbnail[..., 3] > 0).mean() < 0.9


def test_pictures_show_the_photos_light_where_the_texture_is_without_it(sample_avatar: Avatar) -> None:
    bright = replace(sample_avatar, albedo=np.full_like(sample_avatar.albedo, 255), albedo_photo=sample_avatar.albedo)
    np.testing.assert_array_equal(render_avatar(bright, size=64), render_avatar(sample_avatar, size=64))


def test_a_fold_shows_with_its_key_and_only_then(sample_avatar: Avatar) -> None:
    key = sample_avatar.blendshape_names[0]
    dark = Fold("smile", (key,), 0.5, np.full((8, 8, 3), 64, np.uint8))  # a factor 1 / e on linear colours
    folded = replace(sample_avatar, folds=(dark,))
    at_rest = render_avatar(folded, size=64)
    np.testing.assert_array_equal(at_rest, render_avatar(sample_avatar, size=64))
    half, full = (render_avatar(folded, size=64, settings={key: value}).astype(float) for value in (0.25, 0.5))
    bare = render_avatar(sample_avatar, size=64, settings={key: 0.5}).astype(float)
    shown = (bare[..., 3] > 254) & (bare[..., :3].min(axis=2) > 60)
    assert np.median(full[shown][:, :3] / bare[shown][:, :3]) == pytest.approx(np.exp(-1 / 2.2), abs=0.02)
    assert half[..., :3].sum() > full[..., :3].sum()


def test_an_outline_goes_where_it_turns_to_the_viewer_and_hair_stays_as_the_photo_has_it(sample_avatar: Avatar) -> None:
    red = np.full((8, 8, 4), 255, np.uint8)
    renderer, pose = AvatarRenderer(replace(sample_avatar, outline=red)), photo_pose(sample_avatar)
    offset = torch.tensor(sample_avatar.photo.translation)

    def facing(turn: float) -> tuple[torch.Tensor, torch.Tensor | None]:
        rotations = pose.rotations.copy()
        rotations[0] += np.array([0, turn, 0], np.float32)
        placed = renderer.posed(Pose(pose.expression, rotations)) + offset
        normals = vertex_normals(placed[None], renderer.mesh.faces)[0]
        return -(normals * functional.normalize(placed, dim=1)).sum(1), renderer.outlined(placed)

    (then, whole), (now, shown) = facing(0.0), facing(0.24)
    assert whole is not None
    assert shown is not None
    assert float(whole.min()) == 1
    turned_up = (then < 0.32) & (then > 0) & (now > 0.48)
    assert bool(turned_up.any())
    inside, still = (then > 0.65) & (now > 0.65), (then < 0.25) & (now < 0.25) & (now > 0)
    assert float(shown[turned_up].max()) < 0.4
    assert float(shown[inside].min()) > 0.45
    assert float(shown[still].min()) > 0.75


def test_the_photos_outline_shows_in_views_like_the_photos_alone(sample_avatar: Avatar) -> None:
    red = np.zeros((8, 8, 4), np.uint8)
    red[:] = 255, 0, 0, 255
    outlined = replace(sample_avatar, outline=red)
    photo, bare = (render_avatar(avatar, "photo", 64).astype(int) for avatar in (outlined, sample_avatar))
    shown = photo[..., 3] > 254
    np.testing.assert_array_equal(photo[..., 3], bare[..., 3])
    assert (abs(photo[shown][:, :3] - [255, 0, 0]) <= 1).all()
    turned = replace(
        outlined,
        photo=replace(sample_avatar.photo, rotations=sample_avatar.photo.rotations + np.array([0, 0.8, 0], np.float32)),
    )
    renderer, pose = AvatarRenderer(turned), photo_pose(sample_avatar)
    camera = photo_camera(turned, 64)
    aside = renderer.draw_pose(pose.expression, pose.rotations, turned.photo.translation, camera)
    plain = AvatarRenderer(sample_avatar).draw_pose(pose.expression, pose.rotations, turned.photo.translation, camera)
    np.testing.assert_array_equal(aside, plain)
    # in between, what faces the viewer is no outline any more
    rotations = sample_avatar.photo.rotations.copy()
    rotations[0, 1] += 0.4
    some = replace(outlined, photo=replace(sample_avatar.photo, rotations=rotations))
    edged = AvatarRenderer(some).draw_pose(pose.expression, pose.rotations, turned.photo.translation, camera)
    changed = (edged != plain).any(axis=2)
    assert changed[shown & ~ndimage.binary_erosion(shown, iterations=2)].all()
    assert changed[ndimage.binary_erosion(shown, iterations=8)].mean() < 0.2
    # a share of it counts as a share, at any size
    half = replace(
        sample_avatar, outline=np.repeat(np.repeat(red // 2 + [[[128, 0, 0, 0]]], 2, 0), 2, 1).astype(np.uint8)
    )
    mixed = render_avatar(half, "photo", 64).astype(int)
    assert np.allclose(mixed[shown][:, :3], (photo + bare)[shown][:, :3] / 2, atol=3)
