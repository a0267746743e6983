"""Photographs and clips into shards: `python -m training collect FOLDER --out SHARDS [--workers N | --ray-address A]`.

In FOLDER lie portraits, and clips as in VFHQ: folders of frames in the order of their names, or videos. Each becomes a
sample with all that stage R wants (training/pictures/people.py), tracked beforehand. Portraits that are held out
(splits.py) are never opened. What cannot be used is left out, and `shard-NNNNN.txt` says why. A run that was ended
goes on with the shards that are missing; `shards.json` says what they are made of.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from meshlam_core.errors import UsageError
from meshlam_core.files.images import CLIP_SUFFIXES, PHOTO_SUFFIXES
from meshlam_core.files.outputs import write_file
from meshlam_core.model.weights import topology_hash
from training.data.shards import MANIFEST, Item, shard_path, write_shard
from training.data.spread import AGAIN, spread
from training.pictures.people import item_of, look_at_clip
from training.pictures.portraits import Looking, look_at
from training.splits import held_out

PER_SHARD = 16


@dataclass(frozen=True)
class Shard:
    """What one shard is to be made of."""

    index: int
    sources: tuple[Path, ...]


@dataclass(frozen=True)
class Written:
    """What became of it."""

    index: int
    samples: int
    left_out: tuple[str, ...]  # a line for each source that cannot be used


@dataclass(frozen=True)
class Collector(Looking):
    """Makes shards."""

    out: Path
    head_file: Path | None
    frames: int  # of a clip

    def __call__(self, shard: Shard) -> Written:
        """Write one. Where it stands, its list of what was left out stands, too. UsageError where the disk is full."""
        left_out: list[str] = []
        path = shard_path(self.out, shard.index)
        made = path.with_suffix(".made")
        try:
            count = write_shard(made, self._items(shard, left_out))
            write_file(path.with_suffix(".txt"), "".join(f"{line}\n" for line in left_out).encode())
            made.replace(path)
        except OSError as error:
            made.unlink(missing_ok=True)
            raise UsageError(f"The shard {path} cannot be written: {error}.", f"Make room. {AGAIN}") from error
        return Written(shard.index, count, tuple(left_out))

    def _items(self, shard: Shard, left_out: list[str]) -> Iterator[Item]:
        for source in shard.sources:
            try:
                if source.suffix.lower() in PHOTO_SUFFIXES:
                    frames = [look_at(source, self.detector, self.head)]
                else:
                    frames = look_at_clip(source, self.frames, self.detector, self.head)
                item = item_of(source.stem.replace(".", "_"), frames)
            except Exception as error:  # one bad source must not end a night's work
                left_out.append(f"{source.name}: {type(error).__name__}: {' '.join(str(error).split())}")
            else:
                yield item


def find_people(folder: Path) -> list[Path]:
    """Portraits that may be learnt from, videos, and folders of frames."""
    if not folder.is_dir():
        raise UsageError(f"There is no folder {folder}.", "Name the folder of portraits or clips.")
    found = [
        path
        for path in sorted(folder.iterdir())
        if path.is_dir()
        or path.suffix.lower() in CLIP_SUFFIXES
        or (path.suffix.lower() in PHOTO_SUFFIXES and not held_out(path.name))
    ]
    if not found:
        raise UsageError(f"Expected portraits, videos or folders of frames in {folder}, found none.")
    return found


def collect(
    sources: Sequence[Path], collector: Collector, workers: int = 0, ray_address: str | None = None
) -> tuple[int, int]:  # samples and left out, of this run
    """Write the missing shards."""
    out = collector.out
    out.mkdir(parents=True, exist_ok=True)
    manifest = {"head": topology_hash(collector.head), "frames": collector.frames, "people": [p.name for p in sources]}
    known = out / MANIFEST
    if known.is_file() and json.loads(known.read_text(encoding="utf-8")) != manifest:
        raise UsageError(f"The folder {out} holds shards of other people or another head.", "Name an empty folder.")
    write_file(known, json.dumps(manifest).encode())
    parts = [tuple(sources[i : i + PER_SHARD]) for i in range(0, len(sources), PER_SHARD)]
    missing = [Shard(index, part) for index, part in enumerate(parts) if not shard_path(out, index).is_file()]
    started, samples, left_out = time.monotonic(), 0, 0
    for count, written in enumerate(spread(collector, missing, workers, ray_address), start=1):
        samples, left_out = samples + written.samples, left_out + len(written.left_out)
        for line in written.left_out:
            print(f"left out: {line}", file=sys.stderr)
        spent = time.monotonic() - started
        end = time.strftime("%H:%M", time.localtime(time.time() + spent / count * (len(missing) - count)))
        speed = (samples + left_out) / spent
        told = f"{count} of {len(missing)} shards, {samples} samples, {left_out} left out, {speed:.2f} a second"
        print(f"{told}, end {end}", file=sys.stderr, flush=True)
    return samples, left_out


def main(arguments: list[str]) -> None:
    """Command line."""
    parser = argparse.ArgumentParser(prog="python -m training collect", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--head", type=Path, default=None, help="a head model's file; the open head if none")
    parser.add_argument("--frames", type=int, default=8, help="of a clip, that are kept")
    where = parser.add_mutually_exclusive_group()
    where.add_argument("--workers", type=int, default=0, help="processes of this machine; 0: the one that was started")
    where.add_argument("--ray-address", metavar="HOST:PORT|auto|local", help="the machines of a Ray cluster")
    options = parser.parse_args(arguments)
    collector = Collector(options.out.resolve(), options.head and options.head.resolve(), options.frames)
    collect(find_people(options.folder.resolve()), collector, options.workers, options.ray_address)
