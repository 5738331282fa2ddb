"""`show`: everything that is known about a goal, or about one of its nodes."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import click

from orchestrator.cli import output
from orchestrator.cli.context import Command, Id, again, client, connection_options, example, goal_argument, json_option
from orchestrator.cli.events import history
from orchestrator.domain.errors import NodeNotFound
from orchestrator.domain.events import EventType
from orchestrator.domain.states import NodeState

if TYPE_CHECKING:
    from orchestrator.domain.events import Event
    from orchestrator.domain.views import GoalStatus, NodeStatus
    from orchestrator.wiring import Chordal

_ENDS = frozenset(
    (EventType.NODE_DONE, EventType.NODE_FAILED, EventType.NODE_RETRY, EventType.NODE_WAITING, EventType.NODE_LOST,
     EventType.NODE_RELEASED, EventType.NODE_CANCELLED)
)  # fmt: skip
"""What ends a lease."""


@click.command(cls=Command, epilog=example("chordal show g1", "chordal show g1 fetch", "chordal show g1 fetch --json"))
@goal_argument
@click.argument("node", type=Id(), metavar="[NODE]", required=False)
@json_option
@connection_options
def show(goal: str, node: str | None, as_json: bool) -> None:
    """Show a goal, or one node of it: inputs, attempts, error and output."""
    door = client()
    status = door.status(goal)
    if node is None:
        _show_goal(status, as_json)
        return
    if node not in status.nodes:
        raise NodeNotFound(f"goal {goal!r} has no node {node!r}; its nodes: {again('status', goal)}")
    one = status.nodes[node]
    attempts = list(_attempts(door, goal, node))
    parents = [source for source, target in status.edges if target == node]
    inputs = json.loads(door.store.goals.spec(goal, node)).get("inputs")
    whole = door.output(goal, node) if one.state is NodeState.DONE else None
    if as_json:
        more = {"inputs": inputs, "output": whole, "parents": parents, "attempts": attempts}
        output.json_line({"goal_id": goal, "node": node, **one.as_json(), **more})
    else:
        _show_node(one, inputs, whole, parents, attempts)


def _show_goal(status: GoalStatus, as_json: bool) -> None:
    if as_json:
        output.json_line(status.as_json())
        return
    click.echo(f"{click.style(status.goal_id, bold=True)}: {output.state(status.state)}")
    _fields(
        ("title", output.one_line(status.title)),
        ("owner", status.owner),
        ("reason", output.one_line(status.reason)),
        ("submitted", output.clock(status.created)),
        ("started", output.clock(status.started)),
        ("ended", output.clock(status.ended)),
        ("time", output.duration(status.seconds)),
        ("nodes", f"{status.total:,}: {output.counted(status.counts)}"),
        ("edges", f"{len(status.edges):,}"),
    )
    for label, state in (("failed", NodeState.FAILED), ("running", NodeState.RUNNING), ("waiting", NodeState.WAITING)):
        names = [one.id for one in status.nodes.values() if one.state is state]
        if names:
            click.echo(f"  {label:<10} {', '.join(names[:20])}{f' and {len(names) - 20:,} more' * (len(names) > 20)}")


def _show_node(one: NodeStatus, inputs: Any, whole: Any, parents: list[str], attempts: list[dict[str, Any]]) -> None:
    click.echo(f"{click.style(one.id, bold=True)}: {output.state(one.state)}")
    _fields(
        ("title", output.one_line(one.title)),
        ("after", ", ".join(parents[:50])),
        ("reason", output.one_line(one.reason or "")),
        ("started", output.clock(one.started)),
        ("ended", output.clock(one.ended)),
        ("worker", output.one_line(one.worker or "")),
    )
    for title, value in (("inputs", inputs), ("error", one.error), ("output", whole)):
        if value is not None:
            _block(title, value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, indent=2))
    if attempts:
        click.echo("  attempts")
        for attempt in attempts:
            click.echo(f"    {_attempt_line(attempt)}")
        trace = attempts[-1].get("data", {}).get("trace")
        if trace:
            _block("trace", trace)


def _block(title: str, text: str) -> None:
    click.echo(f"  {title}")
    click.echo("\n".join(f"    {line}" for line in output.safe(text).splitlines()))


def _fields(*pairs: tuple[str, str]) -> None:
    for label, value in pairs:
        if value and value != "-":
            click.echo(f"  {label:<10} {value}")


def _attempts(door: Chordal, goal: str, node: str) -> Iterator[dict[str, Any]]:
    """Each claim of the node and how it ended, from the events that are left."""
    claims: dict[int | None, Event] = {}
    for event in history(door, goal):
        if event.node != node:
            continue
        if event.type == EventType.NODE_CLAIMED:
            claims[event.token] = event
        elif event.type in _ENDS:
            claim = claims.pop(event.token, None)
            if claim:
                yield _attempt(claim, event)
    yield from (_attempt(claim, None) for claim in claims.values())


def _attempt(claim: Event, end: Event | None) -> dict[str, Any]:
    return {
        "attempt": claim.attempt,
        "token": claim.token,
        "worker": claim.worker,
        "started": claim.at,
        "ended": end.at if end else None,
        "outcome": end.type.removeprefix("node.") if end else "running",
        **({"data": end.data} if end and end.data else {}),
    }


def _attempt_line(attempt: dict[str, Any]) -> str:
    spent = output.duration(attempt["ended"] - attempt["started"] if attempt["ended"] else None)
    told = {name: value for name, value in attempt.get("data", {}).items() if name != "trace"}
    data = f"  {output.brief(told, 300)}" if told else ""
    began, worker = output.clock(attempt["started"]), output.one_line(attempt["worker"] or "")
    return f"#{attempt['attempt'] or '-'} {began}  {attempt['outcome']}  {spent}  {worker}{data}".rstrip()
