"""Read goals: summaries, the whole status, events."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from orchestrator.domain.errors import NodeNotFound
from orchestrator.domain.events import Event
from orchestrator.domain.states import GoalState, NodeState
from orchestrator.domain.views import GoalStatus, GoalSummary, NodeStatus
from orchestrator.engine.payload import Payloads, preview
from orchestrator.store.store import Store

PAGE = 200


class Reader:
    """Answers questions about goals. Nothing here changes anything."""

    def __init__(self, store: Store, payloads: Payloads) -> None:
        self._store = store
        self._payloads = payloads

    def summary(self, goal: str) -> GoalSummary:
        """One goal without its nodes. Raises GoalNotFound."""
        return _summary(goal, self._store.goals.record(goal), self._store.goals.clock_ms())

    def list(self, limit: int, state: GoalState | None, owner: str | None) -> Sequence[GoalSummary]:
        """The newest goals first."""
        found: list[GoalSummary] = []
        now, start = self._store.goals.clock_ms(), 0
        while len(found) < limit:
            names = self._store.goals.newest(start, PAGE)
            if not names:
                break
            start += PAGE
            for name, record in zip(names, self._store.goals.records(names), strict=True):
                if "state" in record:
                    one = _summary(name, record, now)
                    if state in (None, one.state) and owner in (None, one.owner):
                        found.append(one)
        return found[:limit]

    def status(self, goal: str) -> GoalStatus:
        """One goal with its nodes, in document order. Raises GoalNotFound."""
        goals = self._store.goals
        record = goals.record(goal)
        head = _summary(goal, record, goals.clock_ms())
        specs, outputs, dead = goals.part(goal, "nodes"), goals.part(goal, "outputs"), goals.part(goal, "dead")
        parked, deps = goals.part(goal, "parked"), goals.part(goal, "deps")
        times = self._times(goal)
        names = sorted(specs, key=_natural)
        nodes = {}
        for at in range(0, len(names), 1000):
            chunk = names[at : at + 1000]
            for name, task in zip(chunk, self._store.nodes.states(goal, chunk), strict=True):
                if task:
                    nodes[name] = _node(name, specs[name], task, outputs, dead, parked, times.get(name, {}))
        edges = tuple((parent, name) for name in names for parent in json.loads(deps.get(name, "[]")))
        return GoalStatus(
            goal_id=head.goal_id, title=head.title, state=head.state, owner=head.owner, created=head.created,
            started=head.started, ended=head.ended, read_at=head.read_at, counts=head.counts, total=head.total,
            reason=head.reason, cancelling=head.cancelling, nodes=nodes, edges=edges,
        )  # fmt: skip

    def output(self, goal: str, node: str) -> Any:
        """A node's output, read from where it is. Raises GoalNotFound, NodeNotFound, ArtifactMissing."""
        self._store.goals.record(goal)
        if not self._store.nodes.states(goal, [node])[0]:
            raise NodeNotFound(f"goal {goal!r} has no node {node!r}")
        return self._payloads.unpack(self._store.nodes.outputs(goal, [node])[0])

    def events(self, goal: str, after: str = "0", block_seconds: float = 0.0, limit: int = 1000) -> Sequence[Event]:
        """Events behind a stream id, waiting up to `block_seconds` (4 at most) for the first. Raises GoalNotFound."""
        raw = self._store.goals.events(goal, after, limit, int(block_seconds * 1000))
        if not raw:
            self._store.goals.record(goal)
        return [Event.from_stream(goal, name, fields) for name, fields in raw]

    def chunks(self, goal: str, after: str = "0", block_seconds: float = 0.0, limit: int = 1000) -> Sequence[Event]:
        """Pieces of models' answers, as `events` gives what happened. Raises GoalNotFound."""
        raw = self._store.chunks.read(goal, after, limit, int(block_seconds * 1000))
        if not raw:
            self._store.goals.record(goal)
        return [Event.from_stream(goal, name, fields) for name, fields in raw]

    def _times(self, goal: str) -> Mapping[str, dict[str, Any]]:
        """When each node was last claimed and ended, and by whom: from the events, which hold it anyway."""
        times: dict[str, dict[str, Any]] = {}
        after = "0"
        while page := self._store.goals.events(goal, after, 5000):
            after = page[-1][0]
            for name, fields in page:
                kind = fields["type"]
                if kind == "node.claimed":
                    times[fields["node"]] = {"started": _seconds(name), "worker": fields["worker"]}
                elif kind in ("node.done", "node.failed", "node.cancelled", "node.skipped", "node.dropped"):
                    times.setdefault(fields["node"], {})["ended"] = _seconds(name)
        return times


def _summary(goal: str, record: Mapping[str, str], now_ms: int) -> GoalSummary:
    def seconds(field: str) -> float | None:
        return int(record[field]) / 1000 if field in record else None

    return GoalSummary(
        goal_id=goal,
        title=record.get("title", ""),
        state=GoalState(record["state"]),
        owner=record.get("owner", "default"),
        created=int(record["created"]) / 1000,
        started=seconds("started"),
        ended=seconds("ended"),
        read_at=now_ms / 1000,
        counts={state: int(record.get(f"n:{state}", 0)) for state in NodeState},
        total=int(record.get("total", 0)),
        reason=record.get("reason", ""),
        cancelling="cancelling" in record,
    )


def _node(
    name: str, spec: str, task: Mapping[str, str], outputs: Mapping[str, str], dead: Mapping[str, str],
    parked: Mapping[str, str], times: Mapping[str, Any],
) -> NodeStatus:  # fmt: skip
    failure = json.loads(dead[name]) if name in dead else {}
    waits = json.loads(parked[name])["reason"] if name in parked else None
    return NodeStatus(
        id=name,
        title=json.loads(spec).get("title", ""),
        state=NodeState(task["state"]),
        attempt=int(task.get("attempt", 0)),
        output=preview(outputs.get(name)),
        error=failure.get("error"),
        reason=failure.get("reason") or waits,
        started=times.get("started"),
        ended=times.get("ended"),
        worker=times.get("worker"),
    )


def _seconds(stream_id: str) -> float:
    return int(stream_id.partition("-")[0]) / 1000


def _natural(name: str) -> list[tuple[int, int, str]]:
    """`item.2` before `item.10`."""
    return [(0, int(part), "") if part.isdecimal() else (1, 0, part) for part in name.replace("-", ".").split(".")]
