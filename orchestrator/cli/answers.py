"""What became of a command, as people and programs read it, and the exit code that goes with it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, Final

import click

from orchestrator.cli import output
from orchestrator.cli.exits import ExitCode, refuse
from orchestrator.domain.command import Code
from orchestrator.domain.verbs import Verb

if TYPE_CHECKING:
    from orchestrator.domain.command import Answer, Command, Effect

SENTENCES: Final[Mapping[str, str]] = {
    "paused": "is paused: what runs finishes, nothing new starts",
    "resumed": "goes on",
    "unchanged": "is in that state already; nothing changed",
    "cancelled": "is cancelled",
    "ended": "had ended already; nothing changed",
    "retried": "runs again",
    "dropped": "is dropped from the plan",
    "edited": "has other inputs",
    "approved": "is approved",
    "rejected": "is rejected",
    "woken": "has received the signal",
    "kept": "keeps the signal for the node that will wait for it",
    "steered": "will read it with its next turn",
    "known": "had this message before; nothing changed",
    "flushed": "remembers nothing any more",
    "reparsed": "has its agents declared anew; that holds from their next turns on",
    "replanned": "is planned anew by its node",
    "set": "has another priority",
    "held": "is held: no new claim",
    "released": "is held no more",
    "stopped": "takes no new node; what runs finishes",
    "done": "is done",
}
"""The service's words for what became of a command, as people read them."""
BUDGET: Final = "has another budget for model calls"
STOPPED: Final = "is paused: nothing new starts, and what ran was stopped; it runs again, from its start, after RESUME"
KINDS: Final[Mapping[int, str]] = {
    Code.BAD: "InvalidCommand",
    Code.DENIED: "Denied",
    Code.NOT_FOUND: "NotFound",
    Code.REFUSED: "IllegalTransition",
    Code.EXPIRED: "Expired",
    Code.FAILED: "Failed",
}
"""What an error is called in JSON, where the service does not say."""


def tell(command: Command, answer: Answer, as_json: bool, more: Mapping[str, Any] | None = None) -> None:
    """Print what became of a command; `more` stands in its JSON. Exits with 2 where it was refused, 1 where it failed."""
    if as_json:
        output.json_line(as_document(command, answer) | dict(more or {}))
    elif answer.ok:
        for line in _lines(command, answer):
            click.echo(line)
    else:
        refuse("", answer.message or f"nobody could: {command.verb} for {command.target}", as_json=False)
        for effect in answer.effects:
            click.echo(_effect(effect), err=True)
    if not answer.ok:
        raise SystemExit(ExitCode.FAILED if answer.code == Code.FAILED else ExitCode.USAGE)


def as_document(command: Command, answer: Answer) -> dict[str, Any]:
    """The answer for a program: its fields, `goal_id` and `node` where it was for one, and `error` where it was refused."""
    found: dict[str, Any] = {}
    if command.goal:
        found["goal_id"] = command.goal
    if node := command.node or answer.extra.get("node"):
        found["node"] = node
    found |= answer.as_json()
    if not answer.ok:
        kind = answer.extra.get("error") or KINDS.get(answer.code, "ChordalError")
        faults = [
            dict(zip(("place", "message", "remedy"), one, strict=False)) for one in answer.extra.get("faults", ())
        ]
        found["error"] = {"type": kind, "message": answer.message or answer.outcome, "faults": faults}
    return found


def _lines(command: Command, answer: Answer) -> Iterator[str]:
    again = " (it was given before; this is what came of it then)" if answer.repeated else ""
    if _is_broadcast(command, answer):
        count = f"{answer.receivers:,} goal{'' if answer.receivers == 1 else 's'}"
        yield f"{count}: {_counts(answer)}{again}" if answer.receivers else f"there is no goal that it is for{again}"
        yield from (_effect(effect) for effect in answer.effects if effect.code != Code.OK)
        return
    sentence = output.one_line(_sentence(command, answer))
    if stopped := answer.extra.get("stopped"):
        sentence = f"{STOPPED}: {output.one_line(', '.join(map(str, stopped)), 500)}"
    if node := answer.extra.get("node"):
        sentence = f"{sentence} {output.one_line(node)}"
    yield f"{output.one_line(_subject(command))} {sentence}{again}"


def _sentence(command: Command, answer: Answer) -> str:
    if (command.verb, answer.outcome) == (Verb.SET_BUDGET, "set"):
        return BUDGET
    return SENTENCES.get(answer.outcome, answer.outcome)


def _is_broadcast(command: Command, answer: Answer) -> bool:
    """Whether it went to goals one by one. What is done to the fleet has one receiver, which is no goal."""
    return command.goal is None and not any(not effect.goal for effect in answer.effects)


def _subject(command: Command) -> str:
    return "the fleet" if command.all else command.target


def _counts(answer: Answer) -> str:
    counts: dict[str, int] = {}
    for effect in answer.effects:
        counts[effect.outcome] = counts.get(effect.outcome, 0) + 1
    said = ", ".join(f"{number:,} {output.one_line(outcome)}" for outcome, number in counts.items())
    more = answer.receivers - len(answer.effects)
    return f"{said}, and {more:,} more" if more > 0 else said


def _effect(effect: Effect) -> str:
    place = f"node {effect.node} of goal {effect.goal}" if effect.node else f"goal {effect.goal}"
    return output.one_line(f"  {place}: {effect.outcome}{': ' if effect.message else ''}{effect.message}")
