from __future__ import annotations

import contextlib
import io
import json
import struct
import zipfile
from collections.abc import Callable
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from meshlam_core.avatar import io as avatar_io
from meshlam_core.avatar.io import read_avatar, write_avatar
from meshlam_core.avatar.record import Avatar, Fold
from meshlam_core.avatar.schema import ARRAYS, IMAGES
from meshlam_core.commands import info
from meshlam_core.errors import BadAvatar, InputError, UnreadableInput, UsageError
from tests.sample_avatar import make_avatar

Members = dict[str, bytes]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "Zoë’s head 头.meshlam"


def _members(path: Path) -> Members:
    with zipfile.ZipFile(path) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def _pack(path: Path, members: Members) -> None:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members.items():
            archive.writestr(name, data)


def _npy(array: Any, **options: Any) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, array, **options)
    return buffer.getvalue()


def _same(a: Any, b: Any) -> bool:
    if isinstance(a, np.ndarray):
        return a.dtype == b.dtype and np.array_equal(a, b)
    return bool(a == b)


def test_an_avatar_comes_back_from_its_file_bit_by_bit(path: Path, sample_avatar: Avatar) -> None:
    write_avatar(sample_avatar, path)
    back = read_avatar(path)
    for item in fields(Avatar):
        if item.name != "photo":
            assert _same(getattr(sample_avatar, item.name), getattr(back, item.name)), item.name
    for name, value in vars(sample_avatar.photo).items():
        assert _same(value, getattr(back.photo, name)), name


def test_pose_correctives_are_kept_when_there_are_any(path: Path, sample_avatar: Avatar) -> None:
    correctives = np.zeros((36, len(sample_avatar.vertices), 3), np.float32)
    correctives[7, 3] = 0.25
    write_avatar(replace(sample_avatar, pose_correctives=correctives), path)
    assert np.array_equal(read_avatar(path).pose_correctives, correctives)


def test_the_hair_is_kept_when_there_is_any(path: Path, sample_avatar: Avatar) -> None:
    hair = np.random.default_rng(0).normal(size=sample_avatar.vertices.shape).astype(np.float32)
    write_avatar(replace(sample_avatar, hair=hair), path)
    assert np.array_equal(read_avatar(path).hair, hair)


def test_where_the_texels_come_from_is_kept_and_may_be_missing(path: Path, sample_avatar: Avatar) -> None:
    trust = np.zeros((64, 64, 4), np.uint8)
    trust[..., 0], trust[..., 1], trust[..., 3] = 100, 55, 100
    write_avatar(replace(sample_avatar, trust=trust), path)
    assert np.array_equal(read_avatar(path).trust, trust)
    assert info.describe(read_avatar(path))["trust"] == {
        "seen": 0.3922, "mirrored": 0.2157, "model": 0.0, "network": 0.3922,
    }  # fmt: skip
    write_avatar(sample_avatar, path)
    assert read_avatar(path).trust is None
    assert info.describe(read_avatar(path))["trust"] is None


def test_the_uncertainty_is_kept_and_told_in_millimetres(path: Path, sample_avatar: Avatar) -> None:
    told = np.where(sample_avatar.part == 0, 0.002, 0.01).astype(np.float32)
    write_avatar(replace(sample_avatar, uncertainty=told), path)
    back = read_avatar(path)
    assert np.array_equal(back.uncertainty, told)
    assert info.describe(back)["uncertainty_mm"] == {"face": 2.0, "scalp": 10.0}
    with pytest.raises(BadAvatar, match="uncertainty: expected no negative length"):
        write_avatar(replace(sample_avatar, uncertainty=-told), path)


def test_the_same_avatar_gives_the_same_bytes(tmp_path: Path) -> None:
    write_avatar(make_avatar(), tmp_path / "a")
    write_avatar(make_avatar(), tmp_path / "b")
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_the_file_is_what_the_format_says_without_our_reader(path: Path, sample_avatar: Avatar) -> None:
    write_avatar(sample_avatar, path)
    members = _members(path)
    described = json.loads(members["avatar.json"])
    assert (described["format"], described["version"]) == ("meshlam-avatar", 1)
    assert set(members) == {"avatar.json"} | {
        entry["file"] for kind in ("arrays", "images") for entry in described[kind].values()
    }
    for name, entry in described["arrays"].items():
        array = np.load(io.BytesIO(members[entry["file"]]), allow_pickle=False)
        assert (list(array.shape), array.dtype.name) == (entry["shape"], entry["dtype"]), name
        assert entry["meaning"]
        assert entry["units"]
    with Image.open(io.BytesIO(members["albedo.png"])) as image:
        assert np.array_equal(np.array(image), sample_avatar.albedo)
    assert described["blendshape_ranges"][0] == [0, 1]


