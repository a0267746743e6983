"""Batches made in processes of their own, ahead of the step that wants them."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future, ProcessPoolExecutor
from multiprocessing import get_context
from typing import Any, Generic, TypeVar

from meshlam_core.opencv import set_threads

Made = TypeVar("Made")

AHEAD = 3  # batches a process

_make: list[Callable[[int], Any]] = []  # of a working process


class Ahead(Generic[Made]):
    """The batch of a step, which `make` gives; the next ones are made meanwhile."""

    def __init__(
        self,
        make: Callable[[int], Made],  # goes to the processes by pickling
        workers: int,  # 0: nothing is made ahead
        stride: int = 1,  # between the steps that are asked for
    ) -> None:
        self.make, self.stride = make, stride
        self.count = AHEAD * workers
        self.waiting: dict[int, Future[Made]] = {}
        if workers:
            context = get_context("spawn")
            self.pool = ProcessPoolExecutor(workers, context, initializer=_begin, initargs=(make,))

    def __call__(self, step: int) -> Made:
        """Always the same."""
        if not self.count:
            return self.make(step)
        for wanted in range(step, step + self.count * self.stride, self.stride):
            if wanted not in self.waiting:
                self.waiting[wanted] = self.pool.submit(_work, wanted)
        return self.waiting.pop(step).result()


def _begin(make: Callable[[int], Any]) -> None:
    set_threads(1)
    _make.append(make)


def _work(step: int) -> Any:
    return _make[0](step)
