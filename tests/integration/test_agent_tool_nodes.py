"""Nodes of kind `tool` on a real store: approval, time limits, retries, bounds, and what a call may know."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import pytest

from orchestrator.agents.tools.toolbox import TOOLS, ToolContext, tool
from orchestrator.domain.agent import AgentCard
from orchestrator.domain.errors import NodeTimeout
from orchestrator.engine.context import current
from support.crew import Crew
from support.servers import until

SEEN: list[Any] = []
CARD = AgentCard(name="ada", queue="pens")


@pytest.fixture(autouse=True)
def _no_tools() -> Iterator[None]:
    """Tools of one test are not those of the next."""
    before = dict(TOOLS.functions)
    SEEN.clear()
    yield
    TOOLS.functions.clear()
    TOOLS.functions.update(before)


def submit(crew: Crew, call: str, inputs: Any = None, **fields: Any) -> None:
    """A goal of one call."""
    crew.submit([{"id": "n", "kind": "tool", "call": call, "inputs": inputs or {}, **fields}])
    crew.work()


def failure(crew: Crew, node: str = "n") -> dict[str, str]:
    """Why a node failed."""
    found: dict[str, str] = json.loads(crew.store.goals.part("g", "dead")[node])
    return found


def test_a_call_knows_its_lease_and_reads_what_is_upstream(crew: Crew) -> None:
    @tool
    def look(word: str, about: ToolContext) -> str:
        lease = current()
        assert lease is not None
        assert (lease.goal, lease.node, lease.token, lease.attempt) == (
            about.goal, about.node, about.token, about.attempt,
        )  # fmt: skip
        SEEN.append(about)
        return f"{word}!"

    crew.function(lambda: {"word": "hello"}, "say")
    crew.submit(
        [{"id": "a", "call": "say"},
         {"id": "n", "kind": "tool", "call": "look", "inputs": {"word": {"from": "a", "path": "word"}}}],
        [("a", "n")],
    )  # fmt: skip
    crew.work()
    assert crew.output("n") == "hello!"
    assert (SEEN[0].idempotency_key, SEEN[0].agent, SEEN[0].deferred_token) == ("g:n", "", "")
    assert SEEN[0].token >= 1


def test_a_failed_call_is_repeated_with_the_same_key_and_a_higher_token(crew: Crew) -> None:
    @tool(retries=2)
    def weak(about: ToolContext) -> str:
        SEEN.append(about)
        if len(SEEN) < 3:
            raise OSError("down")
        return "up"

    crew.submit([{"id": "n", "kind": "tool", "call": "weak", "backoff_seconds": 0}])
    crew.work()
    assert crew.output("n") == "up"
    assert [one.attempt for one in SEEN] == [1, 2, 3]
    assert len({one.idempotency_key for one in SEEN}) == 1
    assert sorted({one.token for one in SEEN}) == [one.token for one in SEEN]


def test_without_retries_an_error_is_final_and_says_its_name(crew: Crew) -> None:
    @tool
    def broken() -> None:
        SEEN.append(1)
        raise LookupError("no such thing")

    submit(crew, "broken")
    assert crew.states() == {"n": "FAILED"}
    assert len(SEEN) == 1
    assert failure(crew)["error"] == "LookupError: no such thing"
    assert failure(crew)["reason"] == "tool"


def test_arguments_are_checked_again_where_they_are_used(crew: Crew) -> None:
    @tool(retries=5)
    def look(word: str) -> None:
        SEEN.append(word)

    submit(crew, "look", {"word": 3, "shell": "rm"})
    assert SEEN == []
    assert failure(crew)["reason"] == "bad input"
    assert "shell: Extra inputs" in failure(crew)["error"]


def test_a_tool_that_the_worker_does_not_know_fails_for_good(crew: Crew) -> None:
    submit(crew, "nowhere", retries=5)
    assert failure(crew)["reason"] == "unknown function"
    assert "no tool is registered as 'nowhere'" in failure(crew)["error"]


def test_a_call_ends_at_its_time_limit(crew: Crew) -> None:
    @tool
    def endless() -> None:
        until(lambda: False, 20, what="a tool that is stopped")

    @tool
    async def asleep() -> None:
        await asyncio.sleep(60)

    for name in ("endless", "asleep"):
        begun = time.monotonic()
        crew.submit([{"id": "n", "kind": "tool", "call": name, "timeout_seconds": 0.2, "retries": 0}], goal_id=name)
        crew.work()
        assert time.monotonic() - begun < 10
        assert crew.states(name) == {"n": "FAILED"}
        assert "time limit" in json.loads(crew.store.goals.part(name, "dead")["n"])["error"]


def test_the_tools_own_time_limit_counts_where_the_node_has_none(crew: Crew) -> None:
    @tool(timeout_seconds=0.2)
    def endless() -> None:
        until(lambda: False, 20, what="a tool that is stopped")

    @tool(timeout_seconds=0.2)
    def slow() -> str:
        time.sleep(0.5)
        return "done"

    begun = time.monotonic()
    submit(crew, "endless", retries=0)
    assert time.monotonic() - begun < 10
    assert "time limit of 0.2 s" in failure(crew)["error"]
    crew.submit([{"id": "n", "kind": "tool", "call": "slow", "timeout_seconds": 30}], goal_id="longer")
    crew.work()
    assert crew.output("n", "longer") == "done"


def test_a_call_that_does_not_notice_the_tools_own_time_limit_is_given_up(crew: Crew) -> None:
    @tool(timeout_seconds=0.1)
    def deaf() -> None:
        end = time.monotonic() + 20
        while time.monotonic() < end and not SEEN:
            with suppress(NodeTimeout):
                time.sleep(0.02)
                if crew.states() == {"n": "FAILED"}:
                    SEEN.append("failed")

    submit(crew, "deaf", retries=0)
    assert SEEN == ["failed"], "the watcher ended it while it still ran"
    assert "0.1 s and did not stop" in failure(crew)["error"]


def test_a_result_is_bounded_before_it_is_stored(crew: Crew) -> None:
    @tool(result_bytes=100)
    def long() -> str:
        return "\u20ac" * 1000

    @tool(result_bytes=100)
    def many() -> list[int]:
        return list(range(1000))

    @tool(result_bytes=100)
    def short() -> dict[str, int]:
        return {"size": 3}

    crew.submit([{"id": name, "kind": "tool", "call": name} for name in ("long", "many", "short")])
    crew.work()
    assert crew.output("long") == "\u20ac" * 22 + "\n[cut: 2934 more bytes]"
    assert crew.output("many").startswith("[0,1,2,")
    assert len(crew.output("many")) <= 100
    assert crew.output("short") == {"size": 3}


def test_what_is_not_json_and_half_characters(crew: Crew) -> None:
    @tool
    def odd() -> object:
        return object()

    @tool
    def half() -> str:
        return "a\ud800b"

    crew.submit([{"id": name, "kind": "tool", "call": name, "retries": 0} for name in ("odd", "half")])
    crew.work()
    assert crew.states() == {"odd": "FAILED", "half": "DONE"}
    assert failure(crew, "odd")["reason"] == "output"
    assert crew.output("half") == "a?b"


# -- approval ---------------------------------------------------------------------------------------------------------


def test_nothing_happens_before_the_approval(crew: Crew) -> None:
    @tool(approval=True, timeout_seconds=5)
    def pay(euros: int, about: ToolContext) -> str:
        SEEN.append(about.token)
        return f"paid {euros}"

    submit(crew, "pay", {"euros": 5}, timeout_seconds=5)
    assert crew.states() == {"n": "WAITING"}
    assert SEEN == []
    assert crew.store.goals.part("g", "parked")
    timers = crew.store.client.zrange(crew.store.keys.part("g", "timers"), 0, -1)
    assert timers == [], "the limit is the call's, a person may take longer"
    assert crew.control.approve("g", "n", "go on") == "approved"
    crew.work()
    assert crew.output("n") == "paid 5"
    assert len(SEEN) == 1


def test_a_rejected_call_never_runs(crew: Crew) -> None:
    @tool(approval=True)
    def pay() -> None:
        SEEN.append(1)

    submit(crew, "pay")
    assert crew.control.reject("g", "n", "too dear") == "rejected"
    crew.work()
    assert crew.states() == {"n": "FAILED"}
    assert SEEN == []
    assert "too dear" in failure(crew)["error"]


def test_an_attempt_after_an_approved_one_asks_again(crew: Crew) -> None:
    @tool(approval=True, retries=1)
    def pay() -> str:
        SEEN.append(1)
        if len(SEEN) == 1:
            raise OSError("the line broke")
        return "paid"

    crew.submit([{"id": "n", "kind": "tool", "call": "pay", "backoff_seconds": 0}])
    crew.work()
    crew.control.approve("g", "n")
    crew.work()
    assert crew.states() == {"n": "WAITING"}
    assert len(SEEN) == 1
    crew.control.approve("g", "n")
    crew.work()
    assert crew.output("n") == "paid"


def test_a_deferred_tool_is_for_agents_alone(crew: Crew) -> None:
    @tool(deferred=True)
    def order() -> None:
        SEEN.append(1)

    submit(crew, "order")
    assert "can only be called by agents" in failure(crew)["error"]
    assert SEEN == []
