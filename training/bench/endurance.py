"""Whether a worker that is kept warm grows: many reconstructions through one, as the add-on asks for them.

    python -m training.bench.endurance [PHOTO...] [--count N]

Memory is what the system has in the worker's process (VmRSS) a second after each reconstruction, when it has tidied
up; handles are its open files, pipes and sockets; those of this process, which stands for Blender, are counted, too.
Without photos the NASA portrait that scikit-image carries is taken in four sizes, so that the work differs from one to
the next. Linux only.

It fails where the memory of the last half differs by more than 5 % or a handle, a thread or a file is left.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from blender_addon.backend.locate import Backend
from blender_addon.job import Request, Session, State
from training.demo import nasa_portrait

SIDES = (512, 700, 1024, 1500)  # px
QUIET = 1.0  # s between the answer and the look at the worker
SPREAD = 0.05  # of the median, that the memory of the last half may differ by


@dataclass(frozen=True)
class Held:
    """What is held after a reconstruction."""

    memory: float  # MB in the worker
    threads: int  # of the worker
    handles: int  # of the worker
    own_handles: int  # of this process
    temporary: int  # entries of the folder for temporary files


def held(worker: int, folder: Path) -> Held:
    """Of the process `worker`."""
    words = dict(line.split(":", 1) for line in Path(f"/proc/{worker}/status").read_text().splitlines())
    return Held(
        memory=int(words["VmRSS"].split()[0]) / 1024,
        threads=int(words["Threads"]),
        handles=_entries(Path(f"/proc/{worker}/fd")),
        own_handles=_entries(Path("/proc/self/fd")),
        temporary=_entries(folder),
    )


def _entries(folder: Path) -> int:
    return len(list(folder.iterdir()))


def portraits(folder: Path) -> list[Path]:
    """The NASA portrait in several sizes."""
    picture = Image.open(nasa_portrait(folder))
    paths = [folder / f"portrait_{side}.png" for side in SIDES]
    for path, side in zip(paths, SIDES, strict=True):
        picture.resize((side, side), Image.Resampling.LANCZOS).save(path)
    return paths


def children() -> list[int]:
    """The processes that this one has started."""
    return [int(word) for word in Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()]


def measure(photos: list[Path], count: int, out: Path, temporary: Path) -> list[Held]:
    """Reconstruct `count` times through one worker."""
    session, rows = Session(), []
    backend = Backend(Path(sys.executable))
    try:
        for index in range(count):
            session.start(backend, Request(photos[index % len(photos)], out))
            if session.wait() is not State.DONE:
                raise SystemExit(f"Reconstruction {index + 1} failed: {session.error and session.error.report}")
            time.sleep(QUIET)
            (worker,) = children()
            rows.append(held(worker, temporary))
            print(f"{index + 1} {rows[-1]}", file=sys.stderr, flush=True)
    finally:
        session.close()
    return rows


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("photos", nargs="*", type=Path)
    parser.add_argument("--count", type=int, default=200)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder, temporary = Path(name), Path(name) / "temporary"
        temporary.mkdir()
        os.environ["TMPDIR"] = str(temporary)  # the worker's
        photos = [path.resolve() for path in given.photos] or portraits(folder)
        rows = measure(photos, given.count, folder / "head.meshlam", temporary)
    late = rows[len(rows) // 2 :]
    memory = [row.memory for row in late]
    spread = (max(memory) - min(memory)) / statistics.median(memory)
    print(f"{given.count} reconstructions of {len(photos)} photos through one worker; the last {len(late)}:\n")
    print("| | least | median | most | first and last |")
    print("|---|---|---|---|---|")
    for what in ("memory", "threads", "handles", "own_handles", "temporary"):
        column = [getattr(row, what) for row in late]
        ends = f"{column[0]:.0f}, {column[-1]:.0f}"
        print(f"| {what} | {min(column):.0f} | {statistics.median(column):.0f} | {max(column):.0f} | {ends} |")
    print(f"\nThe memory differs by {100 * spread:.1f} %.")
    left = [
        what
        for what in ("threads", "handles", "own_handles", "temporary")
        if getattr(late[-1], what) > getattr(late[0], what)
    ]
    if left:
        print(f"More at the end than in the middle: {', '.join(left)}.")
    return 1 if spread > SPREAD or left else 0


if __name__ == "__main__":
    sys.exit(main())
