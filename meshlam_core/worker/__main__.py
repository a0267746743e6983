"""`python -m meshlam_core.worker [IDLE_SECONDS]`: talk on stdin and stdout until stdin ends."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

from meshlam_core import quiet


def main() -> None:
    """Keep the two streams for the protocol alone, then serve."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C in the caller's terminal is the caller's affair
    source = os.fdopen(os.dup(0), "rb")
    with Path(os.devnull).open("rb") as nothing:  # libraries and child processes must not read our messages
        os.dup2(nothing.fileno(), 0)
    target = quiet.take_stdout()
    quiet.filter_native_noise()

    from meshlam_core.worker.engine import CoreEngine
    from meshlam_core.worker.server import IDLE_SECONDS, Server

    idle_seconds = float(sys.argv[1]) if len(sys.argv) > 1 else IDLE_SECONDS
    Server(source, target, CoreEngine(), idle_seconds).serve()
    # Taking the libraries apart takes seconds, and a job may hang in native code. Output files have no name before they
    # are whole, so nothing half-written stays.
    sys.stderr.flush()
    os._exit(0)


if __name__ == "__main__":
    main()
