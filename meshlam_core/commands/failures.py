"""Turn what libraries raise into the project's errors, and run out of memory gracefully."""

from __future__ import annotations

import sys
import traceback
from typing import Any

from meshlam_core.errors import Cancelled, DeviceError, MeshlamError

_OUT_OF_MEMORY = ("out of memory", "can't allocate memory", "not enough memory", "failed to allocate")


def foreseen(error: BaseException) -> MeshlamError | None:
    """The project's error for an exception, or None for one that nobody foresaw."""
    if isinstance(error, MeshlamError):
        return error
    if isinstance(error, KeyboardInterrupt):
        return Cancelled("Stopped.")
    if is_out_of_memory(error):
        return DeviceError("There is not enough memory for this.", "Close other programs or choose a smaller texture.")
    return None


def describe_failure(error: BaseException) -> dict[str, Any]:
    """What --json prints of it; one that nobody foresaw leaves its traceback on stderr."""
    known = foreseen(error)
    if known is None:
        traceback.print_exception(error, file=sys.stderr)
        known = MeshlamError(f"Something went wrong: {type(error).__name__}: {error}.", "The log above says where.")
    content = {"kind": known.kind, "message": known.message, "hint": known.hint}
    return {"error": content, "exit_code": known.exit_code}


def is_out_of_memory(error: BaseException) -> bool:
    """Whether memory ran out, on the CPU or a GPU."""
    torch = sys.modules.get("torch")  # whoever runs out of a GPU's memory has imported it
    if isinstance(error, MemoryError) or (torch is not None and isinstance(error, torch.OutOfMemoryError)):
        return True
    return isinstance(error, RuntimeError) and any(words in str(error).lower() for words in _OUT_OF_MEMORY)
