"""Reconstruct with warm sessions, and retry with less when memory runs out: smaller first, then on the CPU."""

from __future__ import annotations

import ctypes
import gc
import sys
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from meshlam_core.avatar.io import write_avatar
from meshlam_core.errors import DeviceError, InputError, is_out_of_memory
from meshlam_core.files.outputs import check_output_file
from meshlam_core.model.files import NONE, all_trained_weights, choose_weights
from meshlam_core.progress import Progress

if TYPE_CHECKING:
    from meshlam_core.pipeline import Reconstruction, ReconstructOptions, Session

_SMALLEST_TEXTURE = 512


class Sessions:
    """Keeps the session of the last options open: the next job with the same preset, head and device starts at once."""

    def __init__(self) -> None:
        self._key: tuple[object, ...] | None = None
        self._session: Session | None = None

    def get(self, options: ReconstructOptions) -> Session:
        """An open session for these options."""
        from meshlam_core.pipeline import Session

        tools = (options.landmarks, options.rasteriser)
        key = (options.head, options.device, *tools, options.preset, options.backbone, *_weights_files(options))
        if self._session is None or key != self._key:
            self.free()
            self._session, self._key = Session.open(options), key
        return self._session

    def get_tracker(self, device: str, landmarks: str = "mediapipe") -> Session:
        """A session whose tracker will do: the open one if it can, else one without the network."""
        from meshlam_core.pipeline import ReconstructOptions

        if self._session is not None and self._key is not None and self._key[:3] == ("open", device, landmarks):
            return self._session
        return self.get(ReconstructOptions(device=device, weights=NONE, landmarks=landmarks))

    def free(self) -> None:
        """Let go of the models and of the GPU's memory."""
        self._session = self._key = None
        give_memory_back()
        torch = sys.modules.get("torch")
        if torch is not None and torch.cuda.is_available():
            torch.cuda.empty_cache()


def give_memory_back() -> None:
    """Let the system have what is free: the GNU C library keeps freed arrays of some megabytes for itself otherwise."""
    gc.collect()
    if sys.platform == "linux":
        with suppress(OSError, AttributeError):  # another C library
            ctypes.CDLL(None).malloc_trim(0)


def _weights_files(options: ReconstructOptions) -> tuple[tuple[str, int, int], ...]:
    """Which weights may be used: a file that was trained anew under its old name is another one."""
    chosen = choose_weights(options.preset, options.weights)
    paths = [] if chosen is None else [chosen]
    if options.head != "open":
        paths += all_trained_weights(options.preset)
    stats = [(path, path.stat()) for path in paths]
    return tuple((str(path), stat.st_size, stat.st_mtime_ns) for path, stat in stats)


def reconstruct_file(
    photo: Path, out: Path, options: ReconstructOptions, sessions: Sessions, progress: Progress
) -> dict[str, Any]:
    """Photo -> avatar file; the report of the reconstruction with the file's path."""
    check_output_file(out)  # before the work, not after it
    made = _reconstruct(photo, options, sessions, progress)
    progress("saving", 0.98, out.name)
    write_avatar(made.avatar, out)
    return {"avatar": str(out)} | made.report


def reconstruct_all(
    photos: Sequence[Path], options: ReconstructOptions, sessions: Sessions, progress: Progress
) -> Iterator[Reconstruction | Exception]:
    """In batches while the memory lasts, then one by one with less."""
    from meshlam_core.pipeline import Failure, reconstruct_many

    done = 0
    try:
        for made in reconstruct_many(photos, options, sessions.get(options), progress):
            yield made.error if isinstance(made, Failure) else made
            done += 1
    except (MemoryError, RuntimeError) as error:
        if not is_out_of_memory(error):
            raise
        sessions.free()
    for photo in photos[done:]:
        try:
            yield _reconstruct(photo, options, sessions, progress)
        except InputError as error:
            yield error


def _reconstruct(photo: Path, options: ReconstructOptions, sessions: Sessions, progress: Progress) -> Reconstruction:
    from meshlam_core.pipeline import reconstruct

    remarks: list[str] = []
    for attempt, remark in _attempts(options):
        if remark:
            remarks.append(remark)
            progress("retry", 0.0, remark)
        try:
            made = reconstruct(photo, attempt, sessions.get(attempt), progress)
        except (MemoryError, RuntimeError) as error:
            if not is_out_of_memory(error):
                raise
            trouble = error
            sessions.free()
        else:
            return _with_remarks(made, remarks)
    hint = "Close other programs, or choose a smaller photo."
    raise DeviceError("There is not enough memory for this photo, not even for a small texture.", hint) from trouble


def _attempts(options: ReconstructOptions) -> Iterator[tuple[ReconstructOptions, str]]:
    """The options as wanted, then with less, each with the sentence that tells the user."""
    yield options, ""
    small = min(options.texture_size, _SMALLEST_TEXTURE)
    if small < options.texture_size:
        yield (
            replace(options, texture_size=small),
            f"Memory ran out: the texture was made at {small} instead of {options.texture_size}.",
        )
    if options.device != "cpu":
        yield replace(options, texture_size=small, device="cpu"), "Memory ran out: the work was done on the CPU."


def _with_remarks(made: Reconstruction, remarks: list[str]) -> Reconstruction:
    if not remarks:
        return made
    warnings = [*remarks, *made.report.get("warnings", [])]
    avatar = replace(made.avatar, provenance=made.avatar.provenance | {"warnings": warnings})
    return replace(made, avatar=avatar, report=made.report | {"warnings": warnings})
