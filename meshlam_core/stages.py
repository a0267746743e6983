"""The stages of a reconstruction: how long each took, and how far the whole job is."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

from meshlam_core.progress import Progress

# where each stage ends, as a fraction of one photo's job
STAGES = {
    "reading": 0.05,
    "tracking": 0.25,
    "masks": 0.33,
    "hair": 0.37,
    "texture": 0.65,
    "refine": 0.9,
    "preview": 0.95,
}
_BEFORE, _TOGETHER = STAGES["texture"], STAGES["refine"]  # photo by photo, then all of a batch, then photo by photo


@dataclass
class Clock:
    """Times the stages of one photo and reports them."""

    progress: Progress
    timings: dict[str, float] = field(default_factory=dict)  # s
    done: float = 0.0

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """A stage of this photo alone."""
        with shared_stage([self], name):
            yield


@contextmanager
def shared_stage(
    clocks: Sequence[Clock], name: str
) -> Iterator[Callable[[float], None]]:  # takes the fraction of the stage that is done
    """A stage of several photos at once; each is said to have taken its share of the time."""
    first = clocks[0]
    begin, end = first.done, STAGES[name]

    def report(fraction: float) -> None:
        first.progress(name, begin + (end - begin) * fraction, "")

    report(0.0)
    start = time.perf_counter()
    yield report
    seconds = (time.perf_counter() - start) / len(clocks)
    for clock in clocks:
        clock.timings[name] = round(seconds, 4)
        clock.done = end


def of_batch(
    progress: Progress,
    photo: int,  # which one of the batch
    batch: int,  # photos in it
    before: int,  # photos of earlier batches
    total: int,  # photos in all
) -> Progress:
    """The progress of one photo as a part of the whole job."""

    def report(stage: str, fraction: float, message: str) -> None:
        if fraction < _BEFORE:
            inside = (photo * _BEFORE + fraction) / batch
        elif fraction < _TOGETHER:
            inside = fraction
        else:
            inside = _TOGETHER + (photo * (1 - _TOGETHER) + fraction - _TOGETHER) / batch
        counted = f"photo {before + photo + 1} of {total}" if total > 1 and stage != "refine" else message
        progress(stage, (before + batch * inside) / total, counted)

    return report
