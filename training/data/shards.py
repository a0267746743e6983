"""Tar shards: written whole or not at all, read past what is broken.

A shard is a plain tar file of `KEY.ext` members; those of a key stand together, as WebDataset wants it.
"""

from __future__ import annotations

import io
import os
import tarfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

PATTERN = "shard-{:05d}.tar"
MANIFEST = "shards.json"  # what the samples beside it are made of


@dataclass(frozen=True)
class Item:
    """One sample as files."""

    key: str
    files: Mapping[str, bytes]  # by extension


def write_shard(path: Path, items: Iterable[Item]) -> int:
    """Write a shard under a temporary name, then give it its own. Returns the number of samples."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(path.name + ".part")
    count = 0
    try:
        with part.open("wb") as stream:
            with tarfile.open(fileobj=stream, mode="w") as archive:
                for item in items:
                    for extension, content in item.files.items():
                        entry = tarfile.TarInfo(f"{item.key}.{extension}")
                        entry.size = len(content)
                        archive.addfile(entry, io.BytesIO(content))
                    count += 1
            stream.flush()
            os.fsync(stream.fileno())
        part.replace(path)
    except BaseException:
        part.unlink(missing_ok=True)
        raise
    return count


def shard_path(folder: Path, index: int) -> Path:
    """Where the shard of a number lies."""
    return folder / PATTERN.format(index)


def find_shards(folder: Path) -> list[Path]:
    """All whole shards, in order."""
    return sorted(folder.glob("shard-*.tar"))


def read_shard(path: Path, report: Callable[[str], None] = lambda text: None) -> Iterator[Item]:
    """The samples of a shard. What is broken is reported, and what can be read before it is used."""
    key, files = "", dict[str, bytes]()
    try:
        with tarfile.open(path, mode="r:") as archive:
            for entry in archive:
                if not entry.isfile():
                    continue
                stem, _, extension = entry.name.partition(".")
                if stem != key and files:
                    yield Item(key, files)
                    files = {}
                key = stem
                stream = archive.extractfile(entry)
                content = b"" if stream is None else stream.read()
                if len(content) != entry.size:
                    raise tarfile.ReadError(f"{entry.name} is cut off")
                files[extension] = content
    except (tarfile.TarError, OSError, EOFError) as error:
        report(f"The shard {path} is damaged: {error}. What follows in it is skipped.")
        return
    if files:
        yield Item(key, files)
