"""What runs again with a failed node: which nodes, and how their joins stand then. Read from the store, nothing is written."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from orchestrator.domain.condition import Condition
from orchestrator.domain.errors import IllegalTransition, NodeNotFound
from orchestrator.domain.graph import successors, topological_order, upward_rank
from orchestrator.engine.encode import score
from orchestrator.engine.payload import Payloads
from orchestrator.store.goals import PIECE
from orchestrator.store.store import Store

ENDED: Final = frozenset({"DONE", "FAILED", "SKIPPED", "DROPPED", "CANCELLED"})
UNSUCCESSFUL: Final = frozenset({"SKIPPED", "FAILED", "BLOCKED", "READY"})
"""States behind a failed node in which a node may be that was skipped for it, or that an interrupted retry left."""
Row = tuple[str, str, int, int, int | str]


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A goal as it was read."""

    goal: str
    store: Store
    payloads: Payloads
    specs: Mapping[str, dict[str, Any]]
    tasks: Mapping[str, Mapping[str, str]]
    parents: Mapping[str, Sequence[str]]
    letters: Mapping[tuple[str, str], str]
    outputs: dict[str, Any] = field(default_factory=dict)

    def state(self, name: str) -> str:
        """A node's state."""
        return self.tasks[name].get("state", "")

    def owner(self, name: str) -> str | None:
        """The map or agent that added the node."""
        return next(
            (target for (source, target), letter in self.letters.items() if source == name and letter == "i"), None
        )

    def need(self, name: str) -> int:
        """How many of the edges into a node must fire."""
        join, ways = self.specs[name].get("join", "all"), len(self.parents.get(name, ()))
        return ways if join == "all" else 1 if join == "any" else int(join)

    def holds(self, source: str, target: str) -> int:
        """Of an edge out of a node: 1 or 0, whether its condition holds; -1: it is not known, the node is not DONE."""
        if self.letters.get((source, target), "") != "w":
            return 1
        if self.state(source) != "DONE":
            return -1
        if source not in self.outputs:
            self.outputs[source] = self.payloads.unpack(self.store.nodes.outputs(self.goal, [source])[0])
        condition = Condition.model_validate(self.specs[source]["_when"][target])
        return int(condition.holds(self.outputs[source]))

    def fired(self, source: str, target: str) -> bool:
        """Whether an edge out of a node that has ended did fire."""
        letter, state = self.letters.get((source, target), ""), self.state(source)
        if letter == "a":
            return True
        if letter == "f":
            return state == "FAILED" or self.tasks[source].get("as") == "f"
        return state == "DONE" and self.holds(source, target) == 1

    def join(self, name: str, again: set[str]) -> tuple[int, int]:
        """Edges that must still fire, and edges that are open, once the nodes `again` have been reopened."""
        need, still = self.need(name), 0
        for parent in self.parents.get(name, ()):
            if parent in again or self.state(parent) not in ENDED:
                still += 1
            elif self.fired(parent, name):
                need -= 1
        return max(need, 0), still


def read_snapshot(store: Store, payloads: Payloads, goal: str) -> Snapshot:
    """The goal as it is now."""
    goals = store.goals
    written = goals.part(goal, "edges")  # before the nodes: of those there are only ever more
    parents = {name: json.loads(raw) for name, raw in goals.part(goal, "deps").items()}
    specs = {name: json.loads(raw) for name, raw in goals.part(goal, "nodes").items()}
    tasks: dict[str, Mapping[str, str]] = {}
    names = list(specs)
    for at in range(0, len(names), PIECE):
        chunk = names[at : at + PIECE]
        tasks.update(zip(chunk, store.nodes.states(goal, chunk), strict=True))
    letters = {}
    for source, raw in written.items():
        for edge in raw.split():
            target, _, letter = edge.partition(":")
            letters[source, target] = letter
    return Snapshot(goal, store, payloads, specs, tasks, parents, letters)


def chosen(snapshot: Snapshot, node: str | None, live: bool) -> set[str]:
    """Failed nodes to run again, and the maps whose items failed; `live`: of a goal that has not ended.

    Raises NodeNotFound, and IllegalTransition where the node is in another state.
    """
    failed = {name for name in snapshot.tasks if snapshot.state(name) == "FAILED"}
    items = {source: target for (source, target), letter in snapshot.letters.items() if letter == "i"}
    # What became of an agent's tool calls is part of its transcript: it goes on from there, they do not.
    failed -= {source for source, target in items.items() if snapshot.specs[target].get("kind") == "agent"}
    # In a goal that FAILED, nodes that have not ended are what an interrupted retry reopened already.
    reopened = set[str]() if live else {name for name in snapshot.tasks if snapshot.state(name) in ("READY", "BLOCKED")}
    if live:  # a map that waits has counted the items that failed
        failed -= {source for source, target in items.items() if snapshot.state(target) != "FAILED"}
    if node is None:
        return failed | reopened
    if node not in snapshot.tasks:
        raise NodeNotFound(f"goal {snapshot.goal!r} has no node {node!r}")
    if node not in failed:
        raise IllegalTransition(_why_not(snapshot, node, items.get(node)))
    owner = items.get(node)
    # A map needs every item, so all that failed run again with the one that was named.
    with_it = {source for source, target in items.items() if target in (node, owner) and source in failed}
    return {node, *with_it, *({owner} & failed if owner else set()), *reopened}


