"""`why`: what a goal or a node waits for, and what to do about it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import click

from orchestrator.cli import output
from orchestrator.cli.context import Command, Id, client, connection_options, example, goal_argument, json_option

if TYPE_CHECKING:
    from orchestrator.operate.operator import Explained
    from orchestrator.operate.reason import Finding

NAMED: Final = 5
"""Nodes that are named in one line; JSON has all that were looked at."""
_COLOURS: Final = {"goes on by itself": "green", "waits for somebody": "yellow", "needs an operator": "red"}


@click.command(
    cls=Command,
    epilog=example("chordal why g1", "chordal why g1 fetch", "chordal why g1 --json | jq '.reasons[].cause'"),
)
@goal_argument
@click.argument("node", type=Id(), metavar="[NODE]", required=False)
@json_option
@connection_options
def why(goal: str, node: str | None, as_json: bool) -> None:
    """Say why a goal, or one node of it, does not go on, and what to do about it.

    Reads what is stored and changes nothing. Of a large goal it looks at the nodes that run, wait, are ready or failed, up
    to 50 of each kind, and says the same cause once.
    """
    found = client().operator.why(goal, node)
    if as_json:
        output.json_line(found.as_json())
    else:
        show(found)


def show(found: Explained) -> None:
    """Print the answer."""
    if found.node is None:
        click.echo(f"{click.style(found.goal.id, bold=True)}: {output.state(found.goal.state)}")
    else:
        name = f"{found.goal.id}/{found.node.id}"
        click.echo(f"{click.style(name, bold=True)}: {output.state(found.node.state)}")
    for finding in found.findings:
        _print(finding)


def _print(finding: Finding) -> None:
    reason = finding.reason
    verdict = click.style(reason.level.value, fg=_COLOURS[reason.level])
    click.echo(f"  {verdict}: {_names(finding.nodes)}{output.one_line(reason.text, 1000)}")
    if reason.remedy:
        click.echo(f"      {output.one_line(reason.remedy, 1000)}")


def _names(nodes: tuple[str, ...]) -> str:
    if not nodes:
        return ""
    more = f" and {len(nodes) - NAMED:,} more" if len(nodes) > NAMED else ""
    return f"{', '.join(map(output.one_line, nodes[:NAMED]))}{more}: "
