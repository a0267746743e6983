"""Turn what libraries raise into the project's errors, and run out of memory gracefully."""

from __future__ import annotations

import sys
import traceback
from typing import Any

from meshlam_core.errors import Cancelled, DeviceError, MeshlamError, is_out_of_memory


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
