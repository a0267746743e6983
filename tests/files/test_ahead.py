from __future__ import annotations

import threading
import time
from collections.abc import Iterator

import pytest

from meshlam_core.files.ahead import ahead


def test_the_items_come_in_their_order() -> None:
    assert list(ahead(iter(range(50)))) == list(range(50))


def test_items_are_made_while_earlier_ones_are_used() -> None:
    made: list[int] = []

    def numbers() -> Iterator[int]:
        for i in range(4):
            made.append(i)
            yield i

    items = ahead(numbers(), 2)
    assert next(items) == 0
    deadline = time.monotonic() + 5
    while len(made) < 4 and time.monotonic() < deadline:
        time.sleep(0.005)
    assert made == [0, 1, 2, 3]  # two wait, a third is offered
    assert list(items) == [1, 2, 3]


def test_an_error_comes_where_the_item_would() -> None:
    def broken() -> Iterator[int]:
        yield 1
        raise ValueError("cut off")

    items = ahead(broken())
    assert next(items) == 1
    with pytest.raises(ValueError, match="cut off"):
        next(items)


def test_giving_up_early_stops_the_work_and_closes_its_source() -> None:
    closed = threading.Event()

    def endless() -> Iterator[int]:
        try:
            while True:
                yield 0
        finally:
            closed.set()

    items = ahead(endless())
    next(items)
    items.close()  # type: ignore[attr-defined]
    assert closed.wait(5)
    assert not any(thread.name == "ahead" for thread in threading.enumerate())
