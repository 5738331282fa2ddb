"""`chordal transcript`: what was said on an agent's node, as text that cannot steer the terminal."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, Final

import click

from orchestrator.cli import output
from orchestrator.cli.context import (
    Command,
    client,
    connection_options,
    example,
    goal_argument,
    json_option,
    node_argument,
)
from orchestrator.cli.llm_view import dollars
from orchestrator.domain.states import NODE_TERMINAL

if TYPE_CHECKING:
    from orchestrator.wiring import Chordal

POLL_SECONDS: Final = 1.0
MOST_LINES: Final = 40
"""Of one text, unless all are asked for."""


@click.command(
    cls=Command,
    epilog=example("chordal transcript g1 write", "chordal transcript g1 write --follow --json | jq .text"),
)
@goal_argument
@node_argument
@click.option("--follow", "-f", is_flag=True, help="Go on with what is said, until the node has ended.")
@click.option("--all", "every", is_flag=True, help=f"Long texts whole, not their first {MOST_LINES} lines.")
@json_option
@connection_options
def transcript(goal: str, node: str, follow: bool, every: bool, as_json: bool) -> None:
    """Print what an agent said, called and was told, turn by turn.

    JSON is one entry a line: kind answer, results, steered or told. What is not committed is not shown: the turn that
    is under way, and the instructions, which are made anew for each turn. Messages that wait to be read stand last.
    """
    names: dict[str, str] = {}
    for index, entry in enumerate(_entries(client(), goal, node, follow)):
        if as_json:
            click.echo(json.dumps(entry, allow_nan=False))
            continue
        if index:
            click.echo()
        names |= {call["id"]: call["name"] for call in entry.get("calls", ())}
        for line in _lines(entry, names, 0 if every else MOST_LINES):
            click.echo(line)


def _entries(door: Chordal, goal: str, node: str, follow: bool) -> Iterator[dict[str, Any]]:
    """The committed entries; with `follow` up to the end of the node. Waiting messages come at the end."""
    shown, after = 0, "0"
    while True:
        with door.reachable():
            over = not follow or _ended(door, goal, node)
            said = door.agents.transcript(goal, node)
        committed = [entry for entry in said if not entry.get("waiting")]
        yield from committed[shown:]
        shown = max(shown, len(committed))
        if over:
            yield from (entry for entry in said if entry.get("waiting"))
            return
        events = door.events(goal, after, block_seconds=POLL_SECONDS)
        after = events[-1].id if events else after


def _ended(door: Chordal, goal: str, node: str) -> bool:
    state = door.store.nodes.states(goal, [node])[0].get("state")
    return state is None or state in NODE_TERMINAL


def _lines(entry: Mapping[str, Any], names: Mapping[str, str], most: int) -> Iterator[str]:
    """An entry as lines; `names` are the tools of the calls so far, by their ids."""
    kind = entry.get("kind")
    if kind == "answer":
        yield from _answer(entry, most)
    elif kind == "results":
        yield click.style(f"results of turn {entry['turn']}", bold=True)
        for result in entry["results"]:
            mark = click.style("failed", fg="red") if result["failed"] else "gave"
            yield f"  {output.one_line(names.get(result['id'], result['id']), 64)} {mark}:"
            yield from _text(result["text"], most, "    ")
    elif kind == "steered":
        waits = ", not read yet" if entry.get("waiting") else ""
        yield click.style(
            f"{entry.get('speaker', 'user')} said (message {output.one_line(entry['id'], 60)}{waits})", bold=True
        )
        yield from _text(entry["text"], most)
    else:
        yield click.style(f"told ({output.one_line(entry.get('why', ''), 20)})", bold=True)
        yield from _text(entry.get("text", ""), most)


def _answer(entry: Mapping[str, Any], most: int) -> Iterator[str]:
    money = entry.get("micro_usd")
    spent = f", {dollars(money)} $" if money else ""
    model = output.one_line(entry.get("model") or "a model", 60)
    figures = f"{model}, {entry.get('input_tokens', 0):,} tokens in, {entry.get('output_tokens', 0):,} out{spent}"
    final = ", final" if entry.get("final") else ""
    yield f"{click.style('turn ' + str(entry['turn']) + final, bold=True)}  {figures}"
    if entry.get("text"):
        yield from _text(entry["text"], most)
    for call in entry.get("calls", ()):
        where = f"  [{output.one_line(call['node'])}]" if call.get("node") else ""
        said = output.one_line(call.get("arguments", ""), 200 if most else 0)
        yield f"  calls {output.one_line(call['name'], 64)} {said}{where}"
        if call.get("fault"):
            yield f"    {click.style('refused', fg='red')}: {output.one_line(call['fault'], 300)}"


def _text(text: str, most: int, indent: str = "  ") -> Iterator[str]:
    lines = output.safe(text).rstrip().splitlines() or [""]
    shown = lines[:most] if most else lines
    for line in shown:
        yield f"{indent}{line}"
    if len(lines) > len(shown):
        yield f"{indent}... and {len(lines) - len(shown):,} more lines (--all prints them)"
