"""Tool calls as rows of nodes, deferred calls through the runner, and results as a model reads them."""

from __future__ import annotations

import json
from typing import Any

import pytest

from orchestrator.agents.conversation.decide import Accepted
from orchestrator.agents.conversation.transcript import Called
from orchestrator.agents.tools.kits import TASK_PARAMETERS
from orchestrator.agents.tools.nodes import ToolRunner, result_of, tool_row
from orchestrator.agents.tools.toolbox import Toolbox, ToolContext, tool
from orchestrator.domain.agent import AgentCard, AgentLimits, ToolCard, ToolKind
from orchestrator.domain.lease import Lease
from orchestrator.engine.ends import Failed, Parked
from orchestrator.store.records import Claimed

SEEN: list[Any] = []
CARD = AgentCard(name="ada", queue="pens")


@pytest.fixture(autouse=True)
def _nothing_seen() -> None:
    SEEN.clear()


class Given:
    """Upstream of a call without references."""

    def inputs(self, spec: Any) -> dict[str, Any]:
        return dict(spec.get("inputs") or {})


def accepted(card: ToolCard, **arguments: Any) -> Accepted:
    """A call as a turn accepts it."""
    return Accepted(Called(id="c", name=card.name, arguments="{}", node="n.t1.0"), card, arguments, 0)


def row_of(card: ToolCard, **arguments: Any) -> Any:
    """The row and its specification."""
    row = tool_row(accepted(card, **arguments), card=CARD, parent="n", depth=1, priority=3)
    return row, json.loads(row.spec)


def claimed(spec: Any, attempt: int = 1, resume: str = "") -> Claimed:
    """As a worker gets it."""
    lease = Lease("g", "n.t1.0", 5 + attempt, "x", attempt)
    return Claimed(lease=lease, lease_ms=1000, failures=0, spec=json.dumps(spec), resume=resume)


def test_a_deferred_call_runs_first_and_waits_for_its_own_signal() -> None:
    box = Toolbox()

    @tool(toolbox=box, deferred=True, timeout_seconds=60)
    def order(about: ToolContext) -> str:
        SEEN.append((about.deferred_token, about.idempotency_key, about.token))
        return "thrown away"

    _, spec = row_of(box.get("order").card)
    runner: ToolRunner = ToolRunner(box)
    ends = [runner.run(claimed(spec, attempt), spec, Given()) for attempt in (1, 2)]  # type: ignore[arg-type]
    assert ends[0] == ends[1]
    assert isinstance(ends[0], Parked)
    assert (ends[0].reason, ends[0].then, ends[0].seconds) == (
        "deferred", "failed", 60,
    )  # fmt: skip
    assert spec["deferred"] not in ends[0].as_json()
    assert ends[0].failure is not None
    assert ends[0].failure.final
    assert [token for token, _, _ in SEEN] == [f"g:n.t1.0:{spec['deferred']}"] * 2
    assert [key for _, key, _ in SEEN] == ["g:n.t1.0"] * 2
    assert SEEN[1][2] > SEEN[0][2]


def test_a_deferred_call_with_approval_waits_twice_and_fails_as_others_do() -> None:
    box = Toolbox()

    @tool(toolbox=box, deferred=True, approval=True)
    def order() -> None:
        SEEN.append(1)
        if len(SEEN) > 1:
            raise OSError("closed")

    _, spec = row_of(box.get("order").card)
    runner = ToolRunner(box)
    first = runner.run(claimed(spec), spec, Given())  # type: ignore[arg-type]
    assert first == Parked("approval", "failed")
    assert SEEN == []
    second = runner.run(claimed(spec, resume="approved:{}"), spec, Given())  # type: ignore[arg-type]
    assert isinstance(second, Parked)
    assert second.reason == "deferred"
    third = runner.run(claimed(spec, resume="approved:{}"), spec, Given())  # type: ignore[arg-type]
    assert isinstance(third, Failed)
    assert third.error == "OSError: closed"


def test_secrets_are_new_for_every_call_and_fit_into_a_token() -> None:
    card = ToolCard(name="order", kind=ToolKind.DEFERRED)
    secrets = {row_of(card)[1]["deferred"] for _ in range(100)}
    assert len(secrets) == 100
    assert all(len(one) >= 20 and one.replace("-", "").replace("_", "").isalnum() for one in secrets)


# -- rows and results -------------------------------------------------------------------------------------------------


