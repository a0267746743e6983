"""Samples in memory, drawn at random. New shards are taken in while they are being made.

The batch of a step follows from the step and the samples that are there: with finished shards it is always the same.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

import numpy as np

from meshlam_core.errors import UnreadableInput, UsageError
from training.data.record import Record, read_record
from training.data.shards import find_shards, read_shard

LOOK_AGAIN = 20.0  # s between looks for new shards


class Pool:
    """All samples of a folder of shards."""

    def __init__(self, folder: Path, most: int = 30_000, growing: bool = True) -> None:
        self.folder, self.most, self.growing = folder, most, growing
        self.records: list[Record] = []
        self.skipped = 0
        self._read: set[Path] = set()
        self._looked = -LOOK_AGAIN
        self.refresh()
        if not self.records:
            raise UsageError(
                f"Expected shards with samples in {folder}, found none.", "Make them: python -m training make."
            )

    def refresh(self, at_most: int = sys.maxsize) -> None:
        """Take in shards that are new, as many at a time as wanted."""
        now = time.monotonic()
        if self._read and (not self.growing or now - self._looked < LOOK_AGAIN):
            return
        self._looked = now
        new = [path for path in find_shards(self.folder) if path not in self._read]
        for path in new[:at_most]:
            self._read.add(path)
            for item in read_shard(path, self._report):
                if len(self.records) >= self.most:
                    return
                try:
                    self.records.append(read_record(item))
                except UnreadableInput as error:
                    self._report(error.message)

    def _report(self, text: str) -> None:
        self.skipped += 1
        print(text, file=sys.stderr)

    def draw(self, rng: np.random.Generator, count: int) -> list[Record]:
        """Some samples, all different."""
        self.refresh(at_most=1)
        chosen = rng.choice(len(self.records), min(count, len(self.records)), replace=False)
        return [self.records[i] for i in chosen]
