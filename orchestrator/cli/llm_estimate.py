"""`llm estimate`: what the model calls of a goal, or one prompt, will take: tokens, dollars, time."""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import click

from orchestrator.cli import output
from orchestrator.cli.context import Command, connection_options, example, json_option, set_option, settings
from orchestrator.cli.llm_accounts import read_profiles
from orchestrator.cli.llm_view import dollars
from orchestrator.domain.dag import Goal, NodeKind

if TYPE_CHECKING:
    from orchestrator.llm.messages import Request
    from orchestrator.llm.profiles import Profiles


@dataclass(frozen=True, slots=True)
class Line:
    """One call."""

    node: str
    model: str | None = None
    """The first of the chain."""
    account: str | None = None
    input_tokens: int | None = None
    output_tokens: int | None = None
    """Reserved, the most that is paid for."""
    micro_usd: int | None = None
    remark: str = ""

    @property
    def counted(self) -> bool:
        """Is it known how large it is?"""
        return self.input_tokens is not None


@click.command(
    cls=Command,
    epilog=example(
        "chordal llm estimate goal.json",
        "chordal llm estimate examples/audit --set root=src --json | jq .total",
        "chordal llm estimate --model default --prompt 'Is this risky?' --max-output-tokens 400",
    ),
)
@click.argument("path", metavar="[FILE|DIR|-]", required=False)
@click.option("--model", metavar="NAME", help="In place of a goal: the model or chain that one call asks.")
@click.option("--prompt", metavar="TEXT", help="What that call says.")
@click.option(
    "--max-output-tokens", type=click.IntRange(1, 10_000_000), metavar="N", help="The reservation of that call."
)
@set_option
@json_option
@connection_options
def estimate(path: str | None, as_json: bool, values: dict[str, Any], **one: Any) -> None:
    """Estimate what the model calls of a goal will take: tokens, dollars and time.

    Counts each node of kind llm by the first model of its chain, without retries and fallbacks. A prompt that refers to
    the output of another node cannot be counted before that node has run: the totals leave it out and say so. Needs no
    Redis, calls nothing.
    """
    if path and any(value is not None for value in one.values()):
        raise click.UsageError("give a goal, or --model and --prompt, not both")
    profiles = read_profiles(settings())
    lines = list(_of_goal(path, values, profiles) if path else _of_prompt(one, profiles))
    found = _sum(lines, profiles)
    if as_json:
        output.json_line(found)
    else:
        _print(lines, found)


def _of_prompt(one: Mapping[str, Any], profiles: Profiles) -> Iterator[Line]:
    if not one["model"] or one["prompt"] is None:
        raise click.UsageError("say what to estimate: a goal's FILE, or --model NAME and --prompt TEXT")
    yield _line("", _request(one, profiles), profiles)


def _of_goal(path: str, values: dict[str, Any], profiles: Profiles) -> Iterator[Line]:
    from orchestrator.cli.load import read_source
    from orchestrator.domain.refs import references
    from orchestrator.gate.request import BadInputs
    from orchestrator.llm.failures import UnknownModel

    for name, inputs in _nodes(read_source(path, values).goal):
        awaited = list(dict.fromkeys(references(inputs)))
        if awaited:
            yield Line(name, remark=f"not counted: it waits for the output of {', '.join(awaited)}")
            continue
        try:
            yield _line(name, _request(inputs, profiles), profiles)
        except (UnknownModel, BadInputs) as error:
            yield Line(name, remark=f"cannot be called: {error}")


def _nodes(goal: Goal, before: str = "") -> Iterator[tuple[str, Mapping[str, Any]]]:
    """The nodes of kind llm with their inputs, those of sub-goals too."""
    from orchestrator.domain.validate import read_goal

    for node in goal.nodes:
        if node.kind is NodeKind.LLM:
            yield before + node.id, node.inputs or {}
        elif node.goal is not None:
            yield from _nodes(read_goal(node.goal), f"{before}{node.id}/")


def _request(inputs: Mapping[str, Any], profiles: Profiles) -> Request:
    """The call that such inputs make. Raises BadInputs and UnknownModel."""
    from orchestrator.gate.request import read_inputs, to_request

    found = read_inputs(inputs)
    return to_request(found, found.model or profiles.default(), owner="default", goal="", priority=0)