def test_each_kind_of_call_is_a_node_of_its_own_kind() -> None:
    rows = {
        "python": row_of(ToolCard(name="look", approval=True, timeout_seconds=3, retries=2), word={"from": "other"}),
        "agent": row_of(ToolCard(name="agent_bob", kind=ToolKind.AGENT, call="bob", queue="ink"), task="Do it."),
        "person": row_of(ToolCard(name="ask_person", kind=ToolKind.PERSON), question="Who?\nYou?"),
        "task": row_of(
            ToolCard(name="task_a", kind=ToolKind.TASK, call="a", parameters=TASK_PARAMETERS, queue="mails"),
            args=[1], kwargs={"to": "x", "__args__": "no"},
        ),
        "own": row_of(ToolCard(name="b", kind=ToolKind.TASK, call="b"), to="x", __args__=[1]),
        "goal": row_of(
            ToolCard(name="start_goal", kind=ToolKind.GOAL),
            goal={"nodes": [{"id": "a", "kind": "agent", "agent": "bob"}, {"id": "b", "kind": "approval"}]},
        ),
    }  # fmt: skip
    assert all((row.id, row.edges, row.need, row.parents) == ("n.t1.0", "n:i", 0, "") for row, _ in rows.values())
    assert {name: row.queue for name, (row, _) in rows.items()} == {
        "python": "pens", "agent": "ink", "person": "", "task": "", "own": "", "goal": "",
    }  # fmt: skip
    specs = {name: spec for name, (_, spec) in rows.items()}
    assert all(spec["_literal"] for spec in specs.values())
    assert specs["python"] == {
        "title": "look", "kind": "tool", "call": "look", "agent": "ada", "inputs": {"word": {"from": "other"}},
        "retries": 2, "result_bytes": 32_768, "approval": True, "timeout_seconds": 3, "_literal": True,
    }  # fmt: skip
    assert (specs["agent"]["agent"], specs["agent"]["_depth"]) == ("bob", 2)
    assert specs["person"]["title"] == "ada asks: Who? You?"
    assert (specs["task"]["inputs"], specs["task"]["queue"]) == ({"to": "x", "__args__": [1]}, "mails")
    assert specs["own"]["inputs"] == {"to": "x"}
    assert specs["goal"]["goal"]["nodes"] == [
        {"id": "a", "kind": "agent", "agent": "bob", "metadata": {"agent_depth": "2"}}, {"id": "b", "kind": "approval"},
    ]  # fmt: skip


def test_a_sub_goal_gets_what_its_parent_gives_it() -> None:
    card = ToolCard(name="start_goal", kind=ToolKind.GOAL)
    row = tool_row(
        accepted(card, goal={"nodes": [{"id": "a", "kind": "approval"}], "title": "t"}), card=CARD, parent="n",
        depth=0, priority=0, head={"owner": "eve", "title": "none"},
    )  # fmt: skip
    assert json.loads(row.spec)["goal"] == {"owner": "eve", "title": "t", "nodes": [{"id": "a", "kind": "approval"}]}


AGENT_OUTPUT = {"text": '{"a":1}', "output": {"a": 1}, "turns": 3, "usage": {}, "micro_usd": 4}


@pytest.mark.parametrize(
    ("kind", "state", "output", "text"),
    [
        ("python", "DONE", {"a": [1]}, '{"a":[1]}'),
        ("python", "DONE", None, "null"),
        ("python", "DONE", "text", "text"),
        ("agent", "DONE", AGENT_OUTPUT, '{"a":1}'),
        ("goal", "DONE", {"goal_id": "g.n", "outputs": {"x": AGENT_OUTPUT, "y": 2}}, '{"x":{"a":1},"y":2}'),
        ("person", "DONE", {"approved": True, "comment": "Me."}, "Me."),
        ("person", "DONE", {"approved": True, "comment": ""}, "yes"),
        ("deferred", "DONE", "\u20ac" * 40, "\u20ac" * 10 + "\n[cut: 90 more bytes]"),
        ("python", "FAILED", None, "ToolError: why not"),
        ("agent", "DROPPED", None, "ToolError: why not"),
    ],
)
def test_a_result_is_what_the_model_can_use(kind: str, state: str, output: Any, text: str) -> None:
    card = ToolCard(name="x", kind=ToolKind(kind))
    called = Called(id="c", name="x", arguments="{}", node="n.t1.0")
    made = result_of(called, card, AgentLimits(result_bytes=64), state, output, "why not" if state != "DONE" else "")
    assert (made.id, made.text, made.failed) == ("c", text, state != "DONE")


@pytest.mark.parametrize("state", ["DROPPED", "CANCELLED", "SKIPPED"])
def test_an_end_without_a_reason_says_the_state(state: str) -> None:
    called = Called(id="c", name="x", arguments="{}", node="n.t1.0")
    made = result_of(called, ToolCard(name="x"), AgentLimits(), state, None, "")
    assert made.text == f"ToolError: the call was {state.lower()}"
