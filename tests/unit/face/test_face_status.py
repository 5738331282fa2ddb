"""Each of nFactorial's ten states, from what is stored."""

from __future__ import annotations

import pytest

from orchestrator.domain.dag import NodeKind
from orchestrator.domain.states import GoalState, NodeState
from orchestrator.face.status import Standing, Step, TaskStatus, status_of

G, N, T = GoalState, NodeState, TaskStatus
TOOL = Step(NodeKind.TOOL, N.RUNNING)
ENDED_AGENT = Step(NodeKind.AGENT, N.DONE)
CHILD = Step(NodeKind.AGENT, N.WAITING, "llm:main")
DEFERRED = Step(NodeKind.TOOL, N.WAITING, "deferred")
APPROVAL = Step(NodeKind.TOOL, N.WAITING, "approval")


@pytest.mark.parametrize(
    ("standing", "status"),
    [
        pytest.param(Standing(G.RUNNING, N.READY), T.QUEUED, id="no worker has taken it"),
        pytest.param(Standing(G.RUNNING, N.BLOCKED), T.QUEUED, id="it waits for another node"),
        pytest.param(Standing(G.RUNNING, N.RUNNING), T.PROCESSING, id="a worker holds it"),
        pytest.param(Standing(G.RUNNING, N.WAITING, "llm:main"), T.PROCESSING, id="in the line before the model"),
        pytest.param(Standing(G.RUNNING, N.WAITING, "tools", 1, steps=(TOOL,)), T.PROCESSING, id="ordinary tools run"),
        pytest.param(Standing(G.RUNNING, N.READY, turns=2), T.ACTIVE, id="between two turns"),
        pytest.param(Standing(G.DONE, N.DONE, turns=2), T.COMPLETED, id="done"),
        pytest.param(Standing(G.FAILED, N.FAILED), T.FAILED, id="failed"),
        pytest.param(Standing(G.PAUSED, N.READY, turns=1), T.PAUSED, id="paused"),
        pytest.param(Standing(G.AWAITING_APPROVAL, N.READY), T.PAUSED, id="the plan awaits approval"),
        pytest.param(Standing(G.CANCELLED, N.CANCELLED), T.CANCELLED, id="cancelled"),
        pytest.param(Standing(G.RUNNING, N.RUNNING, cancelling=True), T.CANCELLED, id="being cancelled"),
        pytest.param(
            Standing(G.RUNNING, N.WAITING, "tools", 1, steps=(TOOL, DEFERRED)),
            T.PENDING_TOOL_RESULTS,
            id="deferred tool",
        ),
        pytest.param(
            Standing(G.RUNNING, N.WAITING, "tools", 1, steps=(APPROVAL,)), T.PENDING_TOOL_RESULTS, id="approval"
        ),
        pytest.param(
            Standing(G.RUNNING, N.WAITING, "children", 1, steps=(CHILD, ENDED_AGENT)), T.PENDING_CHILD_TASKS, id="child"
        ),
        pytest.param(
            Standing(G.RUNNING, N.WAITING, "children", 1, steps=(CHILD, DEFERRED)), T.PENDING_TOOL_RESULTS, id="both"
        ),
        pytest.param(
            Standing(G.RUNNING, N.WAITING, "children", 1, steps=(ENDED_AGENT,)), T.PROCESSING, id="the last child ended"
        ),
        pytest.param(Standing(G.RUNNING, N.WAITING, "backoff", 1), T.BACKOFF, id="backoff"),
    ],
)
def test_a_state(standing: Standing, status: TaskStatus) -> None:
    assert status_of(standing) is status


def test_every_pair_of_states_has_one_of_the_ten() -> None:
    seen = {
        status_of(Standing(goal, node, parked, turns, steps=steps))
        for goal in G for node in N for parked in ("", "backoff", "llm:a", "tools", "approval")
        for turns in (0, 1) for steps in ((), (CHILD,), (DEFERRED,))
    }  # fmt: skip
    assert seen == set(T)
    assert [state.value for state in T] == [
        "queued", "processing", "active", "completed", "failed", "paused", "cancelled", "pending_tool_results",
        "pending_child_tasks", "backoff",
    ]  # fmt: skip
