"""A frame of glasses in the photo leaves the skin, and becomes a mesh on the head for who asks."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from meshlam_core import cli
from meshlam_core.avatar.io import read_avatar, write_avatar
from meshlam_core.avatar.record import Avatar, Glasses
from meshlam_core.avatar.schema import validate
from meshlam_core.errors import BadAvatar
from meshlam_core.files.images import load_photo
from meshlam_core.head.glasses import FrameShape, Sheet, Skin, build_glasses, rims_of
from meshlam_core.head.io import load_head
from meshlam_core.head.model import HeadModel
from meshlam_core.tracker.crop import cut_head
from meshlam_core.tracker.glasses import find_glasses, mask_of, on_crop
from meshlam_core.tracker.landmarks import MediaPipeDetector
from meshlam_core.tracker.pose import landmarks_on_crop
from meshlam_core.tracker.track import track_photo
from meshlam_core.viewing.viewer import AvatarRenderer, photo_pose, render_avatar

SHAPES = {  # round wire, a thick rectangle, a wide oval worn to one side
    "round": FrameShape(0.0, -0.004, 0.009, 0.022, 0.020, 2.0, 0.0, 0.0015),
    "square": FrameShape(0.001, -0.005, 0.008, 0.025, 0.0155, 4.0, 0.05, 0.0035),
    "oval": FrameShape(-0.002, -0.006, 0.010, 0.0245, 0.015, 2.3, 0.0, 0.0025),
}
DARK = (38, 30, 28)
SQUARE = Glasses(
    np.array([[-0.05, 0.18, 0.1], [0.05, 0.18, 0.1], [0.05, 0.22, 0.1], [-0.05, 0.22, 0.1]], np.float32),
    np.array([[0, 1, 2], [0, 2, 3]], np.int32),
    np.array([0.1, 0.8, 0.1], np.float32),
    "neck",
)


def volume(vertices: NDArray[np.floating], faces: NDArray[np.integer]) -> float:
    """Positive where the triangles are counter-clockwise from outside."""
    a, b, c = vertices[faces].astype(np.float64).transpose(1, 0, 2)
    return float((np.cross(a, b) * c).sum() / 6)


@pytest.fixture(scope="module")
def head() -> HeadModel:
    return load_head()


@pytest.fixture(scope="module")
def bare(portrait_file: Path, assets: dict[str, Path], head: HeadModel) -> Any:
    """A tracked portrait of somebody without glasses: crop, head, landmarks."""
    detector = MediaPipeDetector(assets["face_landmarker"])
    photo = load_photo(portrait_file)
    tracked = track_photo(photo, detector, head, "largest")
    picture = cut_head(photo, tracked)
    return picture, tracked, landmarks_on_crop(tracked, picture.camera)


def drawn(bare: Any, shape: FrameShape, head: HeadModel, rise: float | None = None) -> NDArray[np.uint8]:
    """The crop with a frame before the eyes, its temples level and short, or up to `rise` m above the ears' roots."""
    picture, tracked, _ = bare
    skin = Skin(tracked.vertices, head)
    sheet, place = Sheet.before(skin.landmarks).clear_of(skin, shape), on_crop(tracked, picture.camera, head)
    pixels = picture.pixels.copy()
    wide = max(1, round(shape.thickness * picture.camera.focal / abs(float(tracked.translation[2]))))
    high = shape.up + 0.4 * shape.height
    outer = shape.gap + 2 * shape.width
    lines = [(sheet.points(rim), True) for rim in rims_of(shape)]
    lines.append((sheet.points(np.array([[shape.across + s * shape.gap, high] for s in (1, -1)])), False))
    for s in (1, -1):
        hinge, end = sheet.points(np.array([[shape.across + s * out, high] for out in (outer, outer + 0.012)]))
        lines.append((np.stack([hinge, end if rise is None else skin.ear(s) + np.array([0, rise, 0])]), False))
    for line, closed in lines:
        at = np.rint((place(line) - 0.5) * 16).astype(np.int32)
        cv2.polylines(pixels, [at], closed, DARK, wide, cv2.LINE_AA, 4)
    return np.asarray(pixels)


