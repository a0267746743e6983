"""Portraits and clips become shards: on one machine, over Ray, past what is broken, and after a kill."""

from __future__ import annotations

import errno
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterable
from pathlib import Path

import av
import numpy as np
import pytest
import torch
from PIL import Image

from meshlam_core.errors import UsageError
from meshlam_core.head.model import HeadModel
from meshlam_core.model.render import animate
from meshlam_core.raster.project import project
from tests.faces import portrait
from training.data import collect as collecting
from training.data import shards
from training.data.collect import Collector, collect, find_people
from training.data.shards import Item, find_shards, read_shard, shard_path
from training.data.spread import spread
from training.pictures.people import People, item_of, look_at_clip, read_frames
from training.pictures.portraits import look_at
from training.splits import held_out

ROOT = Path(__file__).resolve().parents[3]
STEP = 4  # px that the camera moves between two frames of the clip


def shown(index: int) -> np.ndarray:
    """A frame of a clip: the portrait, moved to the left as the camera turns."""
    pixels = np.array(portrait(512).convert("RGB"))
    return np.ascontiguousarray(pixels[:, STEP * index : pixels.shape[1] - 40 + STEP * index])


def save_frames(folder: Path, frames: Iterable[np.ndarray]) -> Path:
    """A clip in VFHQ's layout."""
    folder.mkdir(parents=True)
    for index, pixels in enumerate(frames):
        Image.fromarray(pixels).save(folder / f"{index:08d}.png")
    return folder


