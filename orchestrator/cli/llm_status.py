"""`llm status`: the line before each account, at one moment."""

from __future__ import annotations

import click

from orchestrator.cli import output
from orchestrator.cli.context import Command, connection_options, example, json_option
from orchestrator.cli.llm_accounts import AccountName, Accounts
from orchestrator.cli.llm_view import print_account


@click.command(
    cls=Command,
    epilog=example("chordal llm status", "chordal llm status openai --json | jq '.accounts[].waiting'"),
)
@click.argument("account", type=AccountName(), metavar="[ACCOUNT]", required=False)
@click.option("--all", "every", is_flag=True, help="List every goal that waits, every permit and every budget.")
@json_option
@connection_options
def status(account: str | None, every: bool, as_json: bool) -> None:
    """Show each account: allowance, use, who waits and how long, permits, holds, breaker, spend.

    Percentages are of what is allowed now, which is less than the limit after HTTP 429. Changes nothing.
    """
    accounts = Accounts()
    chosen = accounts.choose(account)
    strangers = accounts.find_used()
    seen = [accounts.glance(name) for name in chosen]
    if as_json:
        output.json_line({"accounts": [one.as_json() for one in seen], "not_in_profiles": strangers})
        return
    for number, one in enumerate(seen):
        if number:
            click.echo()
        print_account(one, every)
    if strangers and account is None:
        names = ", ".join(output.one_line(name, 80) for name in strangers[:20])
        click.echo(f"\nused by somebody with other profiles: {names} (name their file in CHORDAL_LLM_FILE)", err=True)