def test_the_format_page_names_every_array_and_image() -> None:
    page = Path(avatar_io.__file__).with_name("AVATAR_FORMAT.md").read_text("utf-8")
    for spec in ARRAYS:
        row = next(line for line in page.splitlines() if line.startswith(f"| `{spec.name}` |"))
        shape = ",".join(map(str, spec.dims))
        assert f"[{shape}] {np.dtype(spec.dtype).name}" in row
    for image in IMAGES:
        assert f"| `{image.name}` | `{image.file}` | {image.mode}" in page


@pytest.mark.parametrize("shape", [(1, 1), (3, 5), (7, 4, 3), (5, 2, 4)])
def test_the_png_writer_is_read_back_exactly_by_others(shape: tuple[int, ...]) -> None:
    image = np.random.default_rng(1).integers(0, 256, shape, np.uint8)
    with Image.open(io.BytesIO(avatar_io.encode_png(image))) as read:
        assert np.array_equal(np.array(read), image)


# ---- writing


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"vertices": np.full((534, 3), np.nan, np.float32)}, "vertices: expected finite numbers, found nan"),
        ({"vertices": np.zeros((534, 3))}, "vertices: expected dtype <f4, found <f8"),
        ({"joint_names": ("root",)}, "joint_names: expected 5 entries"),
        ({"joint_parents": (-1, 0, 3, 1, 1)}, "joint_parents: expected a joint before joint 2, found 3"),
        ({"joint_parents": (0, 0, 1, 1, 1)}, "joint_parents: expected -1"),
        ({"parts": ("face", "scalp")}, "part: expected indices from 0 to 1, found 2"),
        ({"parts": ("face", "scalp", "face")}, "parts: expected different names, found 'face' more than once"),
        ({"blendshape_kind": "guess"}, "blendshape_kind"),
        ({"blendshape_ranges": np.ones((52, 2), np.float32)}, "blendshape_ranges"),
        ({"albedo": np.zeros((4, 4, 4), np.uint8)}, "albedo.png: expected 8-bit RGB"),
        ({"albedo_seen": np.zeros((4, 4), np.uint8)}, "albedo_seen.png: expected the size of albedo.png"),
        ({"trust": np.zeros((4, 4, 4), np.uint8)}, "trust.png: expected the size of albedo.png"),
        (
            {"trust": np.full((64, 64, 4), 65, np.uint8)},
            r"trust.png: expected four shares that sum to 255, found 260 at",
        ),
        ({"thumbnail": np.zeros((64, 64, 4), np.uint8)}, "thumbnail.png: expected 256 x 256"),
        ({"weights": np.ones((534, 5), np.float32)}, "weights: .* found a row"),
        ({"pose_correctives": np.zeros((35, 534, 3), np.float32)}, "pose_correctives: expected shape"),
    ],
)
def test_an_avatar_that_breaks_a_rule_is_not_written(path: Path, change: dict[str, Any], words: str) -> None:
    with pytest.raises(BadAvatar, match=words):
        write_avatar(make_avatar(**change), path)
    assert list(path.parent.iterdir()) == []


