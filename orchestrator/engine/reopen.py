"""Retry what failed: it runs again, what was skipped because of it gets another chance, what is done stays."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final

from orchestrator.domain.command import Order
from orchestrator.domain.errors import IllegalTransition
from orchestrator.engine.came import heeded, recall
from orchestrator.engine.dispatch import Sender, Slots
from orchestrator.engine.pausing import passed_on
from orchestrator.engine.payload import Payloads
from orchestrator.engine.reopen_plan import (
    ENDED,
    UNSUCCESSFUL,
    Snapshot,
    can_fire,
    chosen,
    live_rows,
    read_snapshot,
    rows,
    scores,
)
from orchestrator.store.goals import PIECE
from orchestrator.store.store import Store

LIVE: Final = frozenset({"RUNNING", "PAUSED"})
MOST_LIVE: Final = 1000
"""Nodes that a retry sets anew in a goal that has not ended: one script does it."""
MOST_EDGES: Final = 20_000
"""Edges into them, which that script looks at."""
TRIES: Final = 10


class Reopener:
    """Sets failed nodes running again."""

    def __init__(self, store: Store, payloads: Payloads, sender: Sender, slots: Slots) -> None:
        self._store = store
        self._payloads = payloads
        self._sender = sender
        self._slots = slots

    def retry(
        self, goal: str, node: str | None = None, *, descendants: bool = False, order: Order | None = None
    ) -> str:
        """Run what failed again: one node and what was skipped for it, or everything. Returns 'retried'.

        With `descendants` of a node what follows it runs again, too, even where it is DONE; its outputs are forgotten. That
        takes a goal that FAILED; else the goal may also be RUNNING or PAUSED. Raises GoalNotFound, NodeNotFound,
        IllegalTransition, and with an `order` Repeated and Expired.
        """
        record = self._store.goals.record(goal)
        state = record["state"]
        recall(self._store, goal, order, node or "")
        if descendants and node is None:
            raise IllegalTransition("name the failed node whose descendants are to run again")
        if not descendants and _is_live(record):
            return self._retry_live(goal, node, state, order)
        _refuse_unless_failed(goal, record, descendants)
        return self._retry_failed(goal, node, descendants, order)

    def refuse(self, goal: str, node: str) -> None:
        """Raise what `retry` of the node would be refused with as things stand; changes nothing."""
        record = self._store.goals.record(goal)
        live = _is_live(record)
        if not live:
            _refuse_unless_failed(goal, record)
        snapshot = read_snapshot(self._store, self._payloads, goal)
        roots = chosen(snapshot, node, live=live)
        if live:
            _few_rows(snapshot, roots, record["state"])

    def _retry_failed(self, goal: str, node: str | None, descendants: bool, order: Order | None) -> str:
        snapshot = read_snapshot(self._store, self._payloads, goal)
        roots = chosen(snapshot, node, live=False)
        again = can_fire(snapshot, roots, UNSUCCESSFUL | {"DONE"} if descendants else UNSUCCESSFUL)
        scored, flat = scores(snapshot, again), list(rows(snapshot, again))
        if not flat:
            raise IllegalTransition(
                f"goal {goal!r} has no failed node to run again; its nodes were cancelled or dropped"
            )
        self._store.goals.expect(goal)
        began = order
        for at in range(0, len(flat), PIECE):
            outcome, invitations = self._store.goals.retry(
                goal, flat[at : at + PIECE], seal=at + PIECE >= len(flat), slots=self._slots.json(), scores=scored,
                receiver=node or "", order=began,
            )  # fmt: skip
            began = passed_on(order)  # what began in time is finished
            if heeded(goal, outcome) not in ("stored", "retried"):
                raise IllegalTransition(f"goal {goal!r} changed while it was being retried ({outcome}); try again")
        self._sender.invite(invitations)
        return "retried"

    def _retry_live(self, goal: str, node: str | None, state: str, order: Order | None) -> str:
        """In one step, since everything moves meanwhile."""
        outcome = "changed"
        for _ in range(TRIES):
            version = self._store.goals.field(goal, "version") or "1"
            snapshot = read_snapshot(self._store, self._payloads, goal)
            roots = chosen(snapshot, node, live=True)
            if not roots:
                raise IllegalTransition(f"goal {goal!r} is {state} and has no failed node to run again")
            found = _few_rows(snapshot, roots, state)
            self._store.goals.expect(goal, 1000)
            outcome, invitations = self._store.changes.reopen(
                goal, version, json.dumps(found), slots=self._slots.json(), receiver=node or "", order=order
            )
            if heeded(goal, outcome) == "retried":
                self._sender.invite(invitations)
                return "retried"
            if outcome == "busy":
                _, invitations = self._store.nodes.settle(goal, slots=self._slots.json())
                self._sender.invite(invitations)
            elif outcome != "changed":
                break
        if outcome in ENDED:
            raise IllegalTransition(f"goal {goal!r} is {outcome} by now; look at it again")
        raise IllegalTransition(f"goal {goal!r} keeps changing ({outcome}); pause it and try again")


def _is_live(record: Mapping[str, str]) -> bool:
    return record["state"] in LIVE and "cancelling" not in record


def _refuse_unless_failed(goal: str, record: Mapping[str, str], descendants: bool = False) -> None:
    if record["state"] != "FAILED":
        wanted = "retried with its descendants" if descendants else "retried"
        raise IllegalTransition(f"goal {goal!r} is {record['state']}; only a FAILED goal can be {wanted}")
    if int(record.get("n:CANCELLED", 0)):
        raise IllegalTransition(f"goal {goal!r} was cancelled by its deadline; submit it again under another id")


def _few_rows(snapshot: Snapshot, roots: set[str], state: str) -> list[dict[str, Any]]:
    """What one script sets anew. Raises IllegalTransition where that is too much for one."""
    found = live_rows(snapshot, roots)
    edges = sum(len(row["parents"]) for row in found)
    if len(found) > MOST_LIVE or edges > MOST_EDGES:
        raise IllegalTransition(
            f"goal {snapshot.goal!r} is {state}, and {len(found)} nodes with {edges} edges would be set anew; at most {MOST_LIVE} "
            f"with {MOST_EDGES} can be: retry it once it has FAILED"
        )
    return found
