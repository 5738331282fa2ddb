"""Retry a failed goal: what failed runs again, what was skipped because of it gets another chance, what is done stays."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from orchestrator.domain.condition import Condition
from orchestrator.domain.errors import GoalNotFound, IllegalTransition, NodeNotFound
from orchestrator.domain.graph import topological_order
from orchestrator.engine.dispatch import Sender, Slots
from orchestrator.engine.payload import Payloads
from orchestrator.store.goals import PIECE
from orchestrator.store.store import Store

ENDED = frozenset({"DONE", "FAILED", "SKIPPED", "DROPPED", "CANCELLED"})
Row = tuple[str, str, int, int, int | str]


@dataclass(frozen=True, slots=True)
class _Snapshot:
    specs: Mapping[str, dict[str, Any]]
    tasks: Mapping[str, Mapping[str, str]]
    parents: Mapping[str, Sequence[str]]
    letters: Mapping[tuple[str, str], str]


class Reopener:
    """Sets FAILED goals running again."""

    def __init__(self, store: Store, payloads: Payloads, sender: Sender, slots: Slots) -> None:
        self._store = store
        self._payloads = payloads
        self._sender = sender
        self._slots = slots

    def retry(self, goal: str, node: str | None = None) -> str:
        """Run what failed again: one node and what follows from it, or everything. Returns 'retried'.

        Raises GoalNotFound, NodeNotFound, and IllegalTransition unless the goal (and the node) FAILED.
        """
        state = self._store.goals.record(goal)["state"]
        if state != "FAILED":
            raise IllegalTransition(f"goal {goal!r} is {state}; only a FAILED goal can be retried")
        if int(self._store.goals.field(goal, "n:CANCELLED") or 0):
            raise IllegalTransition(f"goal {goal!r} was cancelled by its deadline; submit it again under another id")
        snapshot = self._snapshot(goal)
        rows = list(self._rows(goal, snapshot, self._chosen(goal, snapshot, node)))
        if not rows:
            raise IllegalTransition(f"goal {goal!r} has no failed node to run again; its nodes were cancelled")
        self._store.goals.expect(goal)
        for at in range(0, len(rows), PIECE):
            last = at + PIECE >= len(rows)
            outcome, invitations = self._store.goals.retry(
                goal, rows[at : at + PIECE], seal=last, slots=self._slots.json()
            )
            if outcome == "gone":
                raise GoalNotFound(f"there is no goal {goal!r}")
            if outcome not in ("stored", "retried"):
                raise IllegalTransition(f"goal {goal!r} changed while it was being retried ({outcome}); try again")
        self._sender.invite(invitations)
        return "retried"

    def _snapshot(self, goal: str) -> _Snapshot:
        goals = self._store.goals
        specs = {name: json.loads(raw) for name, raw in goals.part(goal, "nodes").items()}
        tasks: dict[str, Mapping[str, str]] = {}
        names = list(specs)
        for at in range(0, len(names), PIECE):
            chunk = names[at : at + PIECE]
            tasks.update(zip(chunk, self._store.nodes.states(goal, chunk), strict=True))
        letters = {}
        for source, raw in goals.part(goal, "edges").items():
            for edge in raw.split():
                target, _, letter = edge.partition(":")
                letters[source, target] = letter
        parents = {name: json.loads(raw) for name, raw in goals.part(goal, "deps").items()}
        return _Snapshot(specs, tasks, parents, letters)

    def _chosen(self, goal: str, snapshot: _Snapshot, node: str | None) -> set[str]:
        """Failed nodes to run again, and the maps whose items failed."""
        failed = {name for name, task in snapshot.tasks.items() if task.get("state") == "FAILED"}
        # What became of an agent's tool calls is part of its transcript: it goes on from there, they do not.
        failed -= {
            source for (source, target), letter in snapshot.letters.items()
            if letter == "i" and snapshot.specs[target].get("kind") == "agent"
        }  # fmt: skip
        # In a goal that FAILED, nodes that have not ended are what an interrupted retry reopened already.
        reopened = {name for name, task in snapshot.tasks.items() if task.get("state") in ("READY", "BLOCKED")}
        if node is None:
            return failed | reopened
        if node not in snapshot.tasks:
            raise NodeNotFound(f"goal {goal!r} has no node {node!r}")
        if node not in failed:
            raise IllegalTransition(
                f"node {node!r} is {snapshot.tasks[node].get('state')}; only a FAILED node can be retried"
            )
        owner = [target for (source, target), letter in snapshot.letters.items() if source == node and letter == "i"]
        # A map needs every item, so all that failed run again with the one that was named.
        items = {
            source for (source, target), letter in snapshot.letters.items()
            if target in (node, *owner) and letter == "i" and source in failed
        }  # fmt: skip
        return {node, *items, *(name for name in owner if name in failed), *reopened}

    def _rows(self, goal: str, snapshot: _Snapshot, chosen: set[str]) -> Iterator[Row]:
        open_again = self._can_fire(goal, snapshot, chosen)
        ended: dict[str, int] = {}
        for (source, target), letter in snapshot.letters.items():
            if letter == "i" and source not in open_again and snapshot.tasks[source].get("state") in ENDED:
                ended[target] = ended.get(target, 0) + 1
        for name in open_again:
            task, spec = snapshot.tasks[name], snapshot.specs[name]
            need, still = self._join(goal, snapshot, name, spec, open_again)
            # Of a map some items may never have been stored; its next run adds them.
            left: int | str = int(task["items"]) - ended.get(name, 0) if "items" in task else ""
            yield name, task["state"], need, still, left

    def _can_fire(self, goal: str, snapshot: _Snapshot, chosen: set[str]) -> set[str]:
        """The chosen nodes and those behind them whose join can fire again; the others stay skipped."""
        found = _downstream(snapshot, chosen)
        children: dict[str, list[str]] = {name: [] for name in found}
        for name in found:
            for parent in snapshot.parents.get(name, ()):
                if parent in found:
                    children[parent].append(name)
        for name in topological_order(children):
            need, still = self._join(goal, snapshot, name, snapshot.specs[name], found)
            if name not in chosen and need > still:
                found.discard(name)
        return found

    def _join(
        self, goal: str, snapshot: _Snapshot, name: str, spec: Mapping[str, Any], open_again: set[str]
    ) -> tuple[int, int]:
        """Edges that must still fire, and edges that are open, as the parents stand once `open_again` is reopened."""
        parents = snapshot.parents.get(name, ())
        join = spec.get("join", "all")
        need = len(parents) if join == "all" else 1 if join == "any" else int(join)
        still = 0
        for parent in parents:
            state = snapshot.tasks[parent].get("state", "")
            if parent in open_again or state not in ENDED:
                still += 1
            elif self._fired(goal, snapshot, parent, name, state):
                need -= 1
        return max(need, 0), still

    def _fired(self, goal: str, snapshot: _Snapshot, source: str, target: str, state: str) -> bool:
        letter = snapshot.letters.get((source, target), "")
        if letter == "a":
            return True
        if letter == "f":
            return state == "FAILED"
        if state != "DONE":
            return False
        if letter == "w":
            output = self._payloads.unpack(self._store.nodes.outputs(goal, [source])[0])
            return Condition.model_validate(snapshot.specs[source]["_when"][target]).holds(output)
        return True


def _downstream(snapshot: _Snapshot, chosen: set[str]) -> set[str]:
    """The chosen nodes and all behind them that did not succeed: those were skipped, or never had their turn."""
    children: dict[str, list[str]] = {}
    for name, parents in snapshot.parents.items():
        for parent in parents:
            children.setdefault(parent, []).append(name)
    found, stack = set(), list(chosen)
    while stack:
        name = stack.pop()
        if name in found:
            continue
        found.add(name)
        for child in children.get(name, ()):
            if snapshot.tasks[child].get("state") in ("SKIPPED", "FAILED", "BLOCKED", "READY"):
                stack.append(child)
    return found
