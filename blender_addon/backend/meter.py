"""How far an installation is: the stages with the seconds they are expected to take, bytes, and the time left."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass

_SETTLE_SECONDS = 2.0  # a rate measured over less says nothing


@dataclass(frozen=True)
class Report:
    """What is shown of a moment."""

    stage: str
    fraction: float  # of the whole, 0..1
    done: int = 0  # bytes of this stage
    total: int = 0  # 0: this stage counts no bytes
    seconds_left: float | None = None

    @property
    def text(self) -> str:
        """One line for the bar."""
        parts = [self.stage]
        if self.total:
            parts.append(f"{self.done / 1e6:.0f} of {self.total / 1e6:.0f} MB")
        if self.seconds_left is not None:
            parts.append(f"{in_words(self.seconds_left)} left")
        return ", ".join(parts)


def in_words(seconds: float) -> str:
    """A duration as people say it."""
    if seconds < 60:
        return f"{max(5, 5 * math.ceil(seconds / 5))} s"
    return f"{math.ceil(seconds / 60)} min"


class Meter:
    """Turns what happens into reports. The whole never goes back."""

    def __init__(
        self,
        stages: list[tuple[str, float]],  # name, expected seconds
        report: Callable[[Report], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._stages = stages
        self._report = report
        self._clock = clock
        self._index = 0
        self._since = clock()
        self._first = 0  # bytes that were there when the stage began
        self._best = 0.0

    def enter(self, stage: str) -> None:
        """The next stage begins."""
        self._index = next(index for index, (name, _) in enumerate(self._stages) if name == stage)
        self._since = self._clock()
        self._first = -1
        self.tick()

    def tick(self, done: int = 0, total: int = 0) -> None:
        """Something has happened, or time has passed."""
        name, expected = self._stages[self._index]
        elapsed = self._clock() - self._since
        if self._first < 0 and total:
            self._first = done
        part = done / total if total else 1.0 - math.exp(-elapsed / expected)
        before = sum(seconds for _, seconds in self._stages[: self._index])
        after = sum(seconds for _, seconds in self._stages[self._index + 1 :])
        self._best = max(self._best, min((before + part * expected) / (before + expected + after), 1.0))
        self._report(Report(name, self._best, done, total, self._left(elapsed, expected, done, total, after)))

    def _left(self, elapsed: float, expected: float, done: int, total: int, after: float) -> float | None:
        if not total:
            return expected - elapsed + after if elapsed < expected else None
        got = done - max(self._first, 0)
        if elapsed < _SETTLE_SECONDS or got <= 0:
            return None
        return (total - done) * elapsed / got + after
