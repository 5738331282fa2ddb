"""Histories written by hand, a line an event; documents as plans; a goal with a node in every place."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

from orchestrator.domain.events import Event
from orchestrator.domain.validate import read_goal
from orchestrator.events.check import check_history
from orchestrator.events.plan import Plan
from orchestrator.store.store import Store
from support.sim import EdgeLike, Sim, document


def tale(*lines: str) -> list[Event]:
    """Events from lines such as ``node.claimed a 3 attempt=2 at=17 {"place": 1}``: type, node, token, then what else.

    An event without a time comes a second after the one before.
    """
    events: list[Event] = []
    for number, line in enumerate(lines):
        head, brace, rest = line.partition("{")
        words = head.split()
        more = dict(word.split("=") for word in words if "=" in word)
        plain = [word for word in words if "=" not in word]
        at = float(more.get("at", events[-1].at + 1 if events else 1000))
        events.append(
            Event(
                id=f"{int(at * 1000)}-{number}",
                at=at,
                type=plain[0],
                goal="g",
                node=plain[1] if len(plain) > 1 else "",
                attempt=int(more["attempt"]) if "attempt" in more else None,
                token=int(plain[2]) if len(plain) > 2 else None,
                worker="w" if len(plain) > 2 else "",
                data=json.loads(brace + rest) if brace else {},
            )
        )
    return events


def plan(nodes: Iterable[str | Mapping[str, Any]] = ("a", "b"), edges: Iterable[EdgeLike] = ()) -> Plan:
    """The plan of a document."""
    return Plan.of(read_goal(document(nodes, edges)))


def broken_by(*lines: str, after: Plan | None = None, retries: int | None = None) -> list[str]:
    """The invariants that a history breaks, after its submission: ``["I5 a"]``."""
    events = tale("goal.submitted", "goal.started", *lines)
    found = check_history(events, after or plan(), retries)
    return [f"{one.invariant} {one.node}".strip() for one in found]


def goal(store: Store) -> Sim:
    """A goal with a node in every place: "g", driven by hand."""
    sim = Sim(store)
    sim.submit(
        ["done", "runs", "ready", "parked", "failed", "blocked", {"id": "l1", "lane": "l"}, {"id": "l2", "lane": "l"}],
        [("runs", "blocked"), ("done", "blocked")],
    )
    sim.done("done", output="1")
    sim.fail("failed")
    sim.take("runs")
    sim.park(sim.take("parked"), "timer", "done", 1000)
    return sim
