"""A block that ends in good order on SIGINT and SIGTERM."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType


@contextmanager
def until_signalled(stop: Callable[[], None]) -> Iterator[None]:
    """`stop` is called, in a thread, at the first signal, and once more at the end of the block.

    To be used from the main thread: elsewhere Python knows no signals, and ValueError is raised.
    """

    def on_signal(_number: int, _frame: FrameType | None) -> None:
        threading.Thread(target=stop, name="chordal-stop").start()

    before = {number: signal.signal(number, on_signal) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        stop()
        for number, handler in before.items():
            signal.signal(number, handler)
