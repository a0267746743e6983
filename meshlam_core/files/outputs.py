"""Output files: checked before the work starts, written whole or not at all."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from meshlam_core.errors import UsageError

_ELSEWHERE = "Choose another output path."


def check_output_file(path: Path) -> Path:
    """Refuse a path that cannot be written, by trying it: permission bits tell little on network disks."""
    if path.is_dir():
        raise UsageError(f"The output {path} is a folder; a file name was expected.", f"Try {path / 'head'}.")
    _probe_folder(path.parent, f"The output {path} cannot be written")
    return path


def check_output_folder(path: Path) -> Path:
    """Refuse a folder that cannot be written or made; it is made (one level) only when something is written into it."""
    if path.exists() and not path.is_dir():
        raise UsageError(f"The output {path} is a file; a folder was expected.", _ELSEWHERE)
    _probe_folder(path.absolute().parent, f"The output folder {path} cannot be written")
    return path


def _probe_folder(folder: Path, trouble: str) -> None:
    if not folder.is_dir():
        raise UsageError(f"{trouble}: there is no folder {folder}.", "Make that folder or choose another output path.")
    try:
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise UsageError(f"{trouble}: {error.strerror or error}.", _ELSEWHERE) from error


@contextmanager
def atomic_file(path: Path) -> Iterator[IO[bytes]]:
    """A new file for writing that takes its name only when the block ends without an error.

    Until then it is a hidden temporary file in the same folder, flushed to the disk before the rename.
    """
    check_output_file(path)
    handle, name = tempfile.mkstemp(prefix=f".{path.name[:40]}.", suffix=".part", dir=path.parent)
    temporary = Path(name)
    try:
        with os.fdopen(handle, "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        temporary.chmod(0o666 & ~_umask())
        temporary.replace(path)
    except OSError as error:
        raise UsageError(f"The output {path} cannot be written: {error.strerror or error}.", _ELSEWHERE) from error
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def atomic_folder(path: Path) -> Iterator[Path]:
    """A new folder for many files; they take their place only when the block ends without an error.

    Files that are already in the folder stay, unless they have the name of a new one.
    """
    check_output_folder(path)
    temporary = Path(tempfile.mkdtemp(prefix=f".{path.name[:40]}.", suffix=".part", dir=path.absolute().parent))
    try:
        yield temporary
        path.mkdir(exist_ok=True)
        for file in sorted(temporary.iterdir()):
            file.replace(path / file.name)
    except OSError as error:
        raise UsageError(f"The output {path} cannot be written: {error.strerror or error}.", _ELSEWHERE) from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def write_file(path: Path, data: bytes) -> None:
    """Write a file whole or not at all."""
    with atomic_file(path) as file:
        file.write(data)


def _umask() -> int:
    # the only portable way to read it; mkstemp makes files private, results should not be
    mask = os.umask(0)
    os.umask(mask)
    return mask
