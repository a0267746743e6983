"""What an export writes takes its place whole or not at all; cut-off files are noticed."""

from __future__ import annotations

import errno
import json
import struct
import zipfile
from pathlib import Path

import pytest

from blender_addon.exporting.files import ExportError, complete, reason_of_text, whole_or_nothing
from blender_addon.exporting.options import PRESETS, file_stem, level_path, spelt, target_path
from blender_addon.exporting.record import CONSENT, origin, write_into_glb


def glb(content: dict, binary: bytes = b"\1\2\3\4") -> bytes:
    text = json.dumps(content).encode()
    text += b" " * (-len(text) % 4)
    body = struct.pack("<I", len(text)) + b"JSON" + text + struct.pack("<I", len(binary)) + b"BIN\0" + binary
    return struct.pack("<4sII", b"glTF", 2, 12 + len(body)) + body


def test_what_was_written_lies_beside_the_target_and_the_folder_is_gone(tmp_path):
    target = tmp_path / "a.glb"
    with whole_or_nothing(target) as folder:
        (folder / "a.glb").write_bytes(glb({"asset": {}}))
        (folder / "textures").mkdir()
        (folder / "textures" / "t.usda").write_text("#usda 1.0\n")
    assert sorted(str(item.relative_to(tmp_path)) for item in tmp_path.rglob("*")) == [
        "a.glb",
        "textures",
        "textures/t.usda",
    ]


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EROFS, errno.EACCES])
def test_an_error_half_way_keeps_the_old_file_and_leaves_nothing(tmp_path, number):
    target = tmp_path / "a.glb"
    target.write_bytes(b"old")

    def half_way() -> None:
        with whole_or_nothing(target) as folder:
            (folder / "a.glb").write_bytes(b"ne")
            raise OSError(number, "x")

    with pytest.raises(ExportError, match=r"a\.glb cannot be written: .+\.$") as caught:
        half_way()
    assert "\n" not in str(caught.value)
    assert [(item.name, item.read_bytes()) for item in tmp_path.iterdir()] == [("a.glb", b"old")]


def test_a_traceback_in_an_exporters_message_becomes_its_reason(tmp_path):
    text = (
        'Error: Python: Traceback (most recent call last):\n  File "x"\nOSError: [Errno 28] No space left on device\n'
    )
    assert reason_of_text(text) == "the disk is full"
    assert (
        reason_of_text("Error: Python: Traceback\n  File\nValueError: odd mesh\nLocation: x\n")
        == "ValueError: odd mesh"
    )
    with pytest.raises(ExportError, match="the disk is full"), whole_or_nothing(tmp_path / "a.glb"):
        raise RuntimeError(text)
    assert list(tmp_path.iterdir()) == []


def whole_files(folder: Path) -> dict[str, bytes]:
    with zipfile.ZipFile(folder / "z", "w") as archive:
        archive.writestr("x.usdc", b"content")
    fbx_end = bytes.fromhex("f85a8c6adef5d97eece90ce3758f290b")
    return {
        ".glb": glb({"asset": {}}),
        ".ply": b"ply\nelement vertex 2\nproperty float x\nproperty int t\nend_header\n" + b"\1" * 16,
        ".png": b"\x89PNG\r\n\x1a\n" + b"\0" * 20 + b"IEND\xaeB`\x82",
        ".usdz": (folder / "z").read_bytes(),
        ".usdc": b"PXR-USDC" + b"\0" * 8 + struct.pack("<q", 50) + b"\0" * 26 + struct.pack("<Q", 2) + b"\0" * 64,
        ".stl": b"\0" * 80 + struct.pack("<I", 2) + b"\0" * 100,
        ".fbx": b"Kaydara FBX Binary  \0" + b"\0" * 50 + fbx_end,
    }


@pytest.mark.parametrize("suffix", [".glb", ".png", ".usdz", ".usdc", ".stl", ".fbx", ".ply"])
def test_a_file_that_ends_early_is_noticed(tmp_path, suffix):
    data = whole_files(tmp_path)[suffix]
    path = tmp_path / f"a{suffix}"
    path.write_bytes(data)
    assert complete(path)
    for size in (0, 10, len(data) // 2, len(data) - 1):
        path.write_bytes(data[:size])
        assert not complete(path), size


def test_a_cut_off_texture_takes_nothing_to_its_place(tmp_path):
    def cut_off() -> None:
        with whole_or_nothing(tmp_path / "a.glb") as folder:
            (folder / "a.glb").write_bytes(glb({"asset": {}}))
            (folder / "t.png").write_bytes(b"\x89PNG\r\n\x1a\n123")

    with pytest.raises(ExportError, match="cannot be written"):
        cut_off()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("typed", "suffix", "name"),
    [
        ("head.v2", ".glb", "head.v2.glb"),
        ("head.v2.glb", ".fbx", "head.v2.fbx"),
        ("Ada.GLB", ".usdz", "Ada.usdz"),
        ("Ada Lovelace", ".stl", "Ada Lovelace.stl"),
        (".glb", ".glb", "head.glb"),
    ],
)
def test_the_typed_name_is_kept_and_gets_the_formats_ending(typed, suffix, name):
    assert target_path(Path("/x") / typed, suffix) == Path("/x") / name


def test_a_heads_name_becomes_a_file_name():
    assert file_stem('Ada "A" v1.2: left/right') == "Ada _A_ v1.2_ left_right"
    assert file_stem(" ... ") == "head"
    assert level_path(Path("a.v2.glb"), 2) == Path("a.v2_LOD2.glb")


@pytest.mark.parametrize(
    ("name", "pascal", "meta"),
    [
        ("jawOpen", "JawOpen", "jawOpen"),
        ("eyeBlinkLeft", "EyeBlinkLeft", "eyeBlink_L"),
        ("mouthRight", "MouthRight", "mouthRight"),
    ],
)
def test_keys_are_spelt_as_the_program_wants(name, pascal, meta):
    assert spelt(name, "arkit") == name
    assert spelt(name, "pascal") == pascal
    assert spelt(name, "meta") == meta


@pytest.mark.parametrize(
    ("name", "control"),
    [
        ("jawOpen", "jawOpen"),
        ("eyeBlinkLeft", "eyeBlinkL"),
        ("mouthSmileRight", "mouthCornerPullR"),
        ("jawLeft", "jawLeft"),
    ],
)
def test_metahumans_controls_have_their_own_names(name, control):
    assert spelt(name, "metahuman") == f"CTRL_expressions_{control}"


def test_every_preset_writes_a_format_there_is():
    assert {preset.suffix for preset in PRESETS.values()} <= {".glb", ".fbx", ".usdc", ".usdz", ".stl", ".ply"}


def test_the_glb_tells_where_it_comes_from_and_stays_whole(tmp_path):
    path = tmp_path / "a.glb"
    path.write_bytes(glb({"asset": {"version": "2.0"}}))
    told = origin({"photo_sha256": "ab", "head_licence": "CC0-1.0", "weights": None, "timings": {}}, "")
    write_into_glb(path, told)
    assert complete(path)
    data = path.read_bytes()
    length = struct.unpack("<I", data[12:16])[0]
    content = json.loads(data[20 : 20 + length])
    assert content["asset"]["extras"]["meshlam"] == {
        "photo_sha256": "ab", "head_licence": "CC0-1.0", "consent": CONSENT, "generator": "MeshLAM",
    }  # fmt: skip
    assert data[20 + length :] == glb({})[-12:]
