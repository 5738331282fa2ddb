"""Reads the facts behind `why`: a goal, some of its nodes with what they wait for, the fleet. Bounded, and changes nothing."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from contextlib import suppress
from typing import Any, Final

from orchestrator.domain.errors import GoalNotFound, NodeNotFound
from orchestrator.domain.states import NODE_TERMINAL, GoalState, NodeState
from orchestrator.llm.limiter import Limiter
from orchestrator.llm.status import Snapshot
from orchestrator.operate.facts import GoalFacts, Invited, NodeFacts, Said
from orchestrator.store.connection import NotAllowed
from orchestrator.store.looking import RawNode
from orchestrator.store.store import Store

PARENTS: Final = 200
"""Parents of one node whose states are read."""
ROOTS: Final = 5
"""Of what a blocked node waits for in the end, so many are looked at closely."""
DEPTH: Final = 5
"""Sub-goals below each other, and steps of the search for roots, times a hundred."""
EVENTS: Final = 2000
"""Latest events that are searched for who did what."""
_MOVES: Final = frozenset(
    f"node.{kind}"
    for kind in ("claimed", "waiting", "retry", "failed", "lost", "released", "woken", "stopped", "reopened")
)
"""Events that change the state of a node that goes on."""
_ENDED: Final = frozenset(state.value for state in NODE_TERMINAL)


class Gather:
    """Reads what one question needs; the events of a goal are read once."""

    def __init__(self, store: Store, most_events: int = EVENTS) -> None:
        self._store = store
        self._most = most_events
        self._events: dict[str, list[tuple[str, dict[str, str]]]] = {}

    # -- goals --------------------------------------------------------------------------------------------------------

    def goal(self, goal: str) -> GoalFacts:
        """A goal. Raises GoalNotFound."""
        return self.of_record(goal, self._store.goals.record(goal))

    def of_record(self, goal: str, record: Mapping[str, str]) -> GoalFacts:
        """A goal whose record has been read."""
        look, state = self._store.look, GoalState(record["state"])
        budget = json.loads(record["budget"]) if record.get("budget") else {}
        return GoalFacts(
            id=goal,
            state=state,
            owner=record.get("owner", "default"),
            reason=record.get("reason", ""),
            cancelling="cancelling" in record,
            counts={one: int(record.get(f"n:{one}", 0)) for one in NodeState},
            paused=self._paused(goal, record.get("reason", "")) if state is GoalState.PAUSED else None,
            held={name: said(note) for name, note in look.held(goal).items()},
            invited=_invited(look.dispatch(goal)),
            budget=budget,
            spent=self._spent(goal, record.get("llm", "")) if budget else {},
        )

    def _paused(self, goal: str, reason: str) -> Said:
        """Who paused it: the command that did, else the event alone."""
        found: Said | None = None
        for name, fields in self._latest(goal):
            data = _data(fields)
            at_ms = int(name.partition("-")[0])
            if fields["type"] == "goal.resumed":
                break
            if fields["type"] == "command.applied" and not fields.get("node") and data.get("outcome") == "paused":
                return Said(str(data.get("by", "")), str(data.get("reason", "") or reason), at_ms, str(data["command"]))
            if fields["type"] == "goal.paused":
                found = Said(str(data.get("by", "")), str(data.get("reason", "") or reason), at_ms)
                break  # the command, if there is one, comes behind it in the stream, so it was met before
        return found or Said(reason=reason)

    def _spent(self, goal: str, accounts: str) -> dict[str, int]:
        found = [self._store.llm.spent(one, f"goal:{goal}") for one in accounts.split() if "/" not in one]
        return {"tokens": sum(one[0] for one in found), "micro_usd": sum(one[1] for one in found)}

    # -- nodes --------------------------------------------------------------------------------------------------------

    def node(self, goal: str, node: str) -> NodeFacts:
        """One node, with everything that it waits for. Raises NodeNotFound."""
        (found,) = self.nodes(goal, [node])
        return found

    def nodes(self, goal: str, names: Sequence[str], *, deep: bool = True) -> list[NodeFacts]:
        """Nodes with what they wait for; not `deep`: without what others wait for. Raises NodeNotFound."""
        found = []
        for raw in self._store.look.nodes(goal, names):
            if not raw.record:
                raise NodeNotFound(f"goal {goal!r} has no node {raw.id!r}")
            found.append(self._node(goal, raw, deep))
        return found

    def _node(self, goal: str, raw: RawNode, deep: bool) -> NodeFacts:
        record, state = raw.record, NodeState(raw.record["state"])
        lane = record.get("lane", "")
        first, before, length = self._store.look.lane(goal, lane, raw.id) if lane else ("", 0, 0)
        inside = state not in NODE_TERMINAL and lane
        return NodeFacts(
            id=raw.id,
            state=state,
            spec=raw.spec,
            queue=record.get("queue", "default"),
            attempt=int(record.get("attempt", 0)),
            failures=int(record.get("failures", 0)),
            lost=int(record.get("lost", 0)),
            open_items=int(record.get("items_left", 0)),
            parents=self._parents(goal, raw) if state in (NodeState.BLOCKED, NodeState.SKIPPED) else {},
            need=int(record.get("need", 0)),
            roots=self._roots(goal, raw) if deep and state is NodeState.BLOCKED else (),
            lane=lane,
            before=before if inside else 0,
            behind=max(0, length - before - 1) if inside else 0,
            ahead=self._ahead(goal, first) if deep and before else None,
            parked=raw.parked,
            due_ms=raw.due_ms,
            worker=raw.worker,
            lease_ms=raw.lease_ms,
            since_ms=self._since(goal, raw.id),
            stuck=self._stuck(goal, raw.id, record.get("stuck", "")) if state is NodeState.READY else "",
            failure=raw.failure,
            before_error=self._error(goal, raw.id) if state is NodeState.WAITING else "",
            child=self._child(raw) if deep else None,
        )

    def _parents(self, goal: str, raw: RawNode) -> dict[str, str]:
        return self._store.look.states(goal, raw.parents[:PARENTS])

    def _roots(self, goal: str, raw: RawNode) -> tuple[NodeFacts, ...]:
        """Up through blocked parents, to those that are not."""
        found: list[str] = []
        layer, seen = list(raw.parents), {raw.id}
        for _ in range(100 * DEPTH):
            fresh = [name for name in dict.fromkeys(layer) if name not in seen][:PARENTS]
            if not fresh or len(found) >= ROOTS:
                break
            seen.update(fresh)
            states = self._store.look.states(goal, fresh)
            found += [name for name in fresh if states.get(name, "DONE") not in _ENDED | {"BLOCKED"}]
            blocked = [name for name in fresh if states.get(name) == "BLOCKED"][:20]
            layer = [parent for one in self._store.look.nodes(goal, blocked) for parent in one.parents]
        return tuple(self.nodes(goal, found[:ROOTS], deep=False))

    def _ahead(self, goal: str, first: str) -> NodeFacts | None:
        with suppress(NodeNotFound):
            return self.nodes(goal, [first], deep=False)[0]
        return None

    def _child(self, raw: RawNode) -> GoalFacts | None:
        reason = str((raw.parked or {}).get("reason", ""))
        if not reason.startswith("child:"):
            return None
        with suppress(GoalNotFound):
            return self.goal(reason.removeprefix("child:"))
        return None

    def _since(self, goal: str, node: str) -> int | None:
        """When the newest event of the node came, of those that change its state."""
        for name, fields in self._latest(goal):
            if fields.get("node") == node and fields["type"] in _MOVES:
                return int(name.partition("-")[0])
        return None

    def _error(self, goal: str, node: str) -> str:
        """What the newest event says of an attempt that failed, up to the claim before."""
        for _, fields in self._latest(goal):
            if fields.get("node") == node:
                if fields["type"] == "node.claimed":
                    break
                data = _data(fields)
                if text := data.get("error") or data.get("why"):
                    return str(text)
        return ""

    def _stuck(self, goal: str, node: str, queue: str) -> str:
        if not queue:
            return ""
        for _, fields in self._latest(goal):
            if fields.get("node") == node and fields["type"] == "node.stuck":
                return str(_data(fields).get("reason", ""))
        return f"no worker serves the queue {queue!r}, and nobody else may take it"

    def _latest(self, goal: str) -> list[tuple[str, dict[str, str]]]:
        if goal not in self._events:
            self._events[goal] = self._store.look.lately(goal, self._most)
        return self._events[goal]

    # -- lines of model calls -----------------------------------------------------------------------------------------

    def lines(self, nodes: Iterable[NodeFacts]) -> dict[str, Snapshot]:
        """The lines that these nodes wait in, as they stand."""
        wanted = {
            one.waits_for.removeprefix("llm:")
            for node in nodes
            for one in around(node)
            if one.waits_for.startswith("llm:")
        }
        return snapshots(self._store, wanted)


def snapshots(store: Store, lines: Collection[str]) -> dict[str, Snapshot]:
    """Lines of model calls. Asked as somebody from outside: the limits of those who call stay."""
    limiter = Limiter(store, {})
    try:
        return {line: limiter.status(line) for line in sorted(lines)}
    except NotAllowed:
        return {}  # a user who may only read: the picture of a line is made by a script that writes


def around(node: NodeFacts) -> tuple[NodeFacts, ...]:
    """The node and those that stand in its way."""
    return (node, *node.roots, *((node.ahead,) if node.ahead else ()))


def said(note: Mapping[str, Any]) -> Said:
    """Who holds something: `at` is ms, or seconds."""
    at = float(note.get("at", 0) or 0)
    at_ms = int(at if at > 1e11 else at * 1000)
    return Said(str(note.get("by", "")), str(note.get("reason", "") or ""), at_ms, str(note.get("command", "")))


def _invited(record: Mapping[str, str]) -> dict[str, Invited]:
    queues = {field.partition(":")[2] for field in record}
    return {
        queue: Invited(
            int(record.get(f"out:{queue}", 0)),
            int(float(record.get(f"due:{queue}", 0))),
            int(record.get(f"unanswered:{queue}", 0)),
        )
        for queue in queues
    }


def _data(fields: Mapping[str, str]) -> dict[str, Any]:
    text = fields.get("data", "")
    found = json.loads(text) if text.startswith("{") else {}
    return found if isinstance(found, dict) else {}
