"""A finished node waits for a Redis that is away, and gives its lease up if it stays away."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from redis.exceptions import ConnectionError as Away

from orchestrator.engine import commits
from orchestrator.engine.ends import Done
from orchestrator.store.records import Verdict
from support.crew import Crew


def failing(function: Callable[..., Any], times: int) -> Callable[..., Any]:
    """A function whose first calls find no Redis."""
    left = [times]

    def call(*args: Any, **kwargs: Any) -> Any:
        if left[0]:
            left[0] -= 1
            raise Away("gone for a moment")
        return function(*args, **kwargs)

    return call


@pytest.mark.parametrize("step", ["spec", "commit"])
@pytest.mark.parametrize("patience", [60.0, 0.0])
def test_a_task_commits_when_redis_is_back_or_lets_its_lease_run_out(
    crew: Crew, monkeypatch: pytest.MonkeyPatch, step: str, patience: float
) -> None:
    crew.submit(["a"])
    (claimed,) = crew.runner._claim("g", "default", 1).claims
    held = crew.committer.keeper.hold(claimed.lease, claimed.lease_ms)
    monkeypatch.setattr(commits, "REDIS_PATIENCE_SECONDS", patience)
    monkeypatch.setattr("orchestrator.engine.commits.time.sleep", lambda _: None)
    part = crew.store.goals if step == "spec" else crew.store.nodes
    monkeypatch.setattr(part, step, failing(getattr(part, step), 2))
    if patience:
        assert crew.committer.finish(claimed.lease, Done(1), held) is Verdict.ACCEPTED
    else:
        with pytest.raises(Away):
            crew.committer.finish(claimed.lease, Done(1), held)
    assert crew.committer.keeper.held() == [], "the lease of a task that has ended is not kept alive"
