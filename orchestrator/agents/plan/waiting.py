"""The plans of a goal that a person is to look at."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from orchestrator.agents.plan.approval import APPLY
from orchestrator.agents.plan.form import read
from orchestrator.agents.plan.proposal import Proposal, Revision
from orchestrator.agents.plan.scene import read_stored
from orchestrator.engine.payload import Payloads
from orchestrator.store.store import Store


@dataclass(frozen=True, slots=True)
class WaitingPlan:
    """A plan that was made."""

    approval: str
    """The node whose answer it waits for, or got; empty where it needs none."""
    planner: str
    """The node that made it."""
    plan: Proposal
    waits: bool
    """Nobody has answered yet."""


def plans_of(store: Store, payloads: Payloads, goal: str) -> list[WaitingPlan]:
    """The plans that were made for a goal, first to last. Raises GoalNotFound."""
    store.goals.record(goal)
    return list(_plans(store, payloads, goal))


def _plans(store: Store, payloads: Payloads, goal: str) -> Iterator[WaitingPlan]:
    stored = read_stored(store, goal)
    applied = [(name, spec) for name, spec in stored.specs.items() if spec.get("call") == APPLY]
    for _, spec in sorted(applied, key=lambda pair: (len(pair[0]), pair[0])):
        inputs = spec.get("inputs") or {}
        planner, approval = _source(inputs.get("plan")), _source(inputs.get("approval"))
        if stored.state(planner) != "DONE":
            continue
        output = payloads.unpack(store.nodes.outputs(goal, [planner])[0])
        value = output["output"] if isinstance(output, dict) and "output" in output else output
        found, _ = read(value, Revision if inputs.get("revises") else Proposal)
        if found is not None:
            yield WaitingPlan(approval, planner, found, stored.state(approval) == "WAITING")


def _source(reference: Any) -> str:
    return str(reference.get("from", "")) if isinstance(reference, dict) else ""
