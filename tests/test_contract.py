"""Across the boundary: what the reconstructor writes and says, the add-on reads and understands.

The two share no code, so their agreement is tested here.
"""

from __future__ import annotations

import dataclasses
import json
import tomllib
from pathlib import Path

import numpy as np
import pytest

import meshlam_core
from blender_addon import avatar_reader, worker_client
from meshlam_core.avatar import io as avatar_io
from meshlam_core.avatar.record import Avatar
from meshlam_core.worker import protocol
from tests.addon.conftest import load_samples

ROOT = Path(__file__).parents[1]
REPLIES = {
    "ready": protocol.Ready("0.1", "cpu", ["small"], {"face_landmarker.task": "ok"}),
    "progress": protocol.ProgressReport("7", "texture", 0.5, "Élodie"),
    "done": protocol.Done("7", {"avatar": "a.meshlam", "warnings": []}),
    "failed": protocol.Failed("7", "no_face", "No face.", "Another photo.", "Traceback"),
    "cancelled": protocol.CancelledJob("7"),
}


def test_both_sides_speak_the_same_protocol():
    assert worker_client.PROTOCOL == protocol.PROTOCOL
    assert worker_client.MAX_LINE == protocol.MAX_LINE
    assert set(worker_client.REPLIES) == set(protocol.REPLIES)
    for kind, theirs in protocol.REPLIES.items():
        ours = worker_client.REPLIES[kind]
        assert [item.name for item in dataclasses.fields(ours)] == [item.name for item in dataclasses.fields(theirs)]


@pytest.mark.parametrize("kind", sorted(REPLIES))
def test_every_reply_of_the_worker_arrives_whole(kind):
    reply = worker_client.decode(protocol.encode(REPLIES[kind]))
    assert type(reply) is worker_client.REPLIES[kind]
    assert dataclasses.asdict(reply) == dataclasses.asdict(REPLIES[kind])


def test_the_worker_understands_every_request_of_the_add_on():
    options = {"face": 0, "texture_size": 2048, "device": "auto", "preset": "small"}
    requests = [
        worker_client.encode("hello", protocol=worker_client.PROTOCOL),
        worker_client.encode("reconstruct", id="7", photo="/a b/É.jpg", out="/o.meshlam", options=options),
        worker_client.encode("record", id="8", out="/o.mp4", options={"camera": "0", "seconds": 10.0}),
        worker_client.encode("cancel", id="7"),
        worker_client.encode("shutdown"),
    ]
    kinds = [type(protocol.decode_request(line)) for line in requests]
    assert kinds == [protocol.Hello, protocol.Reconstruct, protocol.Record, protocol.Cancel, protocol.Shutdown]


def test_the_extension_keeps_to_blenders_rules_and_to_the_packages_version():
    manifest = tomllib.loads((ROOT / "blender_manifest.toml").read_text(encoding="utf-8"))
    assert manifest["version"] == meshlam_core.__version__
    assert manifest["blender_version_min"] == "4.2.0"
    assert "blender" not in manifest["name"].lower()
    for text in (manifest["tagline"], *manifest["permissions"].values()):
        assert len(text) <= 64
        assert text[-1].isalnum()


def test_the_file_the_core_writes_is_the_file_the_add_on_reads(tmp_path, sample_avatar: Avatar):
    path = tmp_path / "Élodie 1.meshlam"
    avatar_io.write_avatar(sample_avatar, path)
    read = avatar_reader.read_avatar(path)
    for item in ("vertices", "faces", "uvs", "uv_faces", "part", "joints", "weights", "blendshapes"):
        np.testing.assert_array_equal(getattr(read, item), getattr(sample_avatar, item), err_msg=item)
    for item in ("parts", "joint_names", "joint_parents", "blendshape_names", "blendshape_kind"):
        assert getattr(read, item) == getattr(sample_avatar, item)
    np.testing.assert_array_equal(read.blendshape_ranges, sample_avatar.blendshape_ranges)
    photo = sample_avatar.photo
    assert read.photo_focal == pytest.approx(photo.focal)
    for item in ("centre", "size", "rotations", "translation", "expression", "crop"):
        np.testing.assert_array_equal(getattr(read, f"photo_{item}"), getattr(photo, item), err_msg=item)
    height, width = sample_avatar.albedo.shape[:2]
    assert (read.albedo.width, read.albedo.height) == (width, height)
    assert json.dumps(read.provenance, sort_keys=True) == json.dumps(sample_avatar.provenance, sort_keys=True)


def test_hair_arrives_on_both_sides(tmp_path, sample_avatar: Avatar):
    lifted = np.float32(0.01) * (sample_avatar.vertices[:, 1:2] > 0.2) * np.float32([0, 1, 0])
    with_hair = dataclasses.replace(sample_avatar, hair=lifted.astype(np.float32))
    avatar_io.write_avatar(with_hair, tmp_path / "hair.meshlam")
    np.testing.assert_array_equal(avatar_reader.read_avatar(tmp_path / "hair.meshlam").hair, with_hair.hair)
    samples = load_samples()
    sample = samples.make_sample(hair=True)
    read = avatar_io.read_avatar(samples.write_sample(tmp_path / "sample.meshlam", sample))
    np.testing.assert_array_equal(read.hair, sample.arrays["hair"])


def test_the_core_reads_the_sample_that_the_add_ons_tests_use(tmp_path):
    samples = load_samples()
    path = samples.write_sample(tmp_path / "sample.meshlam", samples.make_sample(correctives=True))
    read = avatar_io.read_avatar(path)
    assert read.blendshape_names == samples.ARKIT_NAMES
    assert read.pose_correctives is not None