@pytest.mark.parametrize("name", SHAPES)
def test_a_drawn_frame_is_found_where_it_is_and_as_large(bare: Any, head: HeadModel, name: str) -> None:
    picture, tracked, landmarks = bare
    true = SHAPES[name]
    found = find_glasses(drawn(bare, true, head), tracked, landmarks, picture.camera, head)
    assert found is not None
    shape = found.shape
    assert abs(shape.across - true.across) < 0.0015
    assert abs(shape.up - true.up) < 0.002
    assert abs(shape.gap + shape.width - true.gap - true.width) < 0.0015  # the rims' centres
    assert abs(shape.width - true.width) < 0.002
    assert abs(shape.height - true.height) < 0.002
    assert abs(shape.thickness - true.thickness) < 0.0015
    assert np.abs(found.colour - np.array(DARK) / 255).max() < 0.15


def test_a_faint_frame_is_found_where_it_is(bare: Any, head: HeadModel) -> None:
    picture, tracked, landmarks = bare
    true = SHAPES["oval"]
    faint = 0.7 * picture.pixels + 0.3 * drawn(bare, true, head)
    found = find_glasses(faint.astype(np.uint8), tracked, landmarks, picture.camera, head)
    assert found is not None
    assert np.abs(found.shape.numbers[:5] - true.numbers[:5]).max() < 0.002


def test_a_bare_face_wears_nothing(bare: Any, head: HeadModel) -> None:
    picture, tracked, landmarks = bare
    assert find_glasses(picture.pixels, tracked, landmarks, picture.camera, head) is None


@pytest.mark.parametrize("name", SHAPES)
def test_the_mesh_is_closed_outside_of_the_skin_and_reaches_the_ears(head: HeadModel, name: str) -> None:
    shape, skin = SHAPES[name], Skin(head.template, head)
    made = build_glasses(shape, Sheet.before(skin.landmarks).clear_of(skin, shape), skin, np.ones(3), "neck")
    edges = np.sort(made.faces[:, [[0, 1], [1, 2], [2, 0]]].reshape(-1, 2), axis=1)
    assert (np.unique(edges, axis=0, return_counts=True)[1] == 2).all()
    assert volume(made.vertices, made.faces) > 0
    ahead = made.vertices[made.vertices[:, 2] > 0.11].astype(np.float64)
    assert (ahead[:, 2] > skin.front(ahead)).all()
    for side in (1, -1):
        own = made.vertices[(side * made.vertices[:, 0] > 0.03) & (made.vertices[:, 2] < 0.11)].astype(np.float64)
        assert (side * own[:, 0] > skin.beside(own, side)).all()
        assert np.linalg.norm(own - skin.ear(side), axis=1).min() < 0.006


@pytest.mark.parametrize("rise", [0.0, 0.008, 0.016])
def test_temples_are_masked_wherever_the_ears_are(bare: Any, head: HeadModel, rise: float) -> None:
    picture, tracked, landmarks = bare
    shape, skin = SHAPES["oval"], Skin(tracked.vertices, head)
    sheet, place = Sheet.before(skin.landmarks).clear_of(skin, shape), on_crop(tracked, picture.camera, head)
    hinges = [shape.across - shape.gap - 2 * shape.width, shape.up + 0.4 * shape.height]
    line = place(np.stack([sheet.points(np.array(hinges)), skin.ear(-1) + np.array([0, rise, 0])]))
    pixels = drawn(bare, shape, head, rise)
    found = find_glasses(pixels, tracked, landmarks, picture.camera, head)
    assert found is not None
    mask = mask_of(found, pixels, tracked, picture.camera, head)
    column, row = (line[:1] + np.linspace(0, 0.9, 40)[:, None] * (line[1:] - line[:1])).astype(int).T
    assert mask[row, column].all()


@pytest.mark.parametrize("kept", ["none", "glasses"])
def test_a_frame_leaves_the_skin_unless_it_is_to_be_kept(
    bare: Any, head: HeadModel, tmp_path: Path, capsys: pytest.CaptureFixture[str], kept: str
) -> None:
    photo, out = tmp_path / "worn.png", tmp_path / "worn.meshlam"
    worn = drawn(bare, SHAPES["round"], head)
    Image.fromarray(worn).save(photo)
    options = ["-o", str(out), "--keep", kept, "--texture-size", "256", "--weights", "none", "--json"]
    assert cli.main(["reconstruct", str(photo), *options]) == 0
    result = json.loads(capsys.readouterr().out)
    told = [text for text in result["warnings"] if "covered by glasses" in text]
    assert (result["covered"], len(told)) == ((["glasses"], 1) if kept == "none" else ([], 0))
    assert (result["glasses"] is None) == (kept == "glasses")
    avatar = read_avatar(out)
    assert avatar.glasses is None
    assert list(avatar.provenance["covered"]) == result["covered"]
    frame = np.abs(worn.astype(float) - bare[0].pixels).max(axis=2) > 60
    shown = render_avatar(avatar, "photo", "native")[..., :3].astype(float)
    lighter = shown[frame].mean() - worn[frame].mean()
    assert (lighter > 40) == (kept == "none")


