"""Operations on the nodes of a goal: one method a script."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from orchestrator.domain.command import Order
from orchestrator.domain.lease import Lease
from orchestrator.store.keys import Keys
from orchestrator.store.moment import moment
from orchestrator.store.records import (
    Claimed,
    Follower,
    Invitation,
    NodeRow,
    Reaped,
    Reassigned,
    Result,
    Step,
    Tally,
    Verdict,
    invitations,
)
from orchestrator.store.scripts import Scripts


class NodeStore:
    """Claim, renew, commit and what else moves nodes.

    `now_ms` of every method is the time to act at, for simulations; None is the server's clock. `slots` is JSON, slots by
    queue; `dispatch_ms` how long an invitation may take to arrive.
    """

    def __init__(self, client: Any, keys: Keys, scripts: Scripts, dispatch_ms: int) -> None:
        self._client = client
        self._keys = keys
        self._scripts = scripts
        self._dispatch_ms = dispatch_ms

    def claim(
        self, goal: str, queue: str, *, worker: str, nonce: str, lease_ms: int, most: int, slots: str,
        hint: str = "", sent_ms: int | None = None, now_ms: int | None = None,
    ) -> Step:  # fmt: skip
        """Take up to `most` ready nodes of a queue."""
        sent = "" if sent_ms is None else sent_ms
        args = (moment(now_ms), worker, nonce, lease_ms, queue, most, hint, sent, slots, self._dispatch_ms)
        status, claims, out = self._scripts.run("claim", self._keys.pair(goal), args)
        return Step(status, (), _claims(goal, nonce, claims), invitations(goal, out), False)

    def commit(
        self, goal: str, results: Sequence[Result], *, worker: str, nonce: str, lease_ms: int, slots: str,
        queue: str = "default", most: int = 0, look_ahead: int = 0, version: str = "", now_ms: int | None = None,
    ) -> Step:  # fmt: skip
        """End leases, propagate, and claim up to `most` nodes of `queue` in the same step.

        A claimed node that is alone comes with up to `look_ahead` followers. Results of followers that ran ahead stand behind
        that of the node they follow, with the `version` of the plan that came with it.
        """
        args: list[Any] = [
            moment(now_ms), worker, nonce, lease_ms, queue, most, slots, self._dispatch_ms, look_ahead, version,
            len(results),
        ]  # fmt: skip
        for result in results:
            lease, mark = result.lease, "+" if result.ahead else ""
            args += (
                lease.node, lease.token, lease.nonce, mark + result.outcome.value, result.body, result.extra, result.data,
                result.turn,
            )  # fmt: skip
        status, verdicts, claims, out, more = self._scripts.run("commit", self._keys.pair(goal), args)
        judged = [Verdict(verdict) for verdict in verdicts]
        return Step(status, judged, _claims(goal, nonce, claims), invitations(goal, out), bool(more))

    def begin(
        self, goal: str, node: str, attempt: int, *, worker: str, nonce: str, lease_ms: int, slots: str = "{}",
        now_ms: int | None = None,
    ) -> tuple[str, Lease | None, int]:  # fmt: skip
        """Claim a node that is parked with its Celery message: (outcome, lease if claimed, lease ms)."""
        outcome, lease, length, _ = self.begin_parked(
            goal, node, attempt, "task", worker=worker, nonce=nonce, lease_ms=lease_ms, slots=slots, now_ms=now_ms
        )
        return outcome, lease, length

    def begin_parked(
        self, goal: str, node: str, attempt: int, parked_with: str, *, worker: str, nonce: str, lease_ms: int,
        slots: str = "{}", now_ms: int | None = None,
    ) -> tuple[str, Lease | None, int, str]:  # fmt: skip
        """Claim a node that is parked with a `task` or an `llm` message: `begin`, and what the node resumes from."""
        args = (moment(now_ms), worker, nonce, lease_ms, node, attempt, parked_with, slots)
        outcome, *rest = self._scripts.run("begin", self._keys.pair(goal), args)
        if outcome != "claimed":
            return outcome, None, 0, ""
        return outcome, Lease(goal, node, int(rest[0]), nonce, attempt, _created(rest[3:])), int(rest[1]), str(rest[2])

    def renew(self, leases: Mapping[str, Iterable[tuple[Lease, int]]], now_ms: int | None = None) -> list[Lease]:
        """Prolong leases, given by goal with their length in ms; returns those that are lost."""
        held = {goal: list(group) for goal, group in leases.items()}
        calls = []
        for goal, group in held.items():
            args: list[Any] = [moment(now_ms)]
            for lease, length in group:
                args += (lease.node, lease.token, lease.nonce, length)
            calls.append(("renew", self._keys.pair(goal), args))
        replies = self._scripts.batch(calls) if calls else []
        lost = []
        for (_, group), names in zip(held.items(), replies, strict=True):
            lost += [lease for lease, _ in group if lease.node in names]
        return lost

    def expand(
        self, lease: Lease, rows: Sequence[NodeRow], total: int, *, slots: str, now_ms: int | None = None
    ) -> tuple[str, list[Invitation]]:
        """Add a piece of a map's items: ('stored' or 'fenced', invitations)."""
        args: list[Any] = [moment(now_ms), lease.node, lease.token, lease.nonce, total, slots, self._dispatch_ms]
        for row in rows:
            args += row.args()
        outcome, out = self._scripts.run("expand", self._keys.pair(lease.goal), args)
        return outcome, invitations(lease.goal, out)

    def settle(self, goal: str, *, slots: str, now_ms: int | None = None) -> tuple[bool, list[Invitation]]:
        """Resolve edges that a script left over: (whether more is left, invitations)."""
        more, out = self._scripts.run("settle", self._keys.pair(goal), (moment(now_ms), slots, self._dispatch_ms))
        return bool(more), invitations(goal, out)

    def wake(
        self, goal: str, node: str, cause: str, outcome: str, body: str, *, slots: str, keep: bool = False,
        order: Order | None = None, now_ms: int | None = None,
    ) -> tuple[str, list[Invitation]]:  # fmt: skip
        """Let parked nodes go on; `node` may be empty, for all that wait for the cause."""
        args = (moment(now_ms, order), node, cause, outcome, body, slots, self._dispatch_ms, "1" if keep else "0")
        verdict, out = self._scripts.run("wake", self._keys.pair(goal), args)
        return verdict, invitations(goal, out)

    def reap(
        self, goal: str, *, most: int, lost_limit: int, slots: str, ttl_ms: tuple[int, int, int, int],
        spare_leases: bool = False, now_ms: int | None = None,
    ) -> Reaped:  # fmt: skip
        """Act on everything that is due on one goal. `ttl_ms`: done, failed, cancelled, half-built.

        With `spare_leases` expired leases are left alone for now: their holders may just not have reached Redis.
        """
        spare = "1" if spare_leases else "0"
        args = (moment(now_ms), most, lost_limit, slots, self._dispatch_ms, *ttl_ms, spare)
        due, out, lost, advice, *tally = self._scripts.run("reap", self._keys.pair(goal), args)
        return Reaped(int(due), invitations(goal, out), lost, advice, Tally.of(*tally) if tally else None)

    def reassign(
        self, goal: str, moves: Sequence[Reassigned], *, slots: str, now_ms: int | None = None
    ) -> tuple[list[str], list[Invitation]]:
        """Hand nodes that nobody has begun to other agents: an outcome each, as `reassign.lua` says, and invitations."""
        args: list[Any] = [moment(now_ms), slots, self._dispatch_ms]
        for move in moves:
            args += (move.node, move.queue, move.to, move.spec, move.data)
        outcomes, out = self._scripts.run("reassign", self._keys.pair(goal), args)
        return list(outcomes), invitations(goal, out)

    def unanswered(self, goals: Sequence[str]) -> list[dict[str, int]]:
        """How often invitations to a queue were sent and nobody came, by queue; of each goal, in their order."""
        with self._client.pipeline(transaction=False) as pipe:
            for goal in goals:
                pipe.hgetall(self._keys.part(goal, "dispatch"))
            records = pipe.execute()
        mark = "unanswered:"
        return [
            {field.removeprefix(mark): int(count) for field, count in record.items() if field.startswith(mark)}
            for record in records
        ]

    def ready(self, goal: str, queue: str, most: int) -> dict[str, str]:
        """Nodes of a queue that can be claimed, the best first, and their specifications, JSON."""
        names = self._client.zrange(self._keys.part(goal, f"ready:{queue}"), 0, most - 1)
        specs = self._client.hmget(self._keys.part(goal, "nodes"), names) if names else []
        return {name: spec or "{}" for name, spec in zip(names, specs, strict=True)}

    def outputs(self, goal: str, nodes: Sequence[str]) -> list[str | None]:
        """The stored outputs of nodes, in their order; None where there is none."""
        found: list[str | None] = []
        for at in range(0, len(nodes), 1000):
            found += self._client.hmget(self._keys.part(goal, "outputs"), list(nodes[at : at + 1000]))
        return found

    def parents(self, goal: str, node: str) -> list[str]:
        """The ids of a node's parents."""
        raw = self._client.hget(self._keys.part(goal, "deps"), node)
        return list(json.loads(raw)) if raw else []

    def states(self, goal: str, nodes: Sequence[str]) -> list[dict[str, str]]:
        """The records of nodes, in their order; empty where there is none."""
        with self._client.pipeline(transaction=False) as pipe:
            for node in nodes:
                pipe.hgetall(self._keys.task(goal, node))
            return list(pipe.execute())

    def holder(self, goal: str, node: str) -> tuple[int, str, str] | None:
        """(token, nonce, worker) of the node's lease, if it is leased."""
        raw = self._client.get(f"{self._keys.task(goal, node)}:lock")
        if not raw:
            return None
        token, nonce, worker = raw.split(" ", 2)
        return int(token), nonce, worker


def _claims(goal: str, nonce: str, raw: Sequence[Sequence[Any]]) -> list[Claimed]:
    return [
        Claimed(
            Lease(goal, node, int(token), nonce, int(attempt), _created(more)), int(lease_ms), int(failures), spec or "{}",
            resume, _followers(goal, nonce, int(token), line, _created(more)) if line else (), version,
        )
        for node, token, attempt, lease_ms, failures, spec, resume, line, version, *more in raw
    ]  # fmt: skip


def _created(more: Sequence[Any]) -> str:
    return str(more[0]) if more else ""


def _followers(goal: str, nonce: str, token: int, raw: Sequence[Sequence[Any]], created: str) -> list[Follower]:
    return [
        Follower(
            Lease(goal, node, token + index, nonce, 1, created), spec or "{}", json.loads(parents) if parents else ()
        )
        for index, (node, spec, parents) in enumerate(raw, start=1)
    ]
