"""The add-on's reader: takes what follows AVATAR_FORMAT.md, refuses the rest with one sentence."""

from __future__ import annotations

import io
import json
import zipfile
from dataclasses import replace

import numpy as np
import pytest

from blender_addon import avatar_reader
from blender_addon.avatar_reader import AvatarFileError, read_avatar


@pytest.fixture
def good(samples, tmp_path):
    return samples.write_sample(tmp_path / "good.meshlam", samples.make_sample())


def refused(path, match):
    with pytest.raises(AvatarFileError, match=match) as caught:
        read_avatar(path)
    assert str(caught.value).startswith(path.name)
    assert "\n" not in str(caught.value)


def rewritten(path, change):
    """The archive with `change(name, data)` applied: new bytes, or None to drop the member."""
    with zipfile.ZipFile(path) as archive:
        members = [(name, archive.read(name)) for name in archive.namelist()]
    out = path.with_name("changed.meshlam")
    with zipfile.ZipFile(out, "w") as archive:
        for name, data in members:
            new = change(name, data)
            if new is not None:
                archive.writestr(name, new)
    return out


def with_header(path, **changes):
    def change(name, data):
        return json.dumps(json.loads(data) | changes).encode() if name == "avatar.json" else data

    return rewritten(path, change)


def test_a_good_file_is_read_array_by_array(samples, good):
    sample = samples.make_sample()
    avatar = read_avatar(good)
    for name in ("vertices", "faces", "uvs", "uv_faces", "part", "joints", "weights", "blendshapes", "photo_crop"):
        np.testing.assert_array_equal(getattr(avatar, name), sample.arrays[name])
    assert avatar.photo_focal == 1500.0
    assert avatar.joint_names == samples.JOINTS
    assert avatar.joint_parents == samples.PARENTS
    assert avatar.blendshape_names == samples.ARKIT_NAMES
    assert avatar.pose_correctives is None
    assert (avatar.photo.width, avatar.photo.height) == (320, 240)
    assert avatar.albedo.data == sample.images["albedo"]
    assert avatar.provenance["head_licence"] == "CC0-1.0"


def test_pose_correctives_are_read_when_there(samples, tmp_path):
    path = samples.write_sample(tmp_path / "flame.meshlam", samples.make_sample(correctives=True, kind="flame"))
    assert read_avatar(path).pose_correctives.shape[0] == 36


@pytest.mark.parametrize(
    ("name", "change", "match"),
    [
        ("vertices", lambda a: a.astype("<f8"), "vertices must have the type <f4"),
        ("vertices", lambda a: a.astype(">f4"), "vertices must have the type <f4"),
        ("vertices", lambda a: a[:, :2], "vertices must have the shape"),
        ("weights", lambda a: a[:-1], r"weights must have the shape"),
        ("weights", lambda a: a * 1.1, "must sum to 1"),
        ("blendshapes", lambda a: a[:, :-1], "blendshapes must have the shape"),
        ("faces", lambda a: a + 100_000, "faces points to"),
        ("uv_faces", lambda a: a - 5, "uv_faces points to"),
        ("part", lambda a: a + np.uint8(7), "part points to"),
        ("vertices", lambda a: np.where(a > 0.1, np.float32(np.nan), a), "not finite"),
        ("photo_focal", lambda a: -a, "must be positive"),
        ("photo_crop", lambda a: a[[2, 1, 0, 3]], "x0 < x1"),
    ],
)
def test_a_wrong_array_is_named(samples, tmp_path, name, change, match):
    sample = samples.make_sample()
    bad = samples.with_arrays(sample, **{name: change(sample.arrays[name])})
    refused(samples.write_sample(tmp_path / "bad.meshlam", bad), match)


@pytest.mark.parametrize(
    ("changes", "match"),
    [
        ({"format": "zip"}, "expected the format 'meshlam-avatar', got 'zip'"),
        ({"version": 2}, "reads version 1, the file has version 2; update the add-on"),
        ({"version": True}, "the file has version True"),
        ({"arrays": []}, "no table 'arrays'"),
        ({"arrays": {}}, "the array 'vertices' is missing"),
        ({"images": {}}, "the image 'albedo' is missing"),
        ({"joint_parents": [-1, 0, 3, 1, 1]}, "earlier joints"),
        ({"joint_names": ["a"] * 5}, "occurs twice"),
        ({"blendshape_names": ["a"]}, "must list 52 names"),
        ({"blendshape_ranges": [[1, 0]] * 52}, "minimum < maximum"),
        ({"parts": "face"}, "must list parts as texts"),
    ],
)
def test_a_wrong_header_is_named(good, changes, match):
    refused(with_header(good, **changes), match)


