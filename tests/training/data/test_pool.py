from __future__ import annotations

import io
import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from meshlam_core.errors import UsageError
from meshlam_core.model.borders import SIDE
from training.data.pool import Pool
from training.data.shards import Item, shard_path, write_shard

ARRAYS = ("features", "start", "truth", "normals", "seen", "joints", "rotation", "translation", "expression")


def item(key: str, **missing: bytes) -> Item:
    """A sample whose arrays are a single number, the key's."""
    stream = io.BytesIO()
    np.savez(stream, allow_pickle=False, **{name: np.full(1, int(key), np.float32) for name in ARRAYS})
    about = {"focal": 300.0, "centre": [128.0, 128.0], "size": 256, "filled": [256, 200], "yaw": 0.0, "style": "bob"}
    masks = cv2.imencode(".png", np.zeros((2 * SIDE, SIDE), np.uint8))[1].tobytes()
    files = {"masks.png": masks, "npz": stream.getvalue(), "json": json.dumps(about).encode()}
    return Item(key, files | missing)


def numbers(pool: Pool) -> list[int]:
    return sorted(int(record.start[0]) for record in pool.records)


def test_a_pool_holds_the_samples_of_all_shards_and_knows_how_much_of_the_canvas_is_photo(tmp_path: Path) -> None:
    write_shard(shard_path(tmp_path, 0), [item("0"), item("1")])
    write_shard(shard_path(tmp_path, 1), [item("2")])
    pool = Pool(tmp_path)
    assert numbers(pool) == [0, 1, 2]
    assert pool.records[0].known == (SIDE, SIDE * 200 // 256)


def test_broken_samples_and_shards_are_left_out_and_reported(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_shard(shard_path(tmp_path, 0), [item("0"), item("1", npz=b"nothing"), item("2")])
    shard_path(tmp_path, 1).write_bytes(b"no tar" * 200)
    pool = Pool(tmp_path)
    assert numbers(pool) == [0, 2]
    assert pool.skipped == 2
    told = capsys.readouterr().err
    assert "The sample 1 is not whole" in told
    assert "shard-00001.tar is damaged" in told


def test_new_shards_are_taken_in_and_the_same_step_draws_the_same_samples(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("training.data.pool.LOOK_AGAIN", 0.0)
    write_shard(shard_path(tmp_path, 0), [item(str(i)) for i in range(6)])
    pool, still = Pool(tmp_path), Pool(tmp_path, growing=False)
    first, again = (still.draw(np.random.default_rng((1, 7)), 3) for _ in range(2))
    assert [record.start[0] for record in first] == [record.start[0] for record in again]
    write_shard(shard_path(tmp_path, 1), [item("9")])
    pool.draw(np.random.default_rng(0), 2)
    still.draw(np.random.default_rng(0), 2)
    assert numbers(pool) == [0, 1, 2, 3, 4, 5, 9]
    assert numbers(still) == [0, 1, 2, 3, 4, 5]


def test_a_folder_without_samples_says_how_to_make_them(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="Expected shards with samples"):
        Pool(tmp_path)
