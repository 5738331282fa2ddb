"""How an account of model calls is shown: tables for `llm status`, a line or gauges for `llm watch`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Final

import click

from orchestrator.cli import output
from orchestrator.cli.llm_accounts import Seen, share

if TYPE_CHECKING:
    from rich.console import Group
    from rich.text import Text

    from orchestrator.llm.status import Snapshot, Usage

WORDS: Final = {
    "requests": "requests",
    "input": "input tokens",
    "output": "output tokens",
    "tokens": "tokens",
    "concurrent": "calls at once",
}
"""The limits, as people say them."""
ROWS: Final = 10
_BAR: Final = 30


def print_account(seen: Seen, every: bool = False) -> None:
    """All that is known about an account."""
    one = seen.snapshot
    head = ", ".join(_states(one)) or ("ready" if seen.ever_used else "never used")
    slots = "" if one.slots is None else f", {one.slots:,} slots of llm workers"
    click.echo(f"{click.style(one.account, bold=True)}: {head}")
    click.echo(
        f"{one.usage['concurrent'].used:,} in flight, {one.waiting:,} waiting{_longest(seen)}, "
        f"{_count(one.processes, 'live process', 'live processes')}{slots}"
    )
    _table(
        ("", *_USAGE), [_usage_row(name, usage, seen) for name, usage in one.usage.items() if usage.used or usage.limit]
    )
    most = None if every else ROWS
    _table(("owner", "goal", "waiting", "the next for"), _flow_rows(one), most)
    _table(("permit", "owner", "goal", "tokens", "held for", "runs out in", ""), _lease_rows(one), most)
    _table(("spent by", "tokens", "budget", "dollars", "budget"), _purse_rows(one), most)


_USAGE: Final = ("limit", "allowed now", "used", "%", "")


def _usage_row(name: str, usage: Usage, seen: Seen) -> tuple[str, ...]:
    from orchestrator.llm.limits import NAMES

    field, per = NAMES[name], "" if name == "concurrent" else f" in {seen.snapshot.window_seconds:g} s"
    remark = "set at run time" if field in seen.override else ""
    if remark and (usual := seen.settings[field]) is not None:
        remark += f"; by the profiles {usual:,}"
    percent = share(usage.used, usage.allowed)
    limit = "-" if usage.limit is None else f"{usage.limit:,}{per}"
    allowed = "-" if usage.allowed is None else f"{usage.allowed:,}"
    return WORDS[name], limit, allowed, f"{usage.used:,}", "-" if percent is None else f"{percent:g}", remark


def _states(one: Snapshot) -> Iterator[str]:
    """What keeps calls from going out, in words and colours."""
    if one.draining:
        yield click.style("drained", fg="yellow")
    if one.hold_seconds:
        yield f"{click.style('held', fg='yellow')} for {output.duration(one.hold_seconds)}{_why(one.hold_reason)}"
    if one.breaker != "closed":
        left = f" for {output.duration(one.breaker_seconds)}" if one.breaker_seconds else ""
        yield f"{click.style(f'breaker {one.breaker}', fg='red')}{left}{_why(one.breaker_reason)}"
    if one.factor < 1:
        yield f"{click.style(f'slowed to {100 * one.factor:.0f} %', fg='yellow')} of its limits after HTTP 429"


def _why(reason: str) -> str:
    return f" ({output.one_line(reason, 80)})" if reason else ""


def _longest(seen: Seen) -> str:
    return f" (up to {output.duration(seen.longest_wait)})" if seen.snapshot.waiting else ""


def _flow_rows(one: Snapshot) -> list[tuple[str, ...]]:
    flows = sorted(one.flows, key=lambda flow: -flow.seconds)
    return [(_name(flow.owner), _name(flow.goal), f"{flow.count:,}", output.duration(flow.seconds)) for flow in flows]


def _lease_rows(one: Snapshot) -> list[tuple[str, ...]]:
    leases = sorted(one.leases, key=lambda lease: -lease.seconds)
    return [
        (
            output.one_line(lease.id, 40), _name(lease.owner), _name(lease.goal), f"{lease.tokens:,}",
            output.duration(lease.seconds), output.duration(max(0.0, lease.ends_in)),
            "" if lease.started else "not begun",
        )
        for lease in leases
    ]  # fmt: skip


def _purse_rows(one: Snapshot) -> list[tuple[str, ...]]:
    """The account, then owners and goals, those with a budget first."""
    names = {purse.rpartition(":")[0] for purse in (*one.spend, *one.budgets)}
    limited = {purse.rpartition(":")[0] for purse in one.budgets}
    order = sorted(names, key=lambda name: (name != "account", name not in limited, name))
    return [
        (
            _name(name.replace(":", " ", 1)), f"{one.spend.get(f'{name}:tokens', 0):,}", _most(one, f"{name}:tokens"),
            dollars(one.spend.get(f"{name}:usd", 0)), _most(one, f"{name}:usd"),
        )
        for name in order
    ]  # fmt: skip


def _most(one: Snapshot, purse: str) -> str:
    most = one.budgets.get(purse)
    return "-" if most is None else dollars(most) if purse.endswith(":usd") else f"{most:,}"


def dollars(micro: int | None) -> str:
    """Millionths of a dollar as dollars; `?` for an amount that nobody knows."""
    return "?" if micro is None else f"{micro / 1_000_000:,.{4 if micro >= 10_000 else 6}f}"


def _name(text: str) -> str:
    return output.one_line(text, 40) or "-"


def _count(number: int, one: str, many: str) -> str:
    return f"{number:,} {one if number == 1 else many}"


def _table(head: Sequence[str], rows: Sequence[tuple[str, ...]], most: int | None = None) -> None:
    if not rows:
        return
    click.echo()
    output.columns(head, rows[:most])
    if most is not None and len(rows) > most:
        click.echo(f"... and {len(rows) - most:,} more (--all lists them)")


# -- watching -------------------------------------------------------------------------------------------------------------


def line(seen: Seen) -> str:
    """The account on one line."""
    one = seen.snapshot
    gauges = [
        f"{WORDS[name]} {usage.used:,}/{usage.allowed:,}"
        for name, usage in one.usage.items()
        if usage.allowed is not None
    ]
    parts = [
        *(gauges or [f"calls at once {one.usage['concurrent'].used:,}"]),
        f"{one.waiting:,} waiting{_longest(seen)}",
    ]
    return f"{one.account}: {', '.join([*parts, *map(click.unstyle, _states(one))])}"


def frame(accounts: Sequence[Seen], note: str = "") -> Group:
    """One picture of the gauges. What comes from owners and providers is neutralised and never read as markup."""
    from rich.console import Group
    from rich.text import Text

    lines = [text for seen in accounts for text in _gauges(seen)]
    lines.append(Text("Ctrl-C ends", "dim"))
    return Group(*lines, *([Text(note, "yellow")] if note else []))


def _gauges(seen: Seen) -> Iterator[Text]:
    from rich.text import Text

    one = seen.snapshot
    stopped = ", ".join(click.unstyle(state) for state in _states(one))
    yield Text.assemble((one.account, "bold"), "  ", (stopped, "yellow"))
    for name, usage in one.usage.items():
        percent = share(usage.used, usage.allowed)
        if percent is None:
            continue
        full = min(_BAR, round(_BAR * percent / 100))
        colour = "green" if percent < 90 else "yellow"
        bar = (("█" * full, colour), ("░" * (_BAR - full), "dim"))
        yield Text.assemble(f"  {WORDS[name]:<13}  ", *bar, f"  {usage.used:,} of {usage.allowed:,}  {percent:g} %")
    yield Text(f"  {one.usage['concurrent'].used:,} in flight, {one.waiting:,} waiting{_longest(seen)}")
    for flow in sorted(one.flows, key=lambda flow: -flow.seconds)[:5]:
        who = f"{_name(flow.owner)} {_name(flow.goal) if flow.goal else ''}".rstrip()
        yield Text(f"    {who}: {flow.count:,} waiting, the next for {output.duration(flow.seconds)}", "dim")
