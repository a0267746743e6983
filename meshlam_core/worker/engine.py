"""The work behind the worker's messages: the same functions as the command line, with the models kept warm."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from meshlam_core import __version__, assets
from meshlam_core.cli_arguments import MOST_SECONDS, POSES, PRESETS, VIEWS
from meshlam_core.commands.sessions import Sessions, give_memory_back, reconstruct_file
from meshlam_core.errors import UsageError
from meshlam_core.progress import Progress
from meshlam_core.worker.protocol import Faces, Job, Ready, Reconstruct, Record, Render, Track


class CoreEngine:
    """Reconstructs, records, tracks, finds faces and renders."""

    def __init__(self) -> None:
        self._sessions = Sessions()

    def ready(self) -> Ready:
        """What this worker can do. The device is only looked at, nothing is loaded onto it."""
        from meshlam_core.pipeline import choose_device

        states = {name: assets.asset_state(name).state for name in assets.asset_names()}
        return Ready(__version__, choose_device("auto"), list(PRESETS), states)

    def run(self, job: Job, progress: Progress) -> dict[str, Any]:
        """Do one job and return what its command prints with --json."""
        if isinstance(job, Reconstruct):
            return self._reconstruct(job, progress)
        if isinstance(job, Render):
            return self._render(job, progress)
        if isinstance(job, Faces):
            return self._faces(job, progress)
        if isinstance(job, Record):
            return self._record(job, progress)
        return self._track(job, progress)

    def warm(self) -> None:
        """Open the default session, so that the first portrait does not wait for imports, models and kernels."""
        from meshlam_core.pipeline import ReconstructOptions

        self._sessions.get(ReconstructOptions()).warm_up(ReconstructOptions())

    def tidy(self) -> None:
        """Give the memory of the last job back to the system; the models stay."""
        give_memory_back()

    def free(self) -> None:
        """Close the session."""
        self._sessions.free()

    def _reconstruct(self, job: Reconstruct, progress: Progress) -> dict[str, Any]:
        progress("starting", 0.0, "loading the models")
        from meshlam_core.pipeline import ReconstructOptions

        options = ReconstructOptions(**vars(job.options))
        return reconstruct_file(Path(job.photo), Path(job.out), options, self._sessions, progress)

    def _render(self, job: Render, progress: Progress) -> dict[str, Any]:
        from meshlam_core.commands.render import render_file

        options = job.options
        if options.view not in VIEWS or options.pose not in ("", *POSES):
            raise UsageError(f"Expected a view of {', '.join(VIEWS)} and a pose of {', '.join(POSES)}.")
        pose = options.pose or None
        return render_file(
            Path(job.avatar),
            Path(job.out),
            options.view,
            options.size,
            options.expression,
            pose,
            options.device,
            progress,
        )

    def _faces(self, job: Faces, progress: Progress) -> dict[str, Any]:
        from meshlam_core.commands.faces import faces_file

        options = job.options
        return faces_file(Path(job.photo), Path(job.out), options.device, self._sessions, progress, options.landmarks)

    def _record(self, job: Record, progress: Progress) -> dict[str, Any]:
        from meshlam_core.commands.record import record_file

        seconds = job.options.seconds
        if not 0 < seconds <= MOST_SECONDS:
            raise UsageError(f"Expected seconds, more than 0 and at most {MOST_SECONDS}, got {seconds:g}.")
        return record_file(Path(job.out), job.options.camera, seconds, progress)

    def _track(self, job: Track, progress: Progress) -> dict[str, Any]:
        from meshlam_core.commands.drive import drive_file
        from meshlam_core.commands.track import track_file

        options = job.options
        source, out = Path(job.source), Path(job.out)
        shared = (options.face, options.device, self._sessions, progress, options.landmarks)
        if options.avatar:
            return drive_file(source, out, Path(options.avatar), *shared)
        return track_file(source, out, *shared)
