"""Call a callback under a time limit, in whatever pool the worker has."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from orchestrator import logs
from orchestrator.domain.errors import NodeTimeout
from orchestrator.domain.lease import Lease
from orchestrator.engine.leases import Keeper
from orchestrator.engine.time_limit import time_limit
from orchestrator.notify.notice import Notice
from orchestrator.notify.webhook import NotTold

_NEVER_MS: Final = 1 << 40
"""There is no lease behind the time limit that would have to be renewed."""


class TooSlow(NotTold):
    """A callback ran longer than `callback_timeout_seconds`; it was interrupted, and is called again later."""


def call(keeper: Keeper, name: str, function: Callable[[Notice], object], notice: Notice, seconds: float) -> None:
    """Call a function with a notice. Raises what it raises, and TooSlow after so many seconds."""
    held = keeper.hold(Lease(notice.goal, "", 0, "callback", 0), _NEVER_MS)
    try:
        with time_limit(held, seconds), logs.saying({"goal": notice.goal, "callback": name, "trace": notice.trace}):
            function(notice)
    except NodeTimeout:
        raise TooSlow(f"it ran longer than {seconds:g} s") from None
    finally:
        keeper.drop(held)
