"""What takes the place of backend and key doctor where only what Blender does with their results is of interest."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from blender_addon.doctor.correctives import Corrective, Cure, Found
from blender_addon.job import State


class Settled:
    """The part of a session that has nothing to wait for: its jobs end when they start."""

    active, worker, error = False, None, None
    state = State.IDLE

    def wait(self) -> State:
        return self.state

    def forget(self) -> None:
        self.state = State.IDLE

    def close(self) -> None:
        pass


class AtOnce(Settled):
    """A session whose jobs are done at once."""

    def __init__(self, avatar: Path, track: Path) -> None:
        self.avatar, self.track = avatar, track
        self.request, self.result = None, {}

    def start(self, _backend, request) -> None:
        self.request, self.state = request, State.DONE
        self.result = {"avatar": str(self.avatar), "out": str(self.track)}


def one_corrective(mesh) -> Cure:
    move = np.zeros_like(mesh.vertices)
    move[10, 2] = 0.004
    found = Found({"lips": 3}, {"lips": 0.002})
    return Cure(found, found, [Corrective("mouthClose", ("jawOpen",), move)])
