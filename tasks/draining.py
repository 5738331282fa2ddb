"""Whether this worker takes no new node: set by remote control, asked by the processes that run nodes."""

from __future__ import annotations

import multiprocessing
from typing import NoReturn

from celery.exceptions import Reject

_draining = multiprocessing.get_context("fork").Value("b", 0, lock=False)
"""Shared with the forked children, also with those that are forked later."""


def is_draining() -> bool:
    """Whether it takes no new node."""
    return bool(_draining.value)


def drain(wanted: bool) -> bool:
    """Set it; whether that changed anything."""
    before, _draining.value = bool(_draining.value), int(wanted)
    return before != wanted


def give_back() -> NoReturn:
    """Put the message that is being handled back into its queue, for a worker that takes new nodes. Raises Reject."""
    raise Reject("this worker is being drained", requeue=True)
