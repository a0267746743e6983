"""Draw synthetic samples into shards: `python -m training make --out SHARDS --count 10000 [--head FLAME.npz]`.

A run that was ended goes on with the first missing shard. A sample that cannot be drawn is left out and reported in
`skipped.txt`. `shards.json` says what the samples are made for.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from meshlam_core.errors import UsageError
from meshlam_core.head.model import HeadModel
from meshlam_core.model.config import preset
from meshlam_core.model.network import MeshLAM
from meshlam_core.model.weights import start_from, topology_hash
from meshlam_core.opencv import set_threads
from training.backbones import folded, load_imagenet
from training.data.record import make_item
from training.data.shards import MANIFEST, Item, shard_path, write_shard
from training.synthetic import open_engine
from training.synthetic.sample import Engine

PER_SHARD = 64
SPLITS = {"train": 0, "held-out": 1}


def make(engine: Engine, network: MeshLAM, out: Path, split: str, count: int, first: int = 0, stride: int = 1) -> None:
    """Write the missing shards of a split. `first` and `stride` share the work among processes."""
    out.mkdir(parents=True, exist_ok=True)
    manifest = {"head": topology_hash(engine.world.head), "backbone": network.preset.backbone, "split": split}
    known = out / MANIFEST
    if known.is_file() and json.loads(known.read_text(encoding="utf-8")) != manifest:
        raise UsageError(f"The folder {out} holds shards of another head or split.", "Name an empty folder.")
    known.write_text(json.dumps(manifest), encoding="utf-8")
    shards = range(first, -(-count // PER_SHARD), stride)
    started, done = time.monotonic(), 0
    for index in shards:
        if shard_path(out, index).is_file():
            continue
        numbers = range(index * PER_SHARD, min((index + 1) * PER_SHARD, count))
        done += write_shard(shard_path(out, index), _items(engine, network, split, numbers, out))
        rate = done / (time.monotonic() - started)
        print(f"shard {index}: {done} samples, {rate:.2f} a second", file=sys.stderr, flush=True)


def check_head(folder: Path, head: HeadModel) -> None:
    """Refuse to learn from shards that were drawn of another head model."""
    known = folder / MANIFEST
    if known.is_file() and json.loads(known.read_text(encoding="utf-8"))["head"] != topology_hash(head):
        raise UsageError(
            f"The shards in {folder} are of another head model than {head.name}.", "Name the model with --head."
        )


def _items(engine: Engine, network: MeshLAM, split: str, numbers: range, out: Path) -> Iterator[Item]:
    for number in numbers:
        try:
            sample = engine.sample((SPLITS[split], number))
            joints = engine.world.head.joints(sample.tracked.vertices)
            yield make_item(f"{number:08d}", sample, network, engine.world.rig, joints)
        except Exception as error:  # one bad sample must not end a night's work
            with (out / "skipped.txt").open("a", encoding="utf-8") as stream:
                stream.write(f"{split} {number}: {type(error).__name__}: {error}\n")


def main(arguments: list[str]) -> None:
    """Command line."""
    parser = argparse.ArgumentParser(prog="python -m training make", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--cache", type=Path, default=None, help="folder that keeps prepared skins")
    parser.add_argument("--head", type=Path, default=None, help="a head model's file; the open head if none")
    frozen = parser.add_mutually_exclusive_group(required=True)
    frozen.add_argument("--backbone", type=Path, help="ImageNet weights: see training/backbones.py")
    frozen.add_argument("--start", type=Path, help="weights of the network, whose backbone is taken")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--split", choices=list(SPLITS), default="train")
    parser.add_argument("--count", type=int, default=10_000)
    parser.add_argument("--first", type=int, default=0, help="number of the first shard")
    parser.add_argument("--stride", type=int, default=1, help="take every n-th shard only")
    options = parser.parse_args(arguments)
    set_threads(1)
    network = MeshLAM(preset("small"))
    if options.start is None:
        load_imagenet(network, options.backbone)
    else:
        start_from(network, network.preset, options.start)
    network = folded(network.eval())
    engine = open_engine(options.data, options.cache, options.split == "held-out", options.head)
    make(engine, network, options.out, options.split, options.count, options.first, options.stride)