def _line(name: str, request: Request, profiles: Profiles) -> Line:
    from orchestrator.llm.course import Course, Progress
    from orchestrator.llm.estimates import LocalEstimates
    from orchestrator.llm.failures import ContextTooLong
    from orchestrator.llm.messages import Usage
    from orchestrator.llm.prices import micro_usd

    course, start = Course(profiles, LocalEstimates(), request, random.uniform), Progress()
    target = course.target(start)
    try:
        reserved = course.reservation(start, target)
    except ContextTooLong as error:
        return Line(name, target.key, target.model.account, remark=f"cannot be called: {error}")
    usage = Usage(input_tokens=target.input_tokens, output_tokens=reserved)
    remarks = [
        "" if target.encoding else "tokens counted high: no encoding is known",
        "" if request.max_output_tokens else "no max_output_tokens: reserved as nothing was learnt yet",
    ]
    price = micro_usd(usage, target.key, target.model, target.account)
    return Line(
        name, target.key, target.model.account, usage.input_tokens, reserved, price,
        "; ".join(remark for remark in (*remarks, "no price is known" if price is None else "") if remark),
    )  # fmt: skip


def _sum(lines: Iterable[Line], profiles: Profiles) -> dict[str, Any]:
    """The lines, the totals, and what each account's limits make of them."""
    from orchestrator.llm.lines import model_limits
    from orchestrator.llm.pace import shortest_seconds

    nodes = [asdict(line) for line in lines]
    counted = [line for line in lines if line.counted]
    limits = profiles.limits() | model_limits(profiles)
    accounts = []
    for name, there in _by_line(counted, profiles).items():
        tokens = [sum(getattr(line, f"{side}_tokens") for line in there) for side in ("input", "output")]
        seconds = shortest_seconds(limits[name], len(there), *tokens)
        accounts.append(
            {"account": name, "calls": len(there), "input_tokens": tokens[0], "output_tokens": tokens[1],
             "shortest_seconds": seconds}
        )  # fmt: skip
    total = {
        "calls": len(nodes),
        "not_counted": len(nodes) - len(counted),
        "input_tokens": sum(line.input_tokens or 0 for line in counted),
        "output_tokens": sum(line.output_tokens or 0 for line in counted),
        "micro_usd": sum(line.micro_usd or 0 for line in counted),
        "without_price": sum(line.micro_usd is None for line in counted),
        "shortest_seconds": max((float(one["shortest_seconds"]) for one in accounts), default=0.0),
    }
    return {"nodes": nodes, "accounts": accounts, "total": total}


def _by_line(counted: Iterable[Line], profiles: Profiles) -> dict[str, list[Line]]:
    """The calls by account, and by model where it has limits of its own: a call counts in both."""
    from orchestrator.llm.lines import line_of

    found: dict[str, list[Line]] = {}
    for line in counted:
        assert line.account is not None
        assert line.model is not None
        for name in dict.fromkeys((line.account, line_of(profiles, line.model))):
            found.setdefault(name, []).append(line)
    return found


def _print(lines: list[Line], found: dict[str, Any]) -> None:
    if not lines:
        click.echo("no node calls a model", err=True)
        return
    rows = [
        (
            line.node or "-", line.model or "?", line.account or "?", _number(line.input_tokens),
            _number(line.output_tokens), dollars(line.micro_usd), output.one_line(line.remark),
        )
        for line in lines
    ]  # fmt: skip
    output.columns(("node", "model", "account", "input", "output", "dollars", ""), rows)
    total = found["total"]
    left_out = [
        f"{total[key]:,} {words}"
        for key, words in (("not_counted", "not counted"), ("without_price", "without a price"))
        if total[key]
    ]
    click.echo(
        f"\ntotal: {_calls(total['calls'])}, {total['input_tokens']:,} input and at most {total['output_tokens']:,} output "
        f"tokens, at most {dollars(total['micro_usd'])} dollars{f' ({words})' if (words := ', '.join(left_out)) else ''}"
    )
    for one in found["accounts"]:
        seconds = output.duration(one["shortest_seconds"])
        click.echo(f"account {one['account']}: its rates let {_calls(one['calls'])} go out within {seconds} at best")


def _number(value: int | None) -> str:
    return "?" if value is None else f"{value:,}"


def _calls(number: int) -> str:
    return f"{number:,} call{'s' if number != 1 else ''}"
