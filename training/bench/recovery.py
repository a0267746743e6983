"""How soon heads can be made again after the worker was killed in the middle of a reconstruction.

    python -m training.bench.recovery [--count N]

The worker is killed as a system does that has no memory left; then the same photo is asked for again, as by a second
click. Told are the seconds until the failure is said, until the next worker takes the job, and until its head is
there. It fails where a head does not come, a process stays behind, or a file lies beside the head. Linux only.
"""

from __future__ import annotations

import argparse
import os
import signal
import statistics
import sys
import tempfile
import time
from pathlib import Path

from blender_addon.backend.locate import Backend
from blender_addon.job import Request, Session, State
from training.bench.endurance import children, portraits

INTO = 0.2  # s that the job runs before its worker is killed
POLL = 0.005  # s


def measure(photo: Path, out: Path, count: int) -> list[tuple[float, float, float]]:
    """Seconds until the failure is said, the next worker is ready, and the head is there; `count` times."""
    session, rows = Session(), []
    backend = Backend(Path(sys.executable))
    try:
        for _ in range(count):
            session.start(backend, Request(photo, out))
            _until_running(session)
            time.sleep(INTO)
            killed = children()
            out.unlink(missing_ok=True)
            start = time.monotonic()
            for worker in killed:
                os.kill(worker, signal.SIGKILL)
            if session.wait(POLL) is not State.FAILED:
                raise SystemExit("The job had ended before its worker was killed.")
            said = time.monotonic()
            left = [worker for worker in killed if Path(f"/proc/{worker}").exists()]
            if left or any(out.parent.iterdir()):
                raise SystemExit(f"Left behind: processes {left}, files {sorted(out.parent.iterdir())}.")
            session.start(backend, Request(photo, out))
            _until_running(session)
            ready = time.monotonic()
            if session.wait(POLL) is not State.DONE:
                raise SystemExit(f"The next head did not come: {session.error and session.error.report}")
            rows.append((said - start, ready - said, time.monotonic() - said))
    finally:
        session.close()
    return rows


def _until_running(session: Session) -> None:
    while session.state is State.STARTING:
        session.pump()
        time.sleep(POLL)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=9)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as photos, tempfile.TemporaryDirectory() as heads:
        rows = measure(portraits(Path(photos))[2], Path(heads) / "head.meshlam", given.count)
    for what, column in zip(("failure said", "worker ready", "head there"), zip(*rows, strict=True), strict=True):
        print(f"{what}: median {statistics.median(column):.2f} s, most {max(column):.2f} s of {len(column)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
