"""Where events and plans come from: the store, read in pages, or lines that `chordal events --json` printed."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import Any, Final

from orchestrator.domain.agent import AgentLimits
from orchestrator.domain.condition import Condition
from orchestrator.domain.events import Event
from orchestrator.events.plan import Plan, PlanNode
from orchestrator.store.store import Store

PAGE: Final = 2000
_AGENT_RETRIES: Final = AgentLimits().max_retries


def stored_events(store: Store, goal: str, after: str = "0") -> Iterator[Event]:
    """The goal's events behind a stream id, oldest first, up to what is the last when the page is read."""
    while page := store.goals.events(goal, after, PAGE):
        after = page[-1][0]
        for name, fields in page:
            yield Event.from_stream(goal, name, fields)


def saved_events(lines: Iterable[str]) -> Iterator[Event]:
    """Events as `chordal events GOAL --json` printed them, one a line. Raises ValueError or TypeError for other lines."""
    for line in lines:
        if line.strip():
            yield Event(**json.loads(line))


def chunks(names: Iterable[str], size: int = PAGE) -> Iterator[list[str]]:
    """Names in pieces that one call can take."""
    iterator = iter(names)
    while chunk := list(islice(iterator, size)):
        yield chunk


def pages(store: Store, goal: str, part: str) -> Iterator[dict[str, str]]:
    """One of the goal's hashes in pages; an entry may come twice."""
    cursor: int = 0
    while True:
        cursor, page = store.client.hscan(store.keys.part(goal, part), cursor=cursor, count=PAGE)
        yield page
        if not cursor:
            return


def stored_plan(store: Store, goal: str) -> Plan:
    """The goal's plan as it is stored now, with the conditions of edges tested on the outputs that are inline."""
    plan = Plan(version=store.goals.field(goal, "version") or "1")
    retries = {name: _retries(card) for name, card in store.agents.cards(goal).items()}
    conditions: dict[str, dict[str, Any]] = {}
    for page in pages(store, goal, "nodes"):
        for name, raw in page.items():
            spec = json.loads(raw) if raw != "{}" else {}
            most = spec.get("retries", retries.get(spec["agent"], _AGENT_RETRIES) if "agent" in spec else None)
            plan.nodes[name] = PlanNode(spec.get("join", "all"), spec.get("lane") or "", most, spec.get("agent") or "")
            if "_when" in spec:
                conditions[name] = spec["_when"]
    seen: set[str] = set()
    for page in pages(store, goal, "edges"):
        for source, raw in page.items():
            if source not in seen:
                seen.add(source)
                for part in raw.split():
                    target, _, letter = part.partition(":")
                    plan.add_edge(source, target, letter)
    for names in chunks(conditions):
        _test(plan, conditions, names, store.nodes.outputs(goal, names))
    return plan


def _retries(card: str) -> int:
    most: int = json.loads(card).get("limits", {}).get("max_retries", _AGENT_RETRIES)
    return most


def _test(plan: Plan, conditions: dict[str, dict[str, Any]], names: list[str], outputs: Sequence[str | None]) -> None:
    for source, raw in zip(names, outputs, strict=True):
        if raw is not None and raw.startswith("@"):
            continue  # stored by reference, where this does not reach: the edge may have fired
        output = json.loads(raw) if raw else None
        for target, condition in conditions[source].items():
            plan.holds[source, target] = Condition.model_validate(condition).holds(output)
