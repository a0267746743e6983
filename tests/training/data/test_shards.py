from __future__ import annotations

import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from training.data.shards import Item, find_shards, read_shard, shard_path, write_shard


def items(count: int) -> list[Item]:
    return [Item(f"{i:04d}", {"jpg": bytes([i]) * 700, "label.png": b"label", "json": b"{}"}) for i in range(count)]


def test_what_is_written_is_read_again_sample_by_sample(tmp_path: Path) -> None:
    path = shard_path(tmp_path, 3)
    assert write_shard(path, items(5)) == 5
    assert list(read_shard(path)) == items(5)
    assert find_shards(tmp_path) == [path]
    with tarfile.open(path) as archive:  # WebDataset's layout: KEY.ext, those of a key together
        assert archive.getnames()[:4] == ["0000.jpg", "0000.label.png", "0000.json", "0001.jpg"]


def test_a_shard_whose_writing_was_ended_does_not_exist(tmp_path: Path) -> None:
    def some() -> Iterator[Item]:
        yield items(1)[0]
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_shard(shard_path(tmp_path, 0), some())
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("kept", [0.45, 0.9])
def test_of_a_shard_that_is_cut_off_the_whole_samples_are_used_and_the_rest_reported(
    kept: float, tmp_path: Path
) -> None:
    path = shard_path(tmp_path, 0)
    write_shard(path, items(6))
    content = path.read_bytes()
    last = content.rindex(b"0005.json")
    path.write_bytes(content[: int(kept * last)])
    reports: list[str] = []
    found = list(read_shard(path, reports.append))
    assert 0 < len(found) < 6
    assert found == items(6)[: len(found)]
    assert len(reports) == 1
    assert "is damaged" in reports[0]


def test_a_file_that_is_no_shard_is_reported(tmp_path: Path) -> None:
    path = shard_path(tmp_path, 0)
    path.write_bytes(b"no tar file" * 100)
    reports: list[str] = []
    assert list(read_shard(path, reports.append)) == []
    assert len(reports) == 1
