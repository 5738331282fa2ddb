"""`submit`, `status` and `list`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from orchestrator.cli import output
from orchestrator.cli.context import (
    Command,
    client,
    connection_options,
    example,
    goal_argument,
    json_option,
    set_option,
)
from orchestrator.domain.states import GoalState, NodeState

if TYPE_CHECKING:
    from orchestrator.domain.views import GoalSummary, NodeStatus

ROWS = 200
"""Nodes that `status` lists before it leaves out those that need no attention."""


@click.command(cls=Command, epilog=example("chordal submit goal.json", "generate | chordal submit -"))
@click.argument("path", metavar="FILE|-")
@set_option
@json_option
@connection_options
def submit(path: str, values: dict[str, Any], as_json: bool) -> None:
    """Submit a goal and print its id.

    FILE is JSON or YAML, a folder with one, or a folder with a goal.py; - reads JSON from standard input. The goal
    runs on the stack that is up; nothing is started. Every fault in the document is reported at once.
    """
    from orchestrator.cli.heartbeat import read_declared
    from orchestrator.cli.load import read_source

    source, door = read_source(path, values), client()
    goal = door.submit(source.goal)
    for said in read_declared(door, source.declaration, goal):
        click.echo(said, err=True)
    if as_json:
        output.json_line({"goal_id": goal})
    else:
        click.echo(goal)


@click.command(cls=Command, epilog=example("chordal status g1", "chordal status g1 --json | jq .state"))
@goal_argument
@click.option("--all", "every", is_flag=True, help=f"List every node, also where there are more than {ROWS}.")
@json_option
@connection_options
def status(goal: str, every: bool, as_json: bool) -> None:
    """Show where a goal stands, node by node."""
    found = client().status(goal)
    if as_json:
        output.json_line(found.as_json())
        return
    header(found)
    nodes = list(found.nodes.values())
    shown = nodes if every or len(nodes) <= ROWS else [node for node in nodes if _needs_attention(node)][:ROWS]
    rows = [
        (node.id, output.state(node.state), str(node.attempt or "-"), _spent(node), output.one_line(_remark(node)))
        for node in shown
    ]
    if rows:
        click.echo()
        output.columns(("node", "state", "attempt", "time", ""), rows)
    if len(shown) < len(nodes):
        click.echo(f"... and {len(nodes) - len(shown):,} more nodes (--all lists them)")


def header(found: GoalSummary) -> None:
    """One or two lines that say where a goal stands."""
    title = f" {output.one_line(found.title, 80)}" if found.title and found.title != found.goal_id else ""
    click.echo(f"{click.style(found.goal_id, bold=True)}{title}: {output.state(found.state)}, {_time(found)}")
    reason = f" ({output.one_line(found.reason, 300)})" if found.reason else ""
    click.echo(f"{found.total:,} node{'s' if found.total != 1 else ''}: {output.counted(found.counts)}{reason}")


def _time(found: GoalSummary) -> str:
    return "not started" if found.started is None else output.duration(found.seconds)


def _needs_attention(node: NodeStatus) -> bool:
    return node.state in (NodeState.RUNNING, NodeState.WAITING, NodeState.FAILED)


def _remark(node: NodeStatus) -> str:
    """What is worth saying about a node: its error, why it waits, else its title."""
    return node.error or node.reason or (node.title if node.title != node.id else "")


def _spent(node: NodeStatus) -> str:
    return output.duration(node.ended - node.started if node.started is not None and node.ended is not None else None)


@click.command(
    cls=Command, name="list", epilog=example("chordal list --state RUNNING", "chordal list --owner alice --limit 10")
)
@click.option(
    "--state",
    type=click.Choice([one.value for one in GoalState], case_sensitive=False),
    help="Only goals in this state.",
)
@click.option("--owner", metavar="NAME", help="Only goals of this owner.")
@click.option(
    "--limit", type=click.IntRange(1, 10_000), metavar="N", default=50, show_default=True, help="At most this many."
)
@json_option
@connection_options
def list_goals(state: str | None, owner: str | None, limit: int, as_json: bool) -> None:
    """List the stored goals, the newest first."""
    found = client().list(limit=limit, state=GoalState(state) if state else None, owner=owner)
    if as_json:
        output.json_line([one.as_json() for one in found])
    elif not found:
        click.echo("no goals" + (" match" if state or owner else " are stored"), err=True)
    else:
        rows = [
            (one.goal_id, output.state(one.state), _progress(one), _time(one), one.owner, output.one_line(one.title))
            for one in found
        ]
        output.columns(("goal", "state", "ended", "time", "owner", "title"), rows)


def _progress(one: GoalSummary) -> str:
    from orchestrator.domain.states import NODE_TERMINAL

    return f"{sum(count for state, count in one.counts.items() if state in NODE_TERMINAL):,}/{one.total:,}"
