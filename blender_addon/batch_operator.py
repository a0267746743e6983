"""A folder of photos: one head after the other, each in a collection of its own."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import bpy

from . import state
from .job import State
from .operators import MakesHeads


class ReconstructFolder(MakesHeads, bpy.types.Operator):  # type: ignore[misc]
    """Make a head of the largest face of every photo in the folder; what cannot be used is left out and named"""

    bl_idname = "meshlam.reconstruct_folder"
    bl_label = "Reconstruct Folder"

    _left: list[Path]
    _made: int
    _failed: list[str]

    @classmethod
    def poll(cls, context: Any) -> bool:
        if not cls.may_start():
            return False
        if not context.scene.meshlam.folder:
            cls.poll_message_set("Choose a folder first")
            return False
        return True

    def start(self, context: Any) -> bool:
        folder = Path(bpy.path.abspath(context.scene.meshlam.folder))
        self._left = photos_in(folder)
        self._made, self._failed = 0, []
        if not self._left:
            self.report({"ERROR"}, f"There are no photos in {folder}.")
            return False
        return self._next(context)

    def go_on(self, context: Any) -> bool:
        """Take in the head that is done, or the reason why there is none, and begin the next."""
        session = state.session
        if session.request is None or session.state is State.CANCELLED:
            return False
        if session.state is State.FAILED and session.error is not None:
            self._failed.append(f"{session.request.source.name} ({session.error.message})")
            if session.error.kind == "backend":
                return False
        elif self.take_in(context, session.request, session.result) is None:
            self._failed.append(session.request.source.name)
        else:
            self._made += 1
        session.forget()
        return bool(self._left) and self._next(context)

    def _next(self, context: Any) -> bool:
        state.batch = f"{self._made + len(self._failed) + 1} of {self._made + len(self._failed) + len(self._left)}"
        return self.begin(context, self._left.pop(0), "largest")

    def _end(self, context: Any) -> set[str]:
        state.batch = ""
        stopped = state.session.state is State.CANCELLED
        told = f"{self._made} heads" + (", stopped" if stopped else "")
        if self._failed:
            told += f"; no head of {'; '.join(self._failed[:5])}"
        self.report({"WARNING" if self._failed else "INFO"}, told)
        return {"FINISHED" if self._made else "CANCELLED"}


def photos_in(folder: Path) -> list[Path]:
    """The photos of a folder by name; those of folders in it are not looked at."""
    if not folder.is_dir():
        return []
    return sorted(path for path in folder.iterdir() if path.suffix.lower() in state.IMAGE_SUFFIXES and path.is_file())


CLASSES = (ReconstructFolder,)
