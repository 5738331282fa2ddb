"""A goal driven by hand and an engine without Celery; after each test everything that is stored must be sound."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from orchestrator.llm.limits import Limits
from orchestrator.llm.scripted import Scripted, Step
from orchestrator.store.store import Store
from support.agent_steps import agent_tools, talks
from support.calls import ANSWERS, Calls
from support.crew import Crew
from support.desk import Desk
from support.invariants import broken, unknown_keys
from support.sim import Sim

__all__ = ["agent_tools", "talks"]


def sound(store: Store) -> None:
    """Every visible goal keeps the invariants, and no key is unknown."""
    for goal in store.goals.newest(0, 1000):
        record = store.client.hgetall(store.keys.goal(goal))
        if record and "building" not in record:
            assert broken(store, goal) == []
    assert unknown_keys(store) == []


@pytest.fixture
def sim(store: Store) -> Iterator[Sim]:
    """The goal "g", driven by hand."""
    yield Sim(store)
    sound(store)


@pytest.fixture
def crew(store: Store, tmp_path: Path) -> Iterator[Crew]:
    """The engine, driven by hand."""
    yield Crew(store, tmp_path)
    sound(store)


@pytest.fixture
def plan(crew: Crew) -> Any:
    """Patches the goal that the test drives by hand."""

    def apply(**patch: Any) -> int:
        return crew.patcher.apply("g", patch)

    return apply


@pytest.fixture
def desk(store: Store) -> Iterator[Callable[..., Desk]]:
    """Makes an account of LLM calls, driven by hand; without pacing unless the test asks for it."""

    def make(**limits: Any) -> Desk:
        return Desk(store, Limits(**({"burst_seconds": 60.0} | limits)))

    yield make
    assert unknown_keys(store) == []


@pytest.fixture
def calls(crew: Crew) -> Iterator[Callable[..., Calls]]:
    made: list[Calls] = []

    def make(*steps: Step, **changes: Any) -> Calls:
        made.append(Calls(crew, Scripted(steps or (ANSWERS,)), **changes))
        return made[-1]

    yield make
    for one in made:
        one.limiter.close()
