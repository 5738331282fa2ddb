"""`doctor`: is everything here that a goal needs? And with `--history`: did a goal keep what is promised?"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import click

from orchestrator.cli import output
from orchestrator.cli.context import Command, Id, client, connection_options, example, json_option
from orchestrator.cli.exits import ExitCode

if TYPE_CHECKING:
    from orchestrator.domain.views import Check
    from orchestrator.events.violation import Report

SHOWN: Final = 20
"""Violations of one invariant that are printed; JSON has all."""


@click.command(
    cls=Command,
    epilog=example(
        "chordal doctor",
        "chordal doctor --quiet",
        "chordal --redis-url redis://cache:6379/0 doctor --json",
        "chordal doctor --history g1",
    ),
)
@click.option(
    "--history",
    "goal",
    type=Id(),
    metavar="GOAL",
    help="Check the history and the state of this goal against the invariants I1 to I15 instead.",
)
@click.option("--quiet", "-q", is_flag=True, help="Print only what is not well.")
@json_option
@connection_options
@click.pass_context
def doctor(ctx: click.Context, goal: str | None, quiet: bool, as_json: bool) -> None:
    """Check Redis, Celery's settings, beat, workers, queues, models and goals, with a remedy for what is wrong.

    FAILED needs an operator; - is worth knowing, waits for somebody, or could not be checked. With --history it checks one
    goal's history instead. Exits with 1 where a check fails or an invariant is violated, with 4 where Redis does not answer.
    """
    ctx.exit(ExitCode.DONE if (_goal(goal, as_json) if goal else _fleet(quiet, as_json)) else ExitCode.FAILED)


def _fleet(quiet: bool, as_json: bool) -> bool:
    checks = client().doctor()
    shown = [check for check in checks if not (quiet and check.ok)]
    if as_json:
        output.json_line([_as_json(check) for check in shown])
    else:
        for check in shown:
            _print(check)
    return all(check.ok is not False for check in checks)


def _print(check: Check) -> None:
    word, colour = {True: ("ok", "green"), False: ("FAILED", "red"), None: ("-", "yellow")}[check.ok]
    verdict = click.style(word.ljust(6), fg=colour)
    click.echo(f"{verdict}  {output.one_line(check.name)}: {output.one_line(check.detail)}")
    if check.remedy and not check.ok:
        click.echo(f"        {output.safe(check.remedy)}")


def _as_json(check: Check) -> dict[str, Any]:
    return {"name": check.name, "ok": check.ok, "detail": check.detail, "remedy": check.remedy}


# -- one goal -------------------------------------------------------------------------------------------------------------


def _goal(goal: str, as_json: bool) -> bool:
    report = client().check_history(goal)
    if as_json:
        output.json_line(_report(report))
    else:
        _print_report(report)
    return not report.violations


def _print_report(report: Report) -> None:
    from orchestrator.events.violation import INVARIANTS

    for invariant, title in INVARIANTS.items():
        verdict, found, notes = report.verdict(invariant), report.of(invariant), report.notes.get(invariant, ())
        word, colour = {"violated": ("FAILED", "red"), "ok": ("ok", "green")}.get(verdict, ("-", "yellow"))
        reason = "" if verdict != "not applicable" else f" (not applicable: {'; '.join(note.text for note in notes)})"
        click.echo(f"{click.style(word.ljust(6), fg=colour)}  {invariant.ljust(3)}  {title}{reason}")
        for violation in found[:SHOWN]:
            click.echo(f"             {output.one_line(violation)}")
        if len(found) > SHOWN:
            click.echo(f"             ... and {len(found) - SHOWN:,} more")
        for note in notes if verdict != "not applicable" else ():
            click.echo(f"             not checked: {output.one_line(note.text)}")
    count = len(report.violations)
    words = "no violation" if not count else f"{count:,} violation{'s' if count != 1 else ''}"
    click.echo(f"goal {report.goal}: {report.events:,} events read, {words}", err=True)


def _report(report: Report) -> dict[str, Any]:
    from orchestrator.events.violation import INVARIANTS

    return {
        "goal": report.goal,
        "events": report.events,
        "invariants": [
            {
                "id": invariant,
                "title": title,
                "verdict": report.verdict(invariant),
                "violations": [
                    {"node": one.node, "event": one.event, "text": one.text} for one in report.of(invariant)
                ],
                "not_checked": [note.text for note in report.notes.get(invariant, ())],
            }
            for invariant, title in INVARIANTS.items()
        ],
    }
