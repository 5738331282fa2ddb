"""`doctor`: is everything here that a goal needs?"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from orchestrator.cli import output
from orchestrator.cli.context import Command, client, connection_options, example, json_option
from orchestrator.cli.exits import ExitCode

if TYPE_CHECKING:
    from orchestrator.domain.views import Check


@click.command(cls=Command, epilog=example("chordal doctor", "chordal --redis-url redis://cache:6379/0 doctor --json"))
@json_option
@connection_options
@click.pass_context
def doctor(ctx: click.Context, as_json: bool) -> None:
    """Check Redis, workers, beat and this machine, with a remedy for what is wrong.

    Exits with 1 where a check fails and with 4 where Redis does not answer.
    """
    checks = client().doctor()
    if as_json:
        output.json_line([_as_json(check) for check in checks])
    else:
        for check in checks:
            _print(check)
    ctx.exit(ExitCode.FAILED if any(check.ok is False for check in checks) else ExitCode.DONE)


def _print(check: Check) -> None:
    word, colour = {True: ("ok", "green"), False: ("FAILED", "red"), None: ("-", "yellow")}[check.ok]
    verdict = click.style(word.ljust(6), fg=colour)
    click.echo(f"{verdict}  {output.one_line(check.name)}: {output.one_line(check.detail)}")
    if check.remedy and not check.ok:
        click.echo(f"        {output.safe(check.remedy)}")


def _as_json(check: Check) -> dict[str, Any]:
    return {"name": check.name, "ok": check.ok, "detail": check.detail, "remedy": check.remedy}
