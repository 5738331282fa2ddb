"""Nodes that a node adds to its own goal, once: a repetition finds them there, and changes nothing."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Protocol

from orchestrator.domain.command import Order
from orchestrator.domain.errors import InvalidGoal, NodeFailed
from orchestrator.store.store import Store

PLANNED_BY: Final = "planned_by"
"""In the metadata of a node: the node that put it into the plan."""
GONE: Final = frozenset({"DROPPED", "SKIPPED"})


class Patching(Protocol):
    """Changes the plan of a goal."""

    def apply(self, goal: str, patch: Mapping[str, Any], reason: str = "", *, order: Order | None = None) -> int:
        """The plan's new version. Raises InvalidGoal, GoalNotFound, IllegalTransition, Repeated, Expired."""
        ...


@dataclass(frozen=True, slots=True)
class PlanPatcher:
    """Changes plans in the name of a node."""

    store: Store
    patcher: Patching

    def add(
        self, goal: str, author: str, nodes: Sequence[Mapping[str, Any]], edges: Sequence[Mapping[str, Any]],
        drop: Sequence[str] = (), reason: str = "",
    ) -> bool:  # fmt: skip
        """Patch the goal in one step; False where this author did so before. Raises NodeFailed where it cannot be done."""
        names = [str(node["id"]) for node in nodes]
        if self.is_done(goal, author, names, drop):
            return False
        signed = [{**node, "metadata": {**node.get("metadata", {}), PLANNED_BY: author}} for node in nodes]
        try:
            self.patcher.apply(
                goal, {"add_nodes": signed, "add_edges": list(edges), "drop_nodes": list(drop)}, reason[:1000]
            )
        except InvalidGoal as error:
            if self.is_done(goal, author, names, drop):  # an attempt that was taken for dead came first
                return False
            raise NodeFailed(f"the plan cannot be changed: {error}") from None
        return True

    def is_done(self, goal: str, author: str, names: Iterable[str], drop: Sequence[str] = ()) -> bool:
        """Whether this author's patch was applied. It is one step, so any of its nodes shows it."""
        for name in names:
            spec = json.loads(self.store.goals.spec(goal, name))
            return bool(spec.get("metadata", {}).get(PLANNED_BY) == author)
        states = [record.get("state") for record in self.store.nodes.states(goal, drop)] if drop else []
        return bool(states) and all(state in GONE for state in states)
