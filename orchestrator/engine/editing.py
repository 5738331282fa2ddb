"""Give a node other inputs, before it begins or after it failed."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final

from orchestrator.domain.command import Order
from orchestrator.domain.dag import Node
from orchestrator.domain.errors import Fault, IllegalTransition, InvalidGoal, NodeNotFound
from orchestrator.domain.limits import DEFAULT_LIMITS
from orchestrator.domain.validate import read_goal
from orchestrator.engine.came import Came, heeded, recall
from orchestrator.engine.payload import to_json
from orchestrator.store.store import Store

TRIES: Final = 5
_PUBLIC: Final = frozenset(Node.model_fields) - {"id", "inputs"}


class Editor:
    """Edits nodes."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def edit(
        self, goal: str, node: str, *, inputs: Mapping[str, Any] | None = None, set: Mapping[str, Any] | None = None,
        order: Order | None = None,
    ) -> Came:  # fmt: skip
        """All `inputs` anew, or those in `set`; 'edited', and the detail is the plan's new version.

        It is for a node that is BLOCKED, READY, waits for its next attempt, FAILED or was SKIPPED. The inputs are checked as in
        a document. Raises GoalNotFound, NodeNotFound, InvalidGoal with every fault, IllegalTransition, Repeated and Expired.
        """
        self._store.goals.record(goal)
        recall(self._store, goal, order, node)
        for _ in range(TRIES):
            before = self._store.goals.spec(goal, node)
            spec: dict[str, Any] = json.loads(before)
            if not self._store.nodes.states(goal, [node])[0]:
                raise NodeNotFound(f"goal {goal!r} has no node {node!r}")
            old = spec.get("inputs") or {}
            new = dict(inputs) if inputs is not None else {**old, **(set or {})}
            self._check(goal, node, spec, new)
            names = sorted(
                name for name in old.keys() | new.keys() if name not in old or name not in new or old[name] != new[name]
            )
            outcome, detail = self._store.changes.edit(
                goal, node, before, to_json({**spec, "inputs": new}), json.dumps(names), order=order
            )
            if heeded(goal, outcome) == "edited":
                return Came("edited", (node,), detail)
            if outcome != "changed":
                raise _refusal(goal, node, outcome, detail)
        raise IllegalTransition(f"node {node!r} of goal {goal!r} is being changed by others; try again")

    def _check(self, goal: str, node: str, spec: Mapping[str, Any], inputs: dict[str, Any]) -> None:
        """The node among those before it, as a document. Raises InvalidGoal."""
        fields = {name: value for name, value in spec.items() if name in _PUBLIC} | {"id": node, "inputs": inputs}
        if spec.get("_literal"):  # an item of a map, a tool's call: what looks like a reference is none
            _check_size(inputs)
            return
        parents = {name: json.loads(raw) for name, raw in self._store.goals.part(goal, "deps").items()}
        before, stack = {node}, [node]
        while stack:
            for parent in parents.get(stack.pop(), ()):
                if parent not in before:
                    before.add(parent)
                    stack.append(parent)
        edges = [{"source": parent, "target": name} for name in sorted(before) for parent in parents.get(name, ())]
        others = [{"id": name} for name in sorted(before - {node})]
        try:
            read_goal({"nodes": [fields, *others], "edges": edges})
        except InvalidGoal as error:
            raise InvalidGoal(
                [Fault(fault.place.removeprefix("nodes[0]").lstrip(".") or "inputs", fault.message, fault.remedy)
                 for fault in error.faults]
            ) from None  # fmt: skip


def _check_size(inputs: Mapping[str, Any]) -> None:
    try:
        size = len(json.dumps(inputs, allow_nan=False, ensure_ascii=False).encode())
    except (ValueError, TypeError, RecursionError) as error:
        raise InvalidGoal([Fault("inputs", f"it is not JSON: {error}")]) from None
    if size > DEFAULT_LIMITS.node_bytes:
        raise InvalidGoal([Fault("inputs", f"its JSON has {size:,} bytes, the limit is {DEFAULT_LIMITS.node_bytes:,}")])


def _refusal(goal: str, node: str, outcome: str, detail: str) -> Exception:
    if outcome == "missing":
        return NodeNotFound(f"goal {goal!r} has no node {node!r}")
    if outcome == "begun":
        return IllegalTransition(
            f"node {node!r} of goal {goal!r} has begun: it goes on from {detail} of its own, which other inputs do not change"
        )
    where = f"node {node!r} of goal {goal!r} is {outcome}"
    return IllegalTransition(
        f"{where}; inputs can be changed before it begins, between attempts, or once it has failed"
    )