def test_the_photo_gives_a_head_with_glasses_that_are_no_longer_on_its_skin(
    bare: Any, head: HeadModel, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    photo, out = tmp_path / "worn.png", tmp_path / "worn.meshlam"
    Image.fromarray(drawn(bare, SHAPES["square"], head)).save(photo)
    options = ["-o", str(out), "--keep", "glasses-mesh", "--texture-size", "256", "--weights", "none", "--json"]
    assert cli.main(["reconstruct", str(photo), *options]) == 0
    result = json.loads(capsys.readouterr().out)
    assert "glasses" in result["covered"]
    assert abs(result["glasses"]["lens_width_mm"] - 46.5) < 4
    avatar = read_avatar(out)
    assert avatar.glasses is not None
    assert avatar.glasses.joint == "neck"
    without = replace(avatar, glasses=None)
    with_them, bald = (render_avatar(a, "photo", "native")[..., :3].astype(float) for a in (avatar, without))
    shown = np.abs(with_them - bald).max(axis=2) > 60
    original = np.asarray(Image.open(photo), float)
    assert shown.sum() > 0.003 * shown.size
    assert np.abs(with_them - original)[shown].mean() < 0.5 * np.abs(bald - original)[shown].mean()
    assert cli.main(["info", str(out), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["glasses"]["joint"] == "neck"


def test_that_nothing_was_built_of_a_bare_face_is_said_to_who_asked(
    portrait_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "bare.meshlam"
    options = ["-o", str(out), "--keep", "glasses-mesh", "--texture-size", "64", "--weights", "none", "--json"]
    assert cli.main(["reconstruct", str(portrait_file), *options]) == 0
    result = json.loads(capsys.readouterr().out)
    assert result["glasses"] is None
    assert any("No frame of glasses" in text for text in result["warnings"])
    assert read_avatar(out).glasses is None


def test_glasses_come_back_from_the_file_as_they_were(sample_avatar: Avatar, tmp_path: Path) -> None:
    path = tmp_path / "worn.meshlam"
    write_avatar(replace(sample_avatar, glasses=SQUARE), path)
    found = read_avatar(path).glasses
    assert found is not None
    assert np.array_equal(found.vertices, SQUARE.vertices)
    assert np.array_equal(found.faces, SQUARE.faces)
    assert np.allclose(found.colour, SQUARE.colour, atol=1e-4)
    assert found.joint == SQUARE.joint


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"joint": "tail"}, "a joint of the avatar"),
        ({"faces": np.array([[0, 1, 4]], np.int32)}, "indices from 0 to 3"),
        ({"colour": np.array([0.1, 1.2, 0.1], np.float32)}, "three numbers from 0 to 1"),
    ],
)
def test_glasses_that_break_the_format_are_refused(sample_avatar: Avatar, change: dict[str, Any], words: str) -> None:
    with pytest.raises(BadAvatar, match=words):
        validate(replace(sample_avatar, glasses=replace(SQUARE, **change)))


def test_they_are_drawn_and_turn_with_the_skull(sample_avatar: Avatar) -> None:
    avatar = replace(sample_avatar, glasses=SQUARE)
    green = render_avatar(avatar, "front", 128).astype(float)
    assert ((green[..., 1] > 150) & (green[..., 0] < 60)).sum() > 200
    rest = AvatarRenderer(avatar).posed(photo_pose(avatar, {"jawOpen": 0.0}))[-4:].numpy()
    open_mouth = AvatarRenderer(avatar).posed(photo_pose(avatar, {"jawOpen": 1.0}))[-4:].numpy()
    assert np.allclose(rest, open_mouth)
    turned = photo_pose(avatar)
    rotations = turned.rotations.copy()
    rotations[2] = (0.4, 0, 0)
    assert np.allclose(AvatarRenderer(avatar).posed(replace(turned, rotations=rotations))[-4:].numpy(), rest)
    rotations[1] = (0, 0.5, 0)
    moved = AvatarRenderer(avatar).posed(replace(turned, rotations=rotations))[-4:].numpy()
    assert np.abs(moved - rest).max() > 0.02
    assert np.allclose(np.linalg.norm(moved[0] - moved[2]), np.linalg.norm(rest[0] - rest[2]), atol=1e-5)
