"""One goal on the real store, driven by hand: the test is the worker, the beat and the clock."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import count
from typing import Any

from orchestrator.domain.lease import Lease
from orchestrator.domain.validate import read_goal
from orchestrator.engine import encode
from orchestrator.store.records import Claimed, Invitation, NodeRow, Outcome, Reaped, Result, Step, Verdict
from orchestrator.store.store import Store

START_MS = 4_000_000_000_000
"""Far ahead, so that an operation that goes by the server's clock may come between: a stream's ids never go back."""
LEASE_MS = 3000
SLOTS = '{"*":4}'
TTL_MS = (60_000, 120_000, 30_000, 10_000)
"""Time to live of a goal that is DONE, FAILED, CANCELLED, half-built."""

EdgeLike = tuple[str, str] | Mapping[str, Any]


def document(nodes: Iterable[str | Mapping[str, Any]], edges: Iterable[EdgeLike] = (), **head: Any) -> dict[str, Any]:
    """A goal document from ids or node objects, and pairs or edge objects."""
    return {
        **head,
        "nodes": [{"id": node} if isinstance(node, str) else dict(node) for node in nodes],
        "edges": [
            {"source": edge[0], "target": edge[1]} if isinstance(edge, tuple) else dict(edge) for edge in edges
        ],
    }  # fmt: skip


@dataclass
class Sim:
    """A goal and its simulated time. Scripts get `now`, so nothing here waits."""

    store: Store
    goal: str = "g"
    now: int = START_MS
    slots: str = SLOTS
    """Slots by queue, as the scripts take them."""
    nonces: Iterator[int] = field(default_factory=count)

    def nonce(self) -> str:
        return f"n{next(self.nonces)}"

    def tick(self, ms: int = 1) -> int:
        """Let time pass."""
        self.now += ms
        return self.now

    # -- the life of a goal -----------------------------------------------------------------------------------------

    def submit(
        self, nodes: Iterable[str | Mapping[str, Any]], edges: Iterable[EdgeLike] = (), state: str = "RUNNING",
        **head: Any,
    ) -> list[Invitation]:  # fmt: skip
        """Store and start a goal, as the engine does, in this goal's name."""
        goal = read_goal(document(nodes, edges, **head))
        deadline = None if goal.deadline_seconds is None else int(goal.deadline_seconds * 1000)
        return self.submit_rows(encode.rows(goal), encode.digest(goal), deadline, state)

    def submit_rows(
        self, rows: Iterable[NodeRow], digest: str = "d", deadline: int | None = None, state: str = "RUNNING"
    ) -> list[Invitation]:
        """Store and start rows as they are."""
        return self.store.goals.submit(
            self.goal, digest, {"owner": "me", "version": 1, "events_limit": 1_000_000}, rows,
            building_ttl_ms=TTL_MS[3], slots=self.slots, deadline_ms=deadline, state=state, now_ms=self.now,
        )  # fmt: skip

    def step(self, worker: str = "w", most: int = 1, queue: str = "default", hint: str = "", **more: Any) -> Step:
        """Claim; the whole answer."""
        return self.store.nodes.claim(
            self.goal, queue, worker=worker, nonce=self.nonce(), lease_ms=LEASE_MS, most=most, slots=self.slots, hint=hint,
            now_ms=self.now, **more,
        )  # fmt: skip

    def claim(self, worker: str = "w", most: int = 1, queue: str = "default", hint: str = "") -> list[Claimed]:
        """Claim up to `most` nodes."""
        return list(self.step(worker, most, queue, hint).claims)

    def take(self, node: str, worker: str = "w", queue: str = "default") -> Lease:
        """Claim this node; the test fails if it cannot be claimed."""
        claims = self.claim(worker, hint=node, queue=queue)
        assert [claimed.lease.node for claimed in claims] == [node], claims
        return claims[0].lease

    def commit(
        self, *results: Result, most: int = 0, queue: str = "default", worker: str = "w", **more: Any
    ) -> Step:  # fmt: skip
        """Commit; the whole answer. Edges that are left over are not settled."""
        return self.store.nodes.commit(
            self.goal, results, worker=worker, nonce=self.nonce(), lease_ms=LEASE_MS, slots=self.slots, queue=queue,
            most=most, now_ms=self.now, **more,
        )  # fmt: skip

    def end(self, lease: Lease, outcome: str, body: str = "", extra: str | int = "") -> Verdict:
        """Commit one lease."""
        return self.commit(Result(lease, Outcome(outcome), body, extra)).verdicts[0]

    def done(self, *nodes: str | Lease, output: str = "") -> None:
        """Run nodes to DONE."""
        for node in nodes:
            lease = node if isinstance(node, Lease) else self.take(node, queue=self.queue(node))
            assert self.end(lease, "done", output) is Verdict.ACCEPTED

    def fail(self, *nodes: str | Lease) -> None:
        """Run nodes to FAILED."""
        for node in nodes:
            lease = node if isinstance(node, Lease) else self.take(node, queue=self.queue(node))
            assert self.end(lease, "failed", failure("boom")) is Verdict.ACCEPTED

    def park(self, lease: Lease, reason: str, then: str = "ready", delay: int | str = "", **note: Any) -> Verdict:
        """Commit a park."""
        return self.end(lease, "park", json.dumps({"reason": reason, "then": then, **note}), delay)

    def finish(self, end: str, node: str = "a") -> None:
        """End the goal by its last node, or by a cancel."""
        if end == "CANCELLED":
            assert self.cancel() == "cancelled"
        elif end == "FAILED":
            self.fail(node)
        else:
            self.done(node)
        assert self.state == end

    def renew(self, *leases: Lease, length: int = LEASE_MS) -> list[Lease]:
        """Renew; returns what is lost."""
        return self.store.nodes.renew({self.goal: [(lease, length) for lease in leases]}, now_ms=self.now)

    def reap(self, most: int = 200, lost_limit: int = 3) -> Reaped:
        """One look of beat."""
        return self.store.nodes.reap(
            self.goal, most=most, lost_limit=lost_limit, slots=self.slots, ttl_ms=TTL_MS, now_ms=self.now
        )

    def settle(self, most: int = 1_000_000) -> int:
        """Resolve what scripts left over; returns how many scripts it took."""
        for calls in range(1, most + 1):
            if not self.store.nodes.settle(self.goal, slots=self.slots, now_ms=self.now)[0]:
                return calls
        raise AssertionError(f"not settled after {most} scripts")

    def wake(self, node: str, cause: str, outcome: str, body: str = "", keep: bool = False) -> str:
        """Wake parked nodes."""
        return self.store.nodes.wake(
            self.goal, node, cause, outcome, body, slots=self.slots, keep=keep, now_ms=self.now
        )[0]  # fmt: skip

    def begin(self, node: str, attempt: int = 1, worker: str = "task") -> tuple[str, Lease | None, int]:
        """A user's Celery task starts."""
        return self.store.nodes.begin(
            self.goal, node, attempt, worker=worker, nonce=self.nonce(), lease_ms=LEASE_MS, now_ms=self.now
        )

    def expand(self, lease: Lease, names: Sequence[str], total: int | None = None, queue: str = "") -> str:
        """Add items to a map."""
        rows = [NodeRow(name, "{}", "", f"{lease.node}:i", 0, None, -1, queue, "", None) for name in names]
        many = len(names) if total is None else total
        return self.store.nodes.expand(lease, rows, many, slots=self.slots, now_ms=self.now)[0]

    def cancel(self, reason: str = "", begin: bool = True) -> str:
        """One slice of a cancellation."""
        return self.store.goals.cancel(self.goal, reason, begin=begin, now_ms=self.now)

    def pause(self, reason: str = "") -> str:
        return self.store.goals.pause(self.goal, reason, slots=self.slots, now_ms=self.now)

    def resume(self, reason: str = "") -> tuple[str, list[Invitation]]:
        return self.store.goals.resume(self.goal, reason, slots=self.slots, now_ms=self.now)

    def reopen(self, *rows: tuple[str, str, int, int, int | str], seal: bool = True) -> str:
        """The retry script: (node, state it is in, edges that must fire, edges open, items left or '')."""
        return self.store.goals.retry(self.goal, rows, seal=seal, slots=self.slots, now_ms=self.now)[0]

    # -- what is there ------------------------------------------------------------------------------------------------

    def record(self) -> dict[str, str]:
        return dict(self.store.client.hgetall(self.store.keys.goal(self.goal)))

    @property
    def state(self) -> str:
        """The goal's state."""
        return self.record().get("state", "GONE")

    def task(self, node: str) -> dict[str, str]:
        return dict(self.store.client.hgetall(self.store.keys.task(self.goal, node)))

    def queue(self, node: str) -> str:
        return self.task(node).get("queue", "default")

    def states(self) -> dict[str, str]:
        """Every node's state."""
        names = sorted(self.store.goals.part(self.goal, "nodes"))
        tasks = self.store.nodes.states(self.goal, names)
        return {name: task.get("state", "") for name, task in zip(names, tasks, strict=True)}

    def events(self, kind: str = "") -> list[dict[str, str]]:
        """The goal's history, or its events of one kind."""
        raw = self.store.client.xrange(self.store.keys.part(self.goal, "events"))
        return [fields for _, fields in raw if not kind or fields["type"] == kind]

    def outputs(self) -> dict[str, str]:
        return self.store.goals.part(self.goal, "outputs")

    def dump(self) -> dict[str, Any]:
        """Everything that is stored for the goal, to show that an operation changed nothing."""
        keys = sorted(self.store.client.scan_iter("*", count=1000))
        with self.store.client.pipeline(transaction=False) as pipe:
            for key in keys:
                pipe.dump(key)
            return dict(zip(keys, pipe.execute(), strict=True))


def row(name: str, parents: Sequence[str] = (), edges: str = "") -> NodeRow:
    """A node as it is stored, of the plainest sort: for goals too large to be validated by each test."""
    return NodeRow(name, "{}", json.dumps(parents) if parents else "", edges, len(parents), None, -1, "", "", None)


def failure(error: str, reason: str = "error") -> str:
    """A failure as workers commit it."""
    return json.dumps({"reason": reason, "error": error})