@pytest.fixture(scope="module")
def people(assets: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A portrait, a clip, and many that cannot be used."""
    folder = tmp_path_factory.mktemp("people")
    names = [f"person{i}.png" for i in range(40)]
    learnt, kept = next(n for n in names if not held_out(n)), next(n for n in names if held_out(n))
    for name in (learnt, kept):
        portrait(512).save(folder / name)
    (folder / "broken.jpg").write_bytes((folder / learnt).read_bytes()[:5000])
    Image.fromarray(np.full((300, 300, 3), 90, np.uint8)).save(folder / "nobody.jpg")
    save_frames(folder / "Clip+a+P0+C0+F1-6", map(shown, range(6)))
    (folder / "Clip+a+P0+C0+F1-6" / "00000002.png").write_bytes(b"no picture")
    save_frames(folder / "Clip+empty", [])
    (folder / "cut.mp4").write_bytes(b"no video" * 90)
    return folder


@pytest.fixture(scope="module")
def made(people: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("shards")
    assert collect(find_people(people), Collector(out, None, 3)) == (2, 4)
    return out


def test_people_become_samples_and_what_is_broken_is_named(people: Path, made: Path) -> None:
    keys = [item.key for item in read_shard(shard_path(made, 0))]
    assert keys[0] == "Clip+a+P0+C0+F1-6"
    assert len(keys) == 2
    assert not any(map(held_out, keys))
    told = shard_path(made, 0).with_suffix(".txt").read_text().splitlines()
    assert [line.split(":")[0] for line in told] == ["Clip+empty", "broken.jpg", "cut.mp4", "nobody.jpg"]
    assert "holds no frames" in told[0]
    assert "No face was found" in told[3]


def test_what_is_read_again_is_what_the_pipeline_saw(people: Path, made: Path, head: HeadModel) -> None:
    path = next(path for path in find_people(people) if path.stem.startswith("person"))
    item = next(item for item in read_shard(shard_path(made, 0)) if item.key == path.stem)
    (stored,) = read_frames(item)
    seen = look_at(path, Collector(made, None, 3).detector, head)
    for name in ("vertices", "joints", "rotations", "translation", "expression", "borders"):
        torch.testing.assert_close(getattr(stored.photo, name), getattr(seen.photo, name))
    assert stored.photo.cameras == seen.photo.cameras
    assert float((stored.photo.image - seen.photo.image).abs().mean()) < 0.01  # JPEG
    assert float((stored.masks - seen.masks).abs().max()) <= 0.51 / 255


def test_other_frames_of_a_clip_show_the_source_where_it_is_there(made: Path, head: HeadModel) -> None:
    source, *others = read_frames(next(read_shard(shard_path(made, 0))))
    assert len(others) == 2
    for frame in others:
        assert torch.equal(frame.photo.vertices, source.photo.vertices)  # the head is the source's
        posed = project(animate(frame.photo.vertices, rig_of(head), frame.photo), frame.photo.cameras)
        chin = float(head.landmarks(posed[0].numpy())[152, 1])
        assert chin == pytest.approx(frame.chin, abs=4)


def rig_of(head: HeadModel):  # type: ignore[no-untyped-def]
    from training.rigs import training_rig

    return training_rig(head)


def test_stage_r_learns_from_other_frames_of_clips(made: Path) -> None:
    batches = [People(made, 2, 64, 0)(step) for step in range(3)]
    assert all(len(batch.photo) == len(batch.targets.image) == 2 for batch in batches)
    again = People(made, 2, 64, 0)(1)
    assert all(torch.equal(a, b) for a, b in zip(again.tensors(), batches[1].tensors(), strict=True))
    moved = [
        float((batch.targets.rotations - batch.photo.rotations).abs().max())
        + float((batch.targets.translation - batch.photo.translation).abs().max())
        for batch in batches
    ]
    assert max(moved) > 1e-4


def test_a_cut_and_a_second_person_do_not_come_into_a_clip(
    assets: dict[str, Path], head: HeadModel, tmp_path: Path
) -> None:
    first, grey = [shown(i) for i in range(5)], np.full_like(shown(0), 60)
    small = np.array(Image.fromarray(shown(0)).resize((shown(0).shape[1] // 2, shown(0).shape[0] // 2)))
    beside = grey.copy()
    beside[: small.shape[0], : small.shape[1]] = small
    clip = save_frames(tmp_path / "clip", [*first, grey, grey, beside, beside])
    frames = look_at_clip(clip, 4, Collector(tmp_path, None, 3).detector, head)
    assert len(frames) == 4
    depths = [float(frame.photo.translation[0, 2]) for frame in frames]
    assert max(depths) - min(depths) < 0.1 * abs(depths[0])  # none of the small ones after the cut


def test_a_clip_that_is_cut_off_gives_its_whole_frames(
    assets: dict[str, Path], head: HeadModel, tmp_path: Path
) -> None:
    path = tmp_path / "clip.mkv"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mjpeg", rate=25)
        stream.width, stream.height, stream.pix_fmt = shown(0).shape[1], shown(0).shape[0], "yuvj420p"
        for index in range(6):
            for packet in stream.encode(av.VideoFrame.from_ndarray(shown(index), format="rgb24")):
                container.mux(packet)
        for packet in stream.encode():
            container.mux(packet)
    path.write_bytes(path.read_bytes()[: int(0.7 * path.stat().st_size)])
    frames = look_at_clip(path, 3, Collector(tmp_path, None, 3).detector, head)
    assert 2 <= len(frames) <= 3


def test_a_damaged_sample_is_reported_and_another_one_taken(
    made: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    first, second = read_shard(shard_path(made, 0))
    torn = Item("torn", {**first.files, "00.jpg": first.files["00.jpg"][:40]})
    shards.write_shard(shard_path(tmp_path, 0), [torn, second])
    shard_path(tmp_path, 1).write_bytes(b"no shard" * 99)
    source = People(tmp_path, 1, 64, 0)
    for step in range(4):
        assert len(source(step).photo) == 1
    told = capsys.readouterr().err
    assert "The sample torn is not whole" in told
    assert "is damaged" in told


def test_values_that_are_not_finite_are_not_stored(made: Path) -> None:
    frames = read_frames(next(read_shard(shard_path(made, 0))))
    frames[1].photo.translation[0, 0] = float("nan")
    with pytest.raises(ValueError, match="its translation are not finite"):
        item_of("x", frames)


def test_a_full_disk_ends_the_work_with_one_sentence_and_leaves_no_half_shard(
    people: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    collector = Collector(tmp_path, None, 3)
    monkeypatch.setattr(collecting, "PER_SHARD", 1)
    monkeypatch.setattr(shards.os, "fsync", full)
    nobody = [people / "nobody.jpg"]
    with pytest.raises(UsageError, match="No space left on device"):
        list(spread(collector, [collecting.Shard(0, tuple(nobody))]))
    assert list(tmp_path.iterdir()) == []


def test_a_folder_of_other_people_is_refused(people: Path, made: Path) -> None:
    with pytest.raises(UsageError, match="shards of other people"):
        collect(find_people(people)[1:], Collector(made, None, 3))


def started(people: Path, out: Path, *how: str) -> subprocess.Popen[bytes]:
    """The command, a shard a person."""
    code = "import sys; from training.data import collect as c; c.PER_SHARD = 1; c.main(sys.argv[1:])"
    command = [sys.executable, "-c", code, str(people), "--out", str(out), "--frames", "2", *how]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    return subprocess.Popen(command, cwd=ROOT, env=environment, stderr=subprocess.PIPE)


def test_a_run_that_was_killed_goes_on_with_what_is_missing(people: Path, tmp_path: Path) -> None:
    first = started(people, tmp_path)
    until = time.monotonic() + 120
    while not find_shards(tmp_path) and time.monotonic() < until:
        time.sleep(0.02)
    first.send_signal(signal.SIGKILL)
    first.communicate()
    before = {path: path.stat().st_mtime_ns for path in find_shards(tmp_path)}
    wanted = len(find_people(people))
    assert 0 < len(before) < wanted
    second = started(people, tmp_path, "--workers", "2")
    told = second.communicate(timeout=240)[1].decode()
    assert second.returncode == 0, told
    assert len(find_shards(tmp_path)) == wanted
    assert all(path.stat().st_mtime_ns == written for path, written in before.items())
    assert f"{wanted - len(before)} of {wanted - len(before)} shards" in told


def killed(job: int) -> int:
    """A task that is ended from outside."""
    os.kill(os.getpid(), signal.SIGKILL)
    return job


def double(job: int) -> int:
    return 2 * job


def test_work_in_processes_is_done_whole_and_a_killed_process_is_told() -> None:
    assert sorted(spread(double, range(5), workers=2)) == [0, 2, 4, 6, 8]
    with pytest.raises(UsageError, match="ended from outside"):
        list(spread(killed, [1], workers=1))


def test_without_ray_an_address_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("training.data.spread.find_spec", lambda name: None)
    with pytest.raises(UsageError, match="Ray, which is not installed"):
        list(spread(double, [1], ray_address="auto"))


def test_ray_makes_the_same_shards(people: Path, tmp_path: Path) -> None:
    pytest.importorskip("ray")
    run = started(people, tmp_path, "--ray-address", "local")
    told = run.communicate(timeout=280)[1].decode()
    assert run.returncode == 0, told
    found = [item.key for path in find_shards(tmp_path) for item in read_shard(path)]
    assert len(find_shards(tmp_path)) == len(find_people(people))
    assert sorted(found) == sorted(
        path.stem for path in find_people(people) if path.name.startswith(("person", "Clip+a"))
    )
    assert json.loads((tmp_path / "shards.json").read_text())["frames"] == 2
    assert "left out: nobody.jpg: NoFace" in told