def test_a_failed_write_leaves_the_old_file_and_nothing_else(
    path: Path, sample_avatar: Avatar, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_avatar(sample_avatar, path)
    before = path.read_bytes()

    def disk_full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(zipfile.ZipFile, "writestr", disk_full)
    with pytest.raises(UsageError, match="No space left on device"):
        write_avatar(sample_avatar, path)
    assert path.read_bytes() == before
    assert list(path.parent.iterdir()) == [path]


def test_an_output_that_cannot_be_written_is_named(tmp_path: Path, sample_avatar: Avatar) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(UsageError, match="there is no folder") as caught:
        write_avatar(sample_avatar, tmp_path / "file" / "head.meshlam")
    assert caught.value.exit_code == 2
    with pytest.raises(UsageError, match="is a folder; a file name was expected"):
        write_avatar(sample_avatar, tmp_path)


# ---- refusing


def _edit_json(**changes: Any) -> Callable[[Members], None]:
    def edit(members: Members) -> None:
        content = json.loads(members["avatar.json"]) | changes
        content = {key: value for key, value in content.items() if value is not Ellipsis}
        members["avatar.json"] = json.dumps(content).encode()

    return edit


def _edit_array(name: str, make: Callable[[np.ndarray], Any], **options: Any) -> Callable[[Members], None]:
    def edit(members: Members) -> None:
        members[f"{name}.npy"] = _npy(make(np.load(io.BytesIO(members[f"{name}.npy"]))), **options)

    return edit


def _set(name: str, data: bytes | None) -> Callable[[Members], None]:
    def edit(members: Members) -> None:
        if data is None:
            del members[name]
        else:
            members[name] = data

    return edit


def _png(mode: str, size: tuple[int, int], **options: Any) -> bytes:
    buffer = io.BytesIO()
    Image.new(mode, size).save(buffer, "PNG", **options)
    return buffer.getvalue()


def _broken_index(faces: np.ndarray) -> np.ndarray:
    faces[5, 1] = 534
    return faces


def _negative_index(faces: np.ndarray) -> np.ndarray:
    faces[5, 1] = -1
    return faces


HUGE_PNG = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR" + struct.pack(">IIBBBBB", 60000, 60000, 8, 2, 0, 0, 0) + bytes(4)


@pytest.mark.parametrize(
    ("edit", "words"),
    [
        (_edit_json(format="other"), 'avatar.json: expected "format"'),
        (_edit_json(version=2), r"version: expected 1, found 2\. The file is newer"),
        (_edit_json(version=True), "version: expected 1, found True"),
        (_edit_json(version="1"), "version: expected 1, found '1'"),
        (_edit_json(parts=...), "avatar.json, parts: expected this key, found none"),
        (_edit_json(parts=[1, 2, 3]), "parts: expected a list of names"),
        (_edit_json(joint_parents=[-1, 0, 1, 1]), "joint_parents: expected 5 entries"),
        (_edit_json(joint_parents=["a"] * 5), "joint_parents: expected a list of whole numbers"),
        (_edit_json(blendshape_names=["a"] * 51), "blendshape_names: expected 52 entries.*found 51"),
        (_edit_json(blendshape_ranges=[["a", "b"]]), "blendshape_ranges: expected pairs of numbers"),
        (_edit_json(blendshape_kind=[]), "blendshape_kind: expected arkit or flame"),
        (_edit_json(provenance=[]), "provenance: expected an object"),
        (_set("avatar.json", b"{"), "avatar.json: expected JSON"),
        (_set("avatar.json", b"[" * 200_000), "avatar.json: expected JSON"),
        (_set("avatar.json", b"[]"), 'avatar.json: expected "format"'),
        (_set("avatar.json", None), "avatar.json: expected this member, found none"),
        (_set("weights.npy", None), "weights.npy: expected this member, found none"),
        (_set("weights.npy", b"not npy"), "weights: expected an npy array"),
        (_set("albedo.png", None), "albedo.png: expected this member, found none"),
        (_set("albedo.png", b"GIF89a" + bytes(40)), "albedo.png: expected a PNG"),
        (_set("albedo.png", HUGE_PNG), "albedo.png: expected sides of 1 to 8192 pixels, found 60000 x 60000"),
        (_set("albedo.png", _png("L", (64, 64))), "albedo.png: expected a plain PNG of 8-bit RGB"),
        (_set("albedo.png", _png("RGB", (64, 64))[:50]), "albedo.png: expected a PNG, found damage"),
        (_set("albedo_seen.png", _png("L", (32, 64))), "albedo_seen.png: expected the size of albedo.png"),
        (_edit_array("vertices", lambda a: a[:, :2]), r"vertices: expected shape \[V 3\], found \[534 2\]"),
        (_edit_array("vertices", lambda a: a[:-1]), r"part: expected shape \[V\] = \[533\], found \[534\]"),
        (_edit_array("vertices", lambda a: a.astype(">f4")), "vertices: expected a dtype of .* found >f4"),
        (_edit_array("vertices", lambda a: a.astype("f8")), "vertices: expected a dtype of .* found <f8"),
        (_edit_array("vertices", lambda a: a.astype(object), allow_pickle=True), "vertices: .* found |O"),
        (_edit_array("vertices", np.asfortranarray), "vertices: expected C memory order"),
        (_edit_array("vertices", lambda a: a[:0]), "vertices: expected shape"),
        (_edit_array("vertices", lambda a: np.full_like(a, np.inf)), "vertices: expected finite numbers"),
        (_edit_array("blendshapes", lambda a: a + np.float32(np.nan)), "blendshapes: expected finite numbers"),
        (_edit_array("faces", _broken_index), "faces: expected indices from 0 to 533, found 534"),
        (_edit_array("uv_faces", _negative_index), "uv_faces: expected indices from 0 to 658, found -1"),
        (_edit_array("weights", lambda a: a * 2), "weights: expected no negative weight and rows that sum to 1"),
        (_edit_array("photo_focal", lambda a: -a), "photo_focal: expected a focal length above 0"),
        (_edit_array("photo_size", lambda a: 0 * a), "photo_size: expected width and height"),
        (_edit_array("photo_crop", lambda a: a[[2, 3, 0, 1]]), "photo_crop: expected x0 < x1"),
        (_set("../evil.npy", b""), "expected a plain relative name"),
        (_set("/etc/evil", b""), "expected a plain relative name"),
        (_set("C:evil", b""), "expected a plain relative name"),
        (_set("a\\b", b""), "expected a plain relative name"),
    ],
)
def test_a_file_that_breaks_a_rule_is_refused_in_one_sentence(
    path: Path, sample_avatar: Avatar, edit: Callable[[Members], None], words: str
) -> None:
    write_avatar(sample_avatar, path)
    members = _members(path)
    edit(members)
    _pack(path, members)
    with pytest.raises(BadAvatar, match=words) as caught:
        read_avatar(path)
    assert caught.value.message.startswith(path.name)
    assert caught.value.exit_code == 3
    assert "\n" not in str(caught.value)


def test_unknown_members_and_keys_are_ignored(path: Path, sample_avatar: Avatar) -> None:
    write_avatar(sample_avatar, path)
    members = _members(path)
    _edit_json(colour="blue")(members)
    _pack(path, members | {"notes.txt": b"hello"})
    assert read_avatar(path).parts == sample_avatar.parts


def test_a_member_that_occurs_twice_is_refused(path: Path, sample_avatar: Avatar) -> None:
    write_avatar(sample_avatar, path)
    with zipfile.ZipFile(path, "a") as archive, pytest.warns(UserWarning, match="Duplicate name"):
        archive.writestr("faces.npy", b"")
    with pytest.raises(BadAvatar, match=r"member 'faces\.npy': expected every member once"):
        read_avatar(path)


def test_an_encrypted_member_is_refused(path: Path, sample_avatar: Avatar) -> None:
    write_avatar(sample_avatar, path)
    data = bytearray(path.read_bytes())
    data[data.index(b"PK\x01\x02") + 8] |= 1  # the flag in the archive's directory
    path.write_bytes(data)
    with pytest.raises(BadAvatar, match="expected no encryption"):
        read_avatar(path)


def test_an_archive_that_claims_to_unpack_to_more_than_a_gibibyte_is_refused_unread(
    path: Path, sample_avatar: Avatar
) -> None:
    write_avatar(sample_avatar, path)
    data = bytearray(path.read_bytes())
    entry = data.index(b"PK\x01\x02")
    data[entry + 24 : entry + 28] = struct.pack("<I", (1 << 30) + 1)
    path.write_bytes(data)
    with pytest.raises(BadAvatar, match="at most 1073741824 bytes unpacked"):
        read_avatar(path)


def test_a_member_that_unpacks_to_more_than_it_claims_is_cut_off_and_refused(path: Path, sample_avatar: Avatar) -> None:
    write_avatar(sample_avatar, path)
    _pack(path, _members(path) | {"faces.npy": bytes(20_000_000)})
    data = bytearray(path.read_bytes())
    name = data.index(b"faces.npy", data.index(b"PK\x01\x02"))  # in the directory, 46 bytes into its entry
    assert data[name - 46 : name - 42] == b"PK\x01\x02"
    data[name - 22 : name - 18] = struct.pack("<I", 1000)
    path.write_bytes(data)
    with pytest.raises(BadAvatar, match="expected an undamaged avatar file"):
        read_avatar(path)


def test_a_missing_file_and_a_folder_are_unreadable(tmp_path: Path) -> None:
    for bad in (tmp_path / "no.meshlam", tmp_path):
        with pytest.raises(UnreadableInput, match="cannot be read"):
            read_avatar(bad)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_damage_anywhere_gives_a_refusal_or_a_valid_avatar(path: Path, data: st.DataObject) -> None:
    if not path.exists():
        write_avatar(make_avatar(6, 8, 8), path)
    whole = path.read_bytes()
    cut = data.draw(st.integers(0, len(whole)))
    start = data.draw(st.integers(0, len(whole)))
    junk = data.draw(st.binary(max_size=40))
    damaged = path.with_name("damaged")
    damaged.write_bytes(whole[:start] + junk + whole[start + len(junk) :] if cut % 2 else whole[:cut])
    with contextlib.suppress(InputError):
        read_avatar(damaged)


def test_a_texture_without_light_travels_with_the_photos_and_its_light(path: Path, sample_avatar: Avatar) -> None:
    light = np.linspace(-1, 1, 27, dtype=np.float32).reshape(9, 3)
    lit = sample_avatar.albedo[::-1].copy()
    outline = np.random.default_rng(0).integers(0, 256, (16, 16, 4)).astype(np.uint8)
    write_avatar(replace(sample_avatar, albedo_photo=lit, light=light, outline=outline), path)
    back = read_avatar(path)
    assert back.outline is not None
    np.testing.assert_array_equal(back.outline, outline)
    assert back.albedo_photo is not None
    assert back.light is not None
    np.testing.assert_array_equal(back.albedo_photo, lit)
    np.testing.assert_array_equal(back.light, light)


def test_the_photos_texture_must_have_the_size_of_the_other(path: Path, sample_avatar: Avatar) -> None:
    with pytest.raises(BadAvatar, match=r"albedo_photo\.png: expected the size of albedo\.png"):
        write_avatar(replace(sample_avatar, albedo_photo=sample_avatar.albedo[::2]), path)


def _with_fold(avatar: Avatar, **changes: Any) -> Avatar:
    picture = np.full((16, 16, 3), 140, np.uint8)
    fold = Fold("smile", avatar.blendshape_names[:2], 0.6, picture)
    return replace(avatar, folds=(replace(fold, **changes),))


def test_the_folds_of_an_expression_travel_with_their_keys(path: Path, sample_avatar: Avatar) -> None:
    wanted = _with_fold(sample_avatar)
    write_avatar(wanted, path)
    (fold,) = read_avatar(path).folds
    np.testing.assert_array_equal(fold.picture, wanted.folds[0].picture)
    assert (fold.name, fold.keys, fold.at) == ("smile", sample_avatar.blendshape_names[:2], 0.6)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"keys": ("grin",)}, "keys that the avatar has"),
        ({"keys": ()}, "keys that the avatar has"),
        ({"at": 0.0}, "a coefficient above 0"),
        ({"name": "../smile"}, "different names of small letters"),
        ({"picture": np.zeros((4, 4), np.uint8)}, "8-bit RGB"),
    ],
)
def test_folds_that_nothing_drives_are_refused(
    path: Path, sample_avatar: Avatar, changes: dict[str, Any], reason: str
) -> None:
    with pytest.raises(BadAvatar, match=reason):
        write_avatar(_with_fold(sample_avatar, **changes), path)


def test_the_surface_maps_travel(path: Path, sample_avatar: Avatar) -> None:
    orm, normal = np.full((32, 32, 3), (255, 120, 0), np.uint8), np.full((16, 16, 3), (128, 128, 255), np.uint8)
    write_avatar(replace(sample_avatar, orm=orm, normal=normal), path)
    back = read_avatar(path)
    assert back.orm is not None
    assert back.normal is not None
    np.testing.assert_array_equal(back.orm, orm)
    np.testing.assert_array_equal(back.normal, normal)