def _why_not(snapshot: Snapshot, node: str, owner: str | None) -> str:
    if snapshot.state(node) == "FAILED" and owner is not None:
        return f"node {node!r} belongs to {owner!r}, which is {snapshot.state(owner)}; retry that once it has FAILED"
    return f"node {node!r} is {snapshot.state(node)}; only a FAILED node can be retried"


def behind(snapshot: Snapshot, roots: set[str], states: frozenset[str]) -> set[str]:
    """The roots and all behind them, as far as they are in these states."""
    children: dict[str, list[str]] = {}
    for name, parents in snapshot.parents.items():
        for parent in parents:
            children.setdefault(parent, []).append(name)
    found, stack = set[str](), list(roots)
    while stack:
        name = stack.pop()
        if name not in found:
            found.add(name)
            stack += [child for child in children.get(name, ()) if snapshot.state(child) in states]
    return found


def can_fire(snapshot: Snapshot, roots: set[str], states: frozenset[str]) -> set[str]:
    """The roots and those behind them whose join can fire again; the others stay as they are."""
    found = behind(snapshot, roots, states)
    children: dict[str, list[str]] = {name: [] for name in found}
    for name in found:
        for parent in snapshot.parents.get(name, ()):
            if parent in found:
                children[parent].append(name)
    for name in topological_order(children):
        need, still = snapshot.join(name, found)
        if name not in roots and need > still:
            found.discard(name)
    return found


def items_left(snapshot: Snapshot, again: set[str]) -> Mapping[str, int]:
    """Of each map that runs again, how many items it must wait for. Some may never have been stored; its next run adds them."""
    ended: dict[str, int] = {}
    for (source, target), letter in snapshot.letters.items():
        if letter == "i" and source not in again and snapshot.state(source) in ENDED:
            ended[target] = ended.get(target, 0) + 1
    maps = {name: int(snapshot.tasks[name]["items"]) for name in again if "items" in snapshot.tasks[name]}
    return {name: count - ended.get(name, 0) for name, count in maps.items()}


def rows(snapshot: Snapshot, again: set[str]) -> Iterator[Row]:
    """What the script that reopens nodes of a FAILED goal takes."""
    left = items_left(snapshot, again)
    for name in again:
        need, still = snapshot.join(name, again)
        yield name, snapshot.state(name), need, still, left.get(name, "")


def live_rows(snapshot: Snapshot, roots: set[str]) -> list[dict[str, Any]]:
    """What the script that reopens nodes of an open goal takes: those that run again, and behind them what waits or is READY."""
    again = can_fire(snapshot, roots, frozenset({"SKIPPED", "FAILED"}))
    left = items_left(snapshot, again)
    waiting = {
        name for name, parents in snapshot.parents.items()
        if snapshot.state(name) in ("BLOCKED", "READY") and not again.isdisjoint(parents)
    }  # fmt: skip
    return [
        {
            "id": name, "state": snapshot.state(name), "need": snapshot.need(name), "chosen": name in roots,
            "items": left.get(name, ""),
            "parents": [
                [parent, snapshot.letters.get((parent, name), ""), snapshot.holds(parent, name)]
                for parent in snapshot.parents.get(name, ())
            ],
        }
        for name in sorted(again | waiting)
    ]  # fmt: skip


def scores(snapshot: Snapshot, again: set[str]) -> dict[str, int]:
    """Where those that are DONE stand among the ready ones: with their end that was forgotten.

    Raises IllegalTransition where one cannot run a second time.
    """
    done = [name for name in again if snapshot.state(name) == "DONE"]
    if not done:
        return {}
    children = snapshot.store.goals.part(snapshot.goal, "children")
    for name in sorted(done):
        task = snapshot.tasks[name]
        what = "turns" if "kit" in task else "items" if "items" in task else "a sub-goal" if name in children else ""
        if what:
            raise IllegalTransition(
                f"{name!r} follows it and is DONE; it has {what} of its own and cannot run a second time; "
                "retry the node without its descendants"
            )
    pairs = [(parent, name) for name, parents in snapshot.parents.items() for parent in parents]
    following = successors(snapshot.specs, pairs)
    ranks = upward_rank(following, topological_order(following))
    return {name: score(ranks[name], snapshot.specs[name].get("priority", 0)) for name in done}
