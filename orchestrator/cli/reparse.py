"""REPARSE: instructions that change while their goal runs are taken over from the next turn on."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import click

from orchestrator.cli import output
from orchestrator.cli.context import Command, client, connection_options, example, goal_argument, json_option

if TYPE_CHECKING:
    from orchestrator.agents.declare.instructions import Declaration
    from orchestrator.domain.agent import AgentCard
    from orchestrator.wiring import Chordal

Stamp = tuple[int, int, int] | None
"""What a look at a file costs little to compare: modification time (ns), size, inode; None where it is away."""


class Watch:
    """Looks at the files of a declaration and hands changed agents to the goal."""

    def __init__(self, door: Chordal, goal: str, declaration: Declaration) -> None:
        self._door, self._goal, self._declaration = door, goal, declaration
        # None: the first look reads, because a stack may have taken its time to start since the files were read.
        self._stamps: dict[str, Stamp] | None = None
        self._faults = ""

    def look(self) -> str:
        """Take over what has changed since the last look; returns what there is to say, mostly nothing.

        A declaration with faults changes nothing, and its faults are told once. Raises RedisNotReachable; then the next
        look tries again.
        """
        from orchestrator.agents.declare.instructions import InvalidInstructions, read_instructions

        seen = stamps(self._declaration)
        if seen == self._stamps and not self._faults:  # with faults, the file that mends them may be one not named yet
            return ""
        try:
            new = read_instructions(self._declaration.path).for_goal(self._declaration.goal)
        except InvalidInstructions as error:
            before, self._faults = self._faults, str(error)
            return "" if before == self._faults else f"the agents stay as they are: {self._faults}"
        changed = hand_over(self._door, self._goal, new, self._declaration)
        gone = removed(self._declaration, new)
        said = _summary([name for name in changed if name not in gone], gone)
        # Only now: what Redis did not take is tried again. Files that are named for the first time are watched too.
        self._stamps = seen if seen.keys() == new.files.keys() else stamps(new)
        self._declaration, self._faults = new, ""
        return said


def _summary(changed: list[str], gone: set[str]) -> str:
    parts = [f"instructions of {', '.join(changed)} changed; they hold from the next turn on"] if changed else []
    parts += [f"{', '.join(sorted(gone))} declared no more; their next turns fail"] if gone else []
    return "; ".join(parts)


def stamps(declaration: Declaration) -> dict[str, Stamp]:
    """How the files of a declaration look now."""
    found: dict[str, Stamp] = {}
    for name in declaration.files:
        try:
            seen = (declaration.path.parent / name).stat(follow_symlinks=False)
            found[name] = (seen.st_mtime_ns, seen.st_size, seen.st_ino)
        except OSError:
            found[name] = None
    return found


def hand_over(door: Chordal, goal: str, new: Declaration, old: Declaration | None = None) -> list[str]:
    """Hand over the agents that are not as they were in `old`; returns the names of those that changed or are gone."""
    before = {card.name: card for card in old.cards} if old else {}
    cards = [card for card in new.cards if before.get(card.name) != card]
    gone = removed(old, new) if old else set[str]()
    if not cards and not gone:
        return []
    stored = door.agents.cards(goal)
    source = f"{new.path.name} {new.digest}"
    return door.agents.reparse(goal, [_planning(card, stored) for card in cards], source, sorted(gone))


def removed(old: Declaration, new: Declaration) -> set[str]:
    """Agents that are declared no more."""
    return {card.name for card in old.cards} - {card.name for card in new.cards}


def _planning(card: AgentCard, stored: Mapping[str, AgentCard]) -> AgentCard:
    """The agent that made the goal's plan goes on to know the form of plans, which no declaration says."""
    from orchestrator.agents.plan.planner import planner_of
    from orchestrator.agents.plan.scene import PLANNERS

    plans = card.name in stored and stored[card.name].output_schema and card.output_schema is None
    return planner_of({card.name: card}) if plans and card.resolved_role in PLANNERS else card


@click.command(cls=Command, epilog=example("chordal reparse goal-001 instructions/INSTRUCTIONS.md"))
@goal_argument
@click.argument("path", metavar="PATH", type=click.Path(exists=True))
@json_option
@connection_options
def reparse(goal: str, path: str, as_json: bool) -> None:
    """Give a goal's agents the instructions that PATH has now.

    They hold from each agent's next turn on; what a node may use (its tools) was fixed with its first step and stays. PATH
    is an INSTRUCTIONS file or a folder with one. `chordal run` does this by itself while it follows the goal.
    """
    from orchestrator.cli.instructions import read_declaration

    changed = hand_over(client(), goal, read_declaration(path).for_goal(goal))
    if as_json:
        output.json_line({"goal_id": goal, "changed": changed})
    else:
        click.echo(f"changed: {', '.join(changed)}" if changed else "nothing changed")
