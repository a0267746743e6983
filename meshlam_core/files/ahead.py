"""Working ahead: items made in a thread of their own while earlier ones are used."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator
from contextlib import suppress
from queue import Full, Queue
from typing import TypeVar

T = TypeVar("T")

_LOOK = 0.1  # s between two looks at whether anybody still wants items


class _End:
    """The last thing in the queue: all is done, or went wrong."""

    def __init__(self, error: BaseException | None = None) -> None:
        self.error = error


def ahead(
    items: Iterable[T],
    count: int = 2,
) -> Iterator[T]:
    """The same items, up to `count` of them made before they are asked for. Errors come where the item would."""
    ready: Queue[T | _End] = Queue(count)
    unwanted = threading.Event()

    def offer(item: T | _End) -> None:
        while not unwanted.is_set():
            with suppress(Full):
                ready.put(item, timeout=_LOOK)
                return

    def make() -> None:
        error: BaseException | None = None
        try:
            for item in items:
                offer(item)
                if unwanted.is_set():
                    break
        except BaseException as caught:  # told to the caller, whatever it is
            error = caught
        offer(_End(error))

    maker = threading.Thread(target=make, name="ahead", daemon=True)
    maker.start()
    try:
        while not isinstance(item := ready.get(), _End):
            yield item
        if item.error is not None:
            raise item.error
    finally:
        unwanted.set()
        maker.join()
