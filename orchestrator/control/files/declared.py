"""Heartbeat files of declared agents: which of them is for whom, and what REPARSE makes of a changed declaration."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from orchestrator.agents.declare.files import Refused
from orchestrator.control.files.registry import Registered

if TYPE_CHECKING:
    from orchestrator.agents.declare.instructions import Declaration


def files_of(declaration: Declaration, goal: str, host: str) -> list[Registered]:
    """The files that the agents of a goal name. One that only one of them names is for that agent."""
    path = declaration.path.resolve()
    named: dict[str, list[str]] = {}
    for card in declaration.cards:
        if card.heartbeat is not None:
            named.setdefault(card.heartbeat, []).append(card.name)
    agents = tuple(sorted(card.name for card in declaration.cards))
    return [
        Registered(
            str(path.parent), name, host, goal=goal, agent=of[0] if len(of) == 1 else None,
            alone=len(agents) == 1,
            instructions=str(path), declared=agents,
        )
        for name, of in named.items()
    ]  # fmt: skip


def reparsed(file: Registered, before: Iterable[str], payload: Mapping[str, object]) -> dict[str, Any]:
    """The payload of a REPARSE with the agents as they are declared now; those `before` that are not are removed.

    Raises Refused with the reason why it cannot be.
    """
    from orchestrator.agents.declare.instructions import InvalidInstructions, read_instructions

    if not file.instructions:
        raise Refused("no declared agents came with this file; `chordal reparse GOAL PATH` reads some")
    path = Path(file.instructions)
    try:
        declaration = read_instructions(path)
    except InvalidInstructions as error:
        raise Refused("; ".join(f"{fault.place}: {fault.message}" for fault in error.faults)) from None
    if len(declaration.goals) > 1 and file.goal not in declaration.goals:
        raise Refused(f"{path.name} declares agents of the goals {', '.join(declaration.goals)} now")
    declaration = declaration.for_goal(file.goal)
    names = {card.name for card in declaration.cards}
    agents = [card.model_dump(mode="json", exclude_defaults=True) for card in declaration.cards]
    removed = sorted({*file.declared, *before} - names)
    return {
        **payload,
        "arguments": {"agents": agents, "removed": removed, "source": f"{path.name} {declaration.digest}"},
    }