def with_wrinkles(good, samples, **changes):
    """The file with the folds of a smile."""
    sample = samples.make_sample()
    fold = {"name": "smile", "keys": ["mouthSmileLeft", "mouthSmileRight"], "at": 0.5, "step": 1 / 64} | changes
    images = sample.images | {"wrinkle_smile": samples.encode_png(np.full((8, 8, 3), 128, np.uint8))}
    header = sample.header | {"wrinkles": [fold]}
    return samples.write_sample(good.with_name("folds.meshlam"), replace(sample, images=images, header=header))


def test_folds_are_read_with_their_keys(good, samples):
    (fold,) = read_avatar(with_wrinkles(good, samples)).folds
    assert (fold.name, fold.keys, fold.at, fold.step) == ("smile", ("mouthSmileLeft", "mouthSmileRight"), 0.5, 1 / 64)
    assert (fold.picture.width, fold.picture.height) == (8, 8)
    assert read_avatar(good).folds == ()


@pytest.mark.parametrize(
    ("changes", "match"),
    [
        ({"name": "frown"}, "'wrinkle_frown' is missing"),
        ({"name": 3}, "must have names of their own"),
        ({"keys": ["laugh"]}, "must name blendshapes of the file"),
        ({"keys": [["jawOpen"]]}, "must name blendshapes of the file"),
        ({"keys": []}, "must name blendshapes of the file"),
        ({"at": 0}, "must be numbers above 0"),
        ({"step": float("nan")}, "must be numbers above 0"),
        ({"at": True}, "must be numbers above 0"),
    ],
)
def test_wrong_folds_are_named(good, samples, changes, match):
    refused(with_wrinkles(good, samples, **changes), match)


def test_folds_that_are_no_list_are_named(good):
    refused(with_header(good, wrinkles={"smile": 1}), "must list wrinkles")


def test_a_missing_member_is_named(good):
    refused(rewritten(good, lambda name, data: None if name == "joints.npy" else data), "'joints.npy' is missing")


def test_pickled_arrays_are_refused(good):
    buffer = io.BytesIO()
    np.save(buffer, np.array([{}], dtype=object), allow_pickle=True)
    path = rewritten(good, lambda name, data: buffer.getvalue() if name == "joints.npy" else data)
    refused(path, "not a readable .npy")


def test_an_image_that_is_no_png_or_of_another_kind_is_refused(good, samples):
    path = rewritten(good, lambda name, data: b"GIF89a" * 10 if name == "albedo.png" else data)
    refused(path, "'albedo.png' is not a PNG")
    grey = samples.encode_png(np.zeros((64, 64), np.uint8))
    path = rewritten(good, lambda name, data: grey if name == "albedo.png" else data)
    refused(path, "must be a PNG with 3 channels")


def test_unpacking_more_than_the_limit_is_refused_even_when_the_sizes_lie(good, monkeypatch):
    monkeypatch.setattr(avatar_reader, "MAX_UNPACKED", 200_000)
    refused(good, "more than 1 GiB")


def test_names_that_lead_out_of_the_archive_are_refused(good):
    for name in ("../x", "/x", "a\\b", "C:x"):
        with zipfile.ZipFile(good) as source, zipfile.ZipFile(good.with_name("evil.meshlam"), "w") as archive:
            for member in source.namelist():
                archive.writestr(member, source.read(member))
            archive.writestr(zipfile.ZipInfo(name), b"")
        refused(good.with_name("evil.meshlam"), "leads out of the archive")


@pytest.mark.parametrize("keep", [0, 10, 1000, -1])
def test_a_truncated_file_is_refused(good, keep):
    path = good.with_name("short.meshlam")
    path.write_bytes(good.read_bytes()[:keep])
    refused(path, "not an avatar file or is damaged")


def test_a_flipped_byte_is_noticed(good):
    data = bytearray(good.read_bytes())
    data[len(data) // 3] ^= 0xFF
    path = good.with_name("flipped.meshlam")
    path.write_bytes(bytes(data))
    refused(path, "damaged|not a readable|cannot be used")


def test_a_missing_file_is_an_avatar_file_error(tmp_path):
    refused(tmp_path / "gone.meshlam", "cannot be read")
