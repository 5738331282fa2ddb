"""The limiter in greenlets, and in children of a process that uses it."""

from __future__ import annotations

from pathlib import Path

import pytest

from support import sent
from support.callers import CHILDREN, LIMITS
from support.crowd import crowd


@pytest.mark.parametrize("kinds", [("gevent", "gevent", "threads"), ("fork",)])
def test_greenlets_and_forked_children_share_the_line(tmp_path: Path, kinds: tuple[str, ...]) -> None:
    if "gevent" in kinds:
        pytest.importorskip("gevent")
    with crowd(tmp_path, *kinds) as made:
        made.everybody_calls()
        made.stop()
        calls = made.balanced()
        assert len({call.process for call in calls}) == len(kinds) + CHILDREN * kinds.count("fork")
        assert {call.settled for call in calls} == {"settled"}
        assert sent.history(made.store) == []
        assert sent.overrun(calls, LIMITS) == []
        assert sent.crowded(calls, LIMITS.concurrency or 0) == []
        assert sent.fences(calls) == []
