"""`metrics`: what Prometheus scrapes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from orchestrator.cli import output
from orchestrator.cli.context import Command, client, connection_options, example, json_option

if TYPE_CHECKING:
    from orchestrator.operate.operator import Operator
    from orchestrator.store.upkeep import Ring


@click.command(
    cls=Command,
    epilog=example("chordal metrics", "chordal metrics --json | jq '.[] | select(.name | endswith(\"_late_seconds\"))'", "chordal metrics --port 9808", "chordal metrics --timeline hours"),
)  # fmt: skip
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    metavar="PORT",
    help="Answer GET /metrics on this port of the loopback interface until it is interrupted; 0: any that is free.",
)
@click.option(
    "--timeline",
    "ring",
    type=click.Choice(["minutes", "hours"]),
    help="Print what beat counted in each of the last 120 minutes, or 336 hours, instead.",
)
@json_option
@connection_options
def metrics(port: int | None, ring: Ring | None, as_json: bool) -> None:
    """Print the fleet's metrics once, in the text format of Prometheus; with --port serve them.

    Any process that reaches Redis may serve them, one is enough. Needs the extra `metrics`: pip install 'chordal[metrics]'.
    """
    from orchestrator.operate.metrics import read

    operator = client().operator
    if ring is not None:
        _timeline(operator, ring, as_json)
        return
    if as_json:
        output.json_line([{"name": one.name, "labels": dict(zip(_labels(one.name), one.labels, strict=True)), "value": one.value} for one in read(operator)])  # fmt: skip
        return
    from orchestrator.operate.exposition import served, text

    if port is None:
        click.echo(text(lambda: read(operator)), nl=False)
        return
    read(operator)  # an error is said now, not at the first scrape
    try:
        with served(lambda: read(operator), port) as chosen:
            click.echo(f"metrics on http://127.0.0.1:{chosen}/metrics; end with Ctrl-C", err=True)
            _until_interrupted()
    except OSError as error:
        raise click.UsageError(f"port {port} cannot be used: {error}") from None


def _timeline(operator: Operator, ring: Ring, as_json: bool) -> None:
    from orchestrator.operate.timeline import timeline

    with operator.reachable():
        buckets = timeline(operator.store, ring)
    if as_json:
        output.json_line([bucket.as_json() for bucket in buckets])
        return
    head = (
        "",
        "goals begun",
        "done",
        "failed",
        "cancelled",
        "success",
        "mean",
        "nodes done",
        "failed",
        "lost",
        "open",
        "ready",
    )
    rows = [
        (
            output.clock(one.at)[:16], f"{one.goals_begun:,}", f"{one.goals_done:,}", f"{one.goals_failed:,}",
            f"{one.goals_cancelled:,}", "-" if one.success is None else f"{one.success:.1%}",
            output.duration(one.mean_seconds), f"{one.nodes_done:,}", f"{one.nodes_failed:,}", f"{one.leases_lost:,}",
            *("-" if level is None else f"{level:,}" for level in (one.goals_open, one.nodes_ready)),
        ) for one in buckets
    ]  # fmt: skip
    output.columns(head, rows)


def _labels(name: str) -> tuple[str, ...]:
    from orchestrator.operate.metrics import METRICS

    return next(metric.labels for metric in METRICS if metric.name == name)


def _until_interrupted() -> None:
    import signal
    import threading

    end = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: end.set())
    end.wait()
