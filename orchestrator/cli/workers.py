"""`workers`: who serves which queues, and what each holds."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from orchestrator.cli import output
from orchestrator.cli.context import Command, client, connection_options, example, json_option

if TYPE_CHECKING:
    from orchestrator.operate.facts import WorkerFacts


@click.command(
    cls=Command, epilog=example("chordal workers", "chordal workers --json | jq '.[] | select(.alive | not)'")
)
@json_option
@connection_options
def workers(as_json: bool) -> None:
    """List the workers: those that beat, and those that died within the hour; with the nodes that each has leased."""
    fleet = client().operator.fleet()
    if as_json:
        output.json_line([_as_json(one, fleet.now_ms) for one in fleet.workers])
    elif not fleet.workers:
        click.echo("no workers (start `celery -A orchestrator worker`, or `chordal up`)", err=True)
    else:
        rows = [_row(one, fleet.now_ms) for one in fleet.workers]
        output.columns(("worker", "", "pid", "slots", "queues", "heard", "holds"), rows)


def _row(one: WorkerFacts, now_ms: int) -> tuple[str, ...]:
    from orchestrator.operate.check_workers import holding

    state = click.style("alive", fg="green") if one.alive else click.style("silent", fg="red")
    if one.alive and one.draining:
        state = click.style("draining", fg="yellow")
    heard = f"{output.duration(max(0.0, (now_ms - one.heard_ms) / 1000))} ago"
    queues, holds = ", ".join(one.queues), holding(one) if one.holds else "-"
    return (
        output.one_line(one.name), state, str(one.pid or "-"), f"{len(one.holds)}/{one.slots}", output.one_line(queues),
        heard, output.one_line(holds),
    )  # fmt: skip


def _as_json(one: WorkerFacts, now_ms: int) -> dict[str, Any]:
    return {
        "name": one.name,
        "alive": one.alive,
        "pid": one.pid or None,
        "pool": one.pool,
        "slots": one.slots,
        "draining": one.draining,
        "queues": list(one.queues),
        "heard_seconds_ago": max(0.0, (now_ms - one.heard_ms) / 1000),
        "holds": [{"goal": goal, "node": node} for goal, node in one.holds],
        "faults": list(one.faults),
    }
