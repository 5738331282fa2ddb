"""`llm set-limit`, `llm drain` and `llm close`: what an operator changes for the whole fleet, at once."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import click

from orchestrator.cli import output
from orchestrator.cli.context import Command, again, connection_options, example, json_option
from orchestrator.cli.llm_accounts import Accounts, Amount, account_argument
from orchestrator.cli.llm_view import print_account

FIELDS: Final[Mapping[str, str]] = {
    "requests": "requests_per_minute",
    "input-tokens": "input_tokens_per_minute",
    "output-tokens": "output_tokens_per_minute",
    "tokens": "tokens_per_minute",
    "concurrency": "concurrency",
}
"""The limits: their options, and as fields of a profile."""
_MICRO: Final = 1_000_000


def _limit_options(command: Any) -> Any:
    helps = {
        "requests": "Requests in any window.",
        "input-tokens": "Input tokens in any window.",
        "output-tokens": "Output tokens in any window.",
        "tokens": "Input and output tokens together in any window.",
        "concurrency": "Calls at once, over the whole fleet.",
    }
    for name, text in reversed(helps.items()):
        command = click.option(f"--{name}", type=click.IntRange(min=1), metavar="N", help=text)(command)
    return command


@click.command(
    cls=Command,
    name="set-limit",
    epilog=example(
        "chordal llm set-limit openai --requests 300 --concurrency 8",
        "chordal llm set-limit openai --lift tokens",
        "chordal llm set-limit openai --reset",
        "chordal llm set-limit openai --owner audit --budget-usd 2.50",
    ),
)
@account_argument
@_limit_options
@click.option("--lift", multiple=True, type=click.Choice(list(FIELDS)), help="Drop this limit. Repeatable.")
@click.option(
    "--reset", is_flag=True, help="Take back what was set at run time, before anything else: the profiles count."
)
@click.option("--owner", metavar="NAME", help="The budget of this owner on the account.")
@click.option("--goal", metavar="GOAL", help="The budget of this goal on the account.")
@click.option("--budget-tokens", type=click.IntRange(min=0), metavar="N", help="Tokens it may spend in all.")
@click.option("--budget-usd", type=Amount(min=0, max=1e9), metavar="USD", help="US dollars it may spend in all.")
@click.option("--no-budget", is_flag=True, help="Forget its budget and what it has spent.")
@json_option
@connection_options
def set_limit(account: str, as_json: bool, **given: Any) -> None:
    """Change an account's limits or a budget, for every process and until it is taken back.

    What is not named stays as it is. Limits stand over those of the profiles, also after a restart of the workers. Prints
    the account as it then is.
    """
    change = _Change(given)
    change.check()
    accounts = Accounts()
    accounts.choose(account)
    change.apply(accounts, account)
    _show(accounts, account, as_json)


class _Change:
    """What the command line asks for."""

    def __init__(self, given: Mapping[str, Any]) -> None:
        self.limits = {field: value for name, field in FIELDS.items() if (value := given[name.replace("-", "_")])}
        self.lifted = [FIELDS[name] for name in given["lift"]]
        self.reset: bool = given["reset"]
        self.owner, self.goal = given["owner"], given["goal"]
        self.tokens, self.usd, self.forget = given["budget_tokens"], given["budget_usd"], given["no_budget"]

    def check(self) -> None:
        """Raises a click error that says what does not go together, and the remedy."""
        budget = self.tokens is not None or self.usd is not None or self.forget
        if both := [name for name, field in FIELDS.items() if field in self.limits and field in self.lifted]:
            raise click.UsageError(f"--{both[0]} and --lift {both[0]} contradict each other: give one of them")
        for name, value in (("--owner", self.owner), ("--goal", self.goal)):
            if value is not None and (not value.isprintable() or not 0 < len(value) <= 128):
                raise click.BadParameter("1 to 128 printable characters", param_hint=name)
        if self.owner and self.goal:
            raise click.UsageError(
                "a budget is of an owner or of a goal: give --owner or --goal, and call twice for both"
            )
        if budget and not (self.owner or self.goal):
            raise click.UsageError("whose budget? Give --owner NAME or --goal GOAL")
        if (self.owner or self.goal) and not budget:
            raise click.UsageError("say what it may spend: --budget-tokens N, --budget-usd USD, or --no-budget")
        if self.forget and (self.tokens is not None or self.usd is not None):
            raise click.UsageError("--no-budget stands alone: leave --budget-tokens and --budget-usd out")
        if not (budget or self.limits or self.lifted or self.reset):
            names = ", ".join(f"--{name}" for name in FIELDS)
            raise click.UsageError(f"say what to change: {names}, --lift, --reset, or a budget")

    def apply(self, accounts: Accounts, account: str) -> None:
        """Make the change, over what is set already."""
        limiter, seen = accounts.limiter, accounts.look(account)
        with accounts.reached():
            if self.limits or self.lifted or self.reset:
                before = {} if self.reset else dict(seen.override)
                limiter.set_limits(account, before | self.limits | dict.fromkeys(self.lifted))
            if self.forget:
                limiter.forget(account, owner=self.owner or "", goal=self.goal or "")
            elif self.owner or self.goal:
                kept = seen.snapshot.budgets
                purse = f"goal:{self.goal}" if self.goal else f"owner:{self.owner}"
                limiter.set_budget(
                    account,
                    owner=self.owner or "",
                    goal=self.goal or "",
                    tokens=kept.get(f"{purse}:tokens") if self.tokens is None else self.tokens,
                    micro_usd=kept.get(f"{purse}:usd") if self.usd is None else round(self.usd * _MICRO),
                )


@click.command(cls=Command, epilog=example("chordal llm drain openai", "chordal llm drain openai --off"))
@account_argument
@click.option("--off", is_flag=True, help="Let calls go out again.")
@json_option
@connection_options
def drain(account: str, off: bool, as_json: bool) -> None:
    """Let no further call go out on an account; calls in flight end, and waiters keep their places."""
    accounts = Accounts()
    accounts.choose(account)
    with accounts.reached():
        accounts.limiter.drain(account, not off)
    _show(accounts, account, as_json)
    if not off and not as_json:
        click.echo(f"\nnothing goes out until: {again('llm', 'drain', account, '--off')}", err=True)


@click.command(cls=Command, epilog=example("chordal llm close openai"))
@account_argument
@json_option
@connection_options
def close(account: str, as_json: bool) -> None:
    """Close the breaker of an account, so that calls go out again: after a quota was raised or a key mended."""
    accounts = Accounts()
    accounts.choose(account)
    with accounts.reached():
        accounts.limiter.close_breaker(account)
    _show(accounts, account, as_json)


def _show(accounts: Accounts, account: str, as_json: bool) -> None:
    seen = accounts.look(account)
    if as_json:
        output.json_line(seen.as_json())
    else:
        print_account(seen)
