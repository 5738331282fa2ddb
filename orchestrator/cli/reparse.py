"""REPARSE: instructions that change while their goal runs are taken over from the next turn on."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import TYPE_CHECKING, Any

import click

from orchestrator.cli.context import Command, client, connection_options, example, goal_argument, json_option
from orchestrator.cli.giving import command_of, expires_option, id_option, reason_option
from orchestrator.domain.errors import ChordalError, GoalNotFound, IllegalTransition, RedisNotReachable

if TYPE_CHECKING:
    from orchestrator.agents.declare.instructions import Declaration
    from orchestrator.domain import command as model
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
        self._trouble = ""

    def look(self) -> str:
        """Take over what has changed since the last look; returns what there is to say, mostly nothing.

        A declaration with faults changes nothing, and its faults are told once; so is what else goes wrong, and the next
        look tries again. Raises RedisNotReachable; then the next look tries again too.
        """
        try:
            said, trouble = self._look(), ""
        except RedisNotReachable:
            raise
        except (GoalNotFound, IllegalTransition):
            return ""  # the goal ends in this second; whoever follows it says how
        except (ChordalError, OSError) as error:
            said, trouble = "", f"the agents stay as they are: {error}"
        if trouble and trouble != self._trouble:
            said = trouble
        self._trouble = trouble
        return said

    def _look(self) -> str:
        from orchestrator.agents.declare.instructions import InvalidInstructions, read_instructions

        seen = stamps(self._declaration)
        if seen == self._stamps and not self._faults:  # with faults, the file that mends them may be one not named yet
            return ""
        try:
            new = read_instructions(self._declaration.path).for_goal(self._declaration.goal)
        except InvalidInstructions as error:
            before, self._faults = self._faults, str(error)
            return "" if before == self._faults else f"the agents stay as they are: {self._faults}"
        from orchestrator.domain.command import Denied

        try:
            changed = hand_over(self._door, self._goal, new, self._declaration)
        except Denied:
            self._stamps = seen  # asked once: each refusal is written down
            raise
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


def hand_over(door: Chordal, goal: str, new: Declaration, old: Declaration) -> list[str]:
    """Hand over the agents that are not as they were in `old`; returns the names of those that changed or are gone."""
    before = {card.name: card for card in old.cards}
    cards = [card for card in new.cards if before.get(card.name) != card]
    gone = removed(old, new)
    return _hand_over(door, goal, new, cards, gone) if cards or gone else []


def replacing(
    door: Chordal, head: Mapping[str, Any], new: Declaration, others: Collection[str] | None
) -> tuple[model.Command, list[str]]:
    """The command that makes the stored agents those of `new`, and the names of agents that are only kept.

    `others` are agents that the goal has from elsewhere, which stay; where nobody can say which those are (None), none is
    taken away. A planner that Chordal brought along stays too.
    """
    from orchestrator.agents.plan.planner import is_ours

    stored = door.agents.cards(head["goal"])
    declared = {card.name for card in new.cards}
    absent = {name for name, card in stored.items() if name not in declared and not is_ours(card)}
    gone = set[str]() if others is None else absent - set(others)
    kept = sorted(absent) if others is None else []
    return _command(head, new, new.cards, gone), kept


def _hand_over(
    door: Chordal, goal: str, new: Declaration, cards: Iterable[AgentCard], gone: set[str]
) -> list[str]:  # fmt: skip
    command = _command({"goal": goal}, new, cards, gone)
    with door.reachable():
        return changed_by(door.commands.act(command))


def _command(head: Mapping[str, Any], new: Declaration, cards: Iterable[AgentCard], gone: set[str]) -> model.Command:
    agents = [card.model_dump(mode="json", exclude_defaults=True) for card in cards]
    told = {"agents": agents, "removed": sorted(gone), "source": f"{new.path.name} {new.digest}"}
    return command_of("REPARSE", head, told)


def changed_by(answer: model.Answer) -> list[str]:
    """The agents that are others now, or are no more."""
    found = str(answer.extra.get("changed", ""))
    return found.split(", ") if found else []


def removed(old: Declaration, new: Declaration) -> set[str]:
    """Agents that are declared no more."""
    return {card.name for card in old.cards} - {card.name for card in new.cards}


@click.command(cls=Command, epilog=example("chordal reparse goal-001 instructions/INSTRUCTIONS.md"))
@goal_argument
@click.argument("path", metavar="PATH", type=click.Path(exists=True))
@reason_option
@id_option
@expires_option
@json_option
@connection_options
def reparse(path: str, as_json: bool, **head: Any) -> None:
    """Give a goal's agents the instructions that PATH has now.

    They hold from each agent's next turn on; what a node may use (its tools) was fixed with its first step and stays. The
    next turn of an agent that is declared no more fails; agents of the goal's own document stay. PATH is an INSTRUCTIONS
    file or a folder with one. `chordal run` does this by itself while it follows the goal.
    """
    from orchestrator.cli.answers import tell
    from orchestrator.cli.instructions import read_declaration
    from orchestrator.cli.load import agents_beside

    declaration, goal = read_declaration(path), str(head["goal"])
    if len(declaration.goals) > 1 and goal not in declaration.goals:
        known = ", ".join(declaration.goals)
        raise click.BadParameter(f"{path} declares agents of the goals {known}, not of {goal}", param_hint="GOAL")
    declaration = declaration.for_goal(goal)
    door = client()
    with door.reachable():
        command, kept = replacing(door, head, declaration, agents_beside(declaration))
        answer = door.commands.carry_out(command)
    changed = changed_by(answer)
    if as_json or not answer.ok:
        tell(command, answer, as_json, {"changed": changed} if answer.ok else None)
        return
    click.echo(f"changed: {', '.join(changed)}" if changed else "nothing changed")
    if kept:
        click.echo(f"not declared, but goal.py may have brought them along, so they stay: {', '.join(kept)}", err=True)
