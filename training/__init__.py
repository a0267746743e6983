"""Training, evaluation and benchmarks of MeshLAM: everything that is not shipped with the add-on."""

import ctypes
import sys

import meshlam_core as meshlam_core  # before torch: it says how waiting threads behave

_TRIM_THRESHOLD, _MMAP_MAX = -1, -4  # names of glibc's malloc.h


def _keep_memory() -> None:
    """Freed memory stays with the process: every step asks for the same gigabyte, and new pages cost a tenth of it."""
    if sys.platform == "linux":
        mallopt = getattr(ctypes.CDLL(None), "mallopt", None)  # musl has none
        if mallopt is not None:
            mallopt(_MMAP_MAX, 0)
            mallopt(_TRIM_THRESHOLD, 2**31 - 1)


_keep_memory()
