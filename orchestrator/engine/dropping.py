"""Take a node that has not begun out of the plan, and say what becomes of those that wait for it."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any, Final, Literal

from orchestrator.domain.command import Order, Repeated
from orchestrator.domain.errors import Fault, IllegalTransition, InvalidGoal, NodeNotFound
from orchestrator.domain.refs import references
from orchestrator.engine.came import Came, recall
from orchestrator.engine.patch import Patcher
from orchestrator.store.store import Store

Dependants = Literal["skip", "fail", "rewire"]
OPEN: Final = ("BLOCKED", "READY", "WAITING")
_FIRING: Final = {"": "done", "f": "failed", "a": "finished"}


class Dropper:
    """Drops nodes."""

    def __init__(self, store: Store, patcher: Patcher) -> None:
        self._store = store
        self._patcher = patcher

    def drop(
        self, goal: str, node: str, *, dependants: Dependants = "skip", reason: str = "", order: Order | None = None
    ) -> Came:
        """Drop a node; the detail is the plan's new version.

        `skip`: those that need it are skipped. `fail`: as if it had failed. `rewire`: they wait for its parents instead. Raises
        GoalNotFound, NodeNotFound, IllegalTransition (it has begun, or has ended), InvalidGoal with each place that keeps it
        from being rewired, Repeated and Expired.
        """
        self._store.goals.record(goal)
        try:
            recall(self._store, goal, order, node)
        except Repeated:
            self._patcher.cancel_children(goal, [node])  # whoever dropped it may have died before this
            raise
        self._look(goal, node)
        patch: dict[str, Any] = {"drop_nodes": [node]}
        if dependants == "rewire":
            patch |= self._rewiring(goal, node)
        why = reason or (order.reason if order is not None else "")
        try:
            version = self._patcher.apply(
                goal, patch, why, order=order, dropping=node, as_failed=dependants == "fail"
            )  # fmt: skip
        except InvalidGoal:
            self._look(goal, node)  # it began meanwhile: that is what there is to tell
            raise
        return Came("dropped", (node,), str(version))

    def _look(self, goal: str, node: str) -> None:
        state = self._store.nodes.states(goal, [node])[0].get("state")
        if state is None:
            raise NodeNotFound(f"goal {goal!r} has no node {node!r}")
        if state not in OPEN:
            begun = "has begun" if state == "RUNNING" else "has ended"
            raise IllegalTransition(f"node {node!r} of goal {goal!r} is {state}: it {begun} and cannot be dropped")

    def _rewiring(self, goal: str, node: str) -> dict[str, Any]:
        """The edges past the node. Raises InvalidGoal with every place where somebody needs what it would have given."""
        goals = self._store.goals
        written = goals.part(goal, "edges")
        specs = {name: json.loads(raw) for name, raw in goals.part(goal, "nodes").items()}
        names = list(specs)
        states = {
            name: task.get("state", "")
            for at in range(0, len(names), 1000)
            for name, task in zip(
                names[at : at + 1000], self._store.nodes.states(goal, names[at : at + 1000]), strict=True
            )
        }
        parents = {source: letter for source, target, letter in _edges(written) if target == node and letter != "i"}
        children = {
            target: letter for source, target, letter in _edges(written)
            if source == node and letter != "i" and states.get(target) in ("BLOCKED", "READY")
        }  # fmt: skip
        kept = {child: letter for child, letter in children.items() if letter != "f"}  # a rescue is needed no more
        faults = [
            *_conditions(node, parents, children), *_joins(node, parents, kept, specs), *_readers(node, specs, states),
        ]  # fmt: skip
        if faults:
            raise InvalidGoal(faults)
        there = {(source, target) for source, target, _ in _edges(written)}
        added = [
            {"source": parent, "target": child, "on": _FIRING[letter]}
            for child in kept
            for parent, letter in parents.items() if (parent, child) not in there
        ]  # fmt: skip
        return {"add_edges": added, "drop_edges": [(node, child) for child in kept]}


def _edges(written: Mapping[str, str]) -> Iterator[tuple[str, str, str]]:
    for source, raw in written.items():
        for part in raw.split():
            target, _, letter = part.partition(":")
            yield source, target, letter


def _conditions(node: str, parents: Mapping[str, str], children: Mapping[str, str]) -> Iterator[Fault]:
    remedy = "drop it with dependants skip or fail"
    for parent, letter in parents.items():
        if letter == "w" and children:
            yield Fault(
                f"edge {parent} -> {node}", "its condition decides about the node; nobody could decide past it", remedy
            )
    for child, letter in children.items():
        if letter == "w":
            yield Fault(f"edge {node} -> {child}", f"its condition reads the output of {node!r}", remedy)


def _joins(
    node: str, parents: Mapping[str, str], children: Mapping[str, str], specs: Mapping[str, Any]
) -> Iterator[Fault]:
    """Who waits for some of the edges into it only would wait for others then."""
    remedy = "drop it with dependants skip or fail, or change the plan with a patch"
    if len(parents) > 1 and children and specs[node].get("join", "all") != "all":
        yield Fault(
            f"node {node}, join", "it waits for some of its parents only; those behind it would wait for all", remedy
        )
    for child in children:
        if len(parents) != 1 and specs[child].get("join", "all") != "all":
            text = f"it waits for some of the edges into it; {len(parents)} would come in the place of one"
            yield Fault(f"node {child}, join", text, remedy)


def _readers(node: str, specs: Mapping[str, Any], states: Mapping[str, str]) -> Iterator[Fault]:
    for name, spec in specs.items():
        waits = states.get(name) in OPEN and not spec.get("_literal")
        if waits and name != node and node in references(spec.get("inputs") or {}):
            yield Fault(f"node {name}, inputs", f"it reads the output of {node!r}", f"edit {name!r} first")
