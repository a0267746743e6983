"""Every error the project raises on purpose.

MeshlamError
├── UsageError        exit 2  the call itself is wrong (an unknown option, a negative size)
├── InputError        exit 3  the photo, clip or avatar file cannot be used
│   ├── UnreadableInput   not an image, truncated, or missing
│   ├── NoFace            no face was found, or not the one asked for
│   ├── FaceTooSmall      a face with too few pixels
│   └── BadAvatar         an avatar file that does not follow AVATAR_FORMAT.md
├── AssetError        exit 4  a downloadable file is missing or altered
├── DeviceError       exit 5  the device is out of memory or unavailable
└── Cancelled         exit 1  the caller asked to stop

A message is one sentence: what was expected, what came. The hint says what to do next.
"""

from __future__ import annotations

import sys

_OUT_OF_MEMORY = ("out of memory", "can't allocate memory", "not enough memory", "failed to allocate")


class MeshlamError(Exception):
    """Base of all errors a user may see. `kind` travels over the worker protocol."""

    kind = "error"
    exit_code = 1

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.message} {self.hint}".strip()


class UsageError(MeshlamError):
    """The call itself is wrong."""

    kind = "usage"
    exit_code = 2


class InputError(MeshlamError):
    """The photo, clip or avatar file cannot be used."""

    kind = "input"
    exit_code = 3


class UnreadableInput(InputError):
    """Not an image or clip, truncated, or missing."""

    kind = "unreadable"


class NoFace(InputError):
    """No face was found, or not the one asked for."""

    kind = "no_face"


class FaceTooSmall(InputError):
    """The face has too few pixels to reconstruct."""

    kind = "face_too_small"


class BadAvatar(InputError):
    """An avatar file that does not follow AVATAR_FORMAT.md."""

    kind = "bad_avatar"


class AssetError(MeshlamError):
    """A downloadable file is missing or its hash is wrong."""

    kind = "asset"
    exit_code = 4


class DeviceError(MeshlamError):
    """The device is out of memory or unavailable, after the automatic fallback failed."""

    kind = "device"
    exit_code = 5


class Cancelled(MeshlamError):
    """The caller asked to stop."""

    kind = "cancelled"


def is_out_of_memory(error: BaseException) -> bool:
    """Whether memory ran out, on the CPU or a GPU."""
    torch = sys.modules.get("torch")  # whoever runs out of a GPU's memory has imported it
    if isinstance(error, MemoryError) or (torch is not None and isinstance(error, torch.OutOfMemoryError)):
        return True
    return isinstance(error, RuntimeError) and any(words in str(error).lower() for words in _OUT_OF_MEMORY)
