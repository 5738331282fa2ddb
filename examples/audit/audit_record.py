"""The record of a finished goal, read from the engine: all its events, states and edges, and names that people know."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from audit_calls import Call, Gauge
from audit_model import Audit, Scan
from audit_run import Kill, RunEvent, RunRecord
from orchestrator.domain.events import Event
from orchestrator.wiring import Chordal

PAGE: Final = 1000


def record_of(
    client: Chordal, goal: str, titles: Mapping[str, str], kills: Sequence[Kill] = (), gauges: Sequence[Gauge] = ()
) -> RunRecord:
    """Read a goal. `titles` win over what the goal calls its nodes. Raises GoalNotFound and RedisNotReachable."""
    status = client.status(goal)
    named = {name: node.title for name, node in status.nodes.items()} | dict(titles)
    events = _events(client, goal)
    return RunRecord(
        goal=goal,
        state=str(status.state),
        events=[_event(event) for event in events],
        states={name: str(node.state) for name, node in status.nodes.items()},
        edges=list(status.edges),
        titles=named,
        kills=list(kills),
        calls=list(calls_of(events)),
        gauges=list(gauges),
    )


def titles_of(scan: Scan, audit: Audit) -> dict[str, str]:
    """What the items of the audit's maps are called: paths and package names."""
    modules = {f"modules.{place}": module["path"] for place, module in enumerate(scan["modules"])}
    return modules | {f"packages.{place}": package["name"] for place, package in enumerate(audit["packages"])}


def calls_of(events: Sequence[Event]) -> Iterator[Call]:
    """The model calls that a goal's events tell of, in the order in which they ended."""
    began: dict[str, float] = {}
    for event in events:
        if event.type == "node.claimed":
            began[event.node] = event.at
        said = event.data.get("llm") if event.type == "node.done" else None
        if said:
            yield Call(
                event.node, said["account"], said["model"], said["input_tokens"], said["output_tokens"],
                said["micro_usd"], said["attempts"], said["waited_seconds"], began.get(event.node, event.at), event.at,
            )  # fmt: skip


def _events(client: Chordal, goal: str) -> list[Event]:
    found: list[Event] = []
    while True:
        batch = client.events(goal, after=found[-1].id if found else "0", limit=PAGE)
        found.extend(batch)
        if len(batch) < PAGE:
            return found


def _event(event: Event) -> RunEvent:
    return RunEvent(str(event.type), event.at, event.node or "", event.attempt or 0, event.worker or "")
