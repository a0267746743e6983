"""Keep the two output streams clean: results alone on stdout, messages worth reading on stderr.

Libraries print where they like: Python ones to sys.stdout, native ones (TensorFlow Lite, MediaPipe, Warp) right to the
file descriptors 1 and 2. Both are handled at the level of descriptors.
"""

from __future__ import annotations

import atexit
import os
import re
import sys
import threading
from typing import IO, TextIO

_NOISE = re.compile(
    rb"^[IW]\d{4} \d\d:\d\d:\d\d"  # absl's info and warnings
    rb"|^WARNING: All log messages before absl::InitializeLog"
    rb"|^INFO: (Created TensorFlow Lite|Initialized TensorFlow Lite)"
    rb"|^W0000 |^I0000 "
)
_NATIVE_LOG_LEVELS = {"GLOG_minloglevel": "2", "TF_CPP_MIN_LOG_LEVEL": "3", "ABSL_MIN_LOG_LEVEL": "2"}


def take_stdout() -> IO[bytes]:
    """The real stdout, for the caller alone: from now on whatever others print goes to stderr."""
    sys.stdout.flush()
    real = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    sys.stdout = sys.stderr
    return real


def filter_native_noise() -> None:
    """Drop the known chatter of native libraries from stderr; everything else passes, Python's own tracebacks directly.

    MESHLAM_DEBUG set to anything keeps it all.
    """
    if os.environ.get("MESHLAM_DEBUG"):
        return
    for name, value in _NATIVE_LOG_LEVELS.items():
        os.environ.setdefault(name, value)
    sys.stderr.flush()
    real = os.dup(2)
    direct: TextIO = os.fdopen(real, "w", buffering=1, encoding="utf-8", errors="backslashreplace")
    reading, writing = os.pipe()
    os.dup2(writing, 2)
    os.close(writing)
    if sys.stdout is sys.stderr:
        sys.stdout = direct
    sys.stderr = direct
    pump = threading.Thread(target=_pump, args=(reading, real), name="stderr filter", daemon=True)
    pump.start()
    atexit.register(_restore, real, pump)


def _pump(reading: int, real: int) -> None:
    with os.fdopen(reading, "rb") as lines:
        for line in lines:
            if not _NOISE.match(line):
                os.write(real, line)


def _restore(real: int, pump: threading.Thread) -> None:
    os.dup2(real, 2)  # closes the pipe's last writing end (unless stdout shares it), so the pump ends
    pump.join(timeout=0.5)
