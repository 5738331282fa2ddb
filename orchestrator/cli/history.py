"""`history` and `audit`: what has ended, and who did what."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import islice
from typing import TYPE_CHECKING, Any, Final

import click

from orchestrator.cli import output
from orchestrator.cli.context import Command, StreamId, client, connection_options, example, json_option
from orchestrator.domain.states import GoalState

if TYPE_CHECKING:
    from orchestrator.operate.history import Figures
    from orchestrator.operate.operator import Operator
    from orchestrator.store.control import Audited

PAGE: Final = 500
"""Entries of the trail that are read at once."""
_UNITS: Final = {"s": 1, "m": 60, "h": 3600, "d": 86_400}


class Span(click.ParamType[float]):
    """A time span: ``90``, ``90s``, ``15m``, ``24h``, ``7d``; seconds."""

    name = "span"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        found = re.fullmatch(r"(\d{1,9}(?:\.\d+)?)([smhd]?)", str(value).strip())
        if found is None:
            self.fail(f"{value!r} is no time span: 90, 90s, 15m, 24h or 7d", param, ctx)
        return float(found[1]) * _UNITS[found[2] or "s"]


since_option = click.option("--since", type=Span(), metavar="SPAN", help="Only of the last 90s, 15m, 24h, 7d.")


@click.command(
    cls=Command,
    epilog=example(
        "chordal history", "chordal history --state FAILED --since 24h", "chordal history --stats --owner ann --json"
    ),
)
@click.option("--state", type=click.Choice(["DONE", "FAILED", "CANCELLED"], case_sensitive=False), help="Only these.")
@click.option("--owner", metavar="NAME", help="Only goals of this owner.")
@since_option
@click.option(
    "--limit", type=click.IntRange(1, 10_000), metavar="N", default=50, show_default=True, help="At most so many."
)
@click.option("--stats", is_flag=True, help="Figures over all of them, instead of the list.")
@json_option
@connection_options
def history(state: str | None, owner: str | None, since: float | None, limit: int, stats: bool, as_json: bool) -> None:
    """List the goals that have ended, the latest first, or figures over them.

    Of the goals that are still stored: how long they are is set by the TTL settings. `chordal metrics` has longer ones.
    """
    from orchestrator.operate.history import MOST, figures

    chosen = GoalState(state) if state else None
    found = client().operator.history(state=chosen, owner=owner, since=since, most=MOST if stats else limit)
    if stats:
        _figures(figures(found), as_json)
    elif as_json:
        output.json_line([one.as_json() for one in found])
    elif not found:
        click.echo("no goal has ended" + (" that fits" if state or owner or since else ""), err=True)
    else:
        rows = [
            (one.goal_id, output.state(one.state), output.clock(one.ended), output.duration(one.seconds), f"{one.total:,}",
             output.one_line(one.owner), output.one_line(one.reason or one.title, 80))
            for one in found
        ]  # fmt: skip
        output.columns(("goal", "state", "ended", "time", "nodes", "owner", ""), rows)


def _figures(found: Figures, as_json: bool) -> None:
    if as_json:
        output.json_line(found.as_json())
        return
    states = ", ".join(f"{count:,} {name}" for name, count in found.states.items()) or "none"
    percent = "-" if found.success_percent is None else f"{found.success_percent:g} %"
    click.echo(f"{found.goals:,} goals have ended: {states}; success {percent}")
    click.echo(f"{found.nodes:,} nodes, of them {found.nodes_failed:,} failed")
    click.echo(
        f"time: mean {output.duration(found.mean_seconds)}, median {output.duration(found.median_seconds)}, "
        f"p95 {output.duration(found.p95_seconds)}" + (f", longest {found.longest}" if found.longest else "")
    )
    click.echo(f"last ended: {output.clock(found.last_ended)}")
    for owner, count in found.owners.items():
        click.echo(f"  {output.one_line(owner)}: {count:,}")


@click.command(
    cls=Command,
    epilog=example(
        "chordal audit",
        "chordal audit --target g1 --limit 20",
        "chordal audit --json | jq -c 'select(.outcome == \"denied\")'",
    ),
)
@click.option(
    "--limit", type=click.IntRange(1, 100_000), metavar="N", default=100, show_default=True, help="The latest so many."
)
@click.option(
    "--after", type=StreamId(), default="", metavar="ID", help="Those after this entry instead; ids are in the JSON."
)
@click.option(
    "--target", default="", metavar="TEXT", help="Only those whose target has this word: a goal, node, owner."
)
@click.option("--sender", default="", metavar="TEXT", help="Only those whose door or sender holds this text.")
@json_option
@connection_options
def audit(limit: int, after: str, target: str, sender: str, as_json: bool) -> None:
    """Print who gave which command and what came of it, oldest first, those that were refused too.

    JSON is one object a line.
    """
    wanted = (
        entry
        for entry in _entries(client().operator, after)
        if (not target or target in entry.fields.get("target", "").split()) and sender in _by(entry)
    )
    found = list(islice(wanted, limit))
    for entry in found if after else reversed(found):
        if as_json:
            output.json_line({"id": entry.id, "at": entry.at, **entry.fields})
        else:
            click.echo(_line(entry))


def _entries(operator: Operator, after: str) -> Iterator[Audited]:
    """The trail: from an entry on, or without one from its end back."""
    at = after
    while page := operator.audit(at, PAGE, newest=not after):
        yield from page
        at = page[-1].id


def _by(entry: Audited) -> str:
    return f"{entry.fields.get('door', '')}:{entry.fields.get('sender', '')}".rstrip(":")


def _line(entry: Audited) -> str:
    fields = entry.fields
    what = f"{fields.get('command', '')} {fields.get('target', '')}".strip()
    outcome = fields.get("outcome", "")
    told = click.style(outcome, fg="green" if fields.get("code", "200") == "200" else "red")
    why = f', because "{output.one_line(fields["reason"], 200)}"' if fields.get("reason") else ""
    message = f": {output.one_line(fields['message'], 300)}" if fields.get("message") else ""
    return f"{output.clock(entry.at)}  {output.one_line(_by(entry))}  {output.one_line(what)}  {told}{message}{why}"
