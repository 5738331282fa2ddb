"""A goal from declared agents: task lists, a DAG beside them, or a plan that a model is to make."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from orchestrator.domain.errors import Fault, InvalidGoal

if TYPE_CHECKING:
    from orchestrator.agents.declare.instructions import Declaration

PROFILES: Final = "llm.yaml"
"""The file of profiles that is used where it stands beside the declaration and no other one is set."""


@dataclass(frozen=True, slots=True)
class Wish:
    """What the command line says of a goal made from a declaration; None where it says nothing."""

    text: str | None = None
    """What is wanted, in words."""
    goal_id: str | None = None
    """Which of the declared goals; another id where only one is declared."""
    owner: str | None = None
    approve_plan: bool | None = None
    workflow: bool | None = None

    def is_said(self) -> bool:
        """Whether it says anything."""
        return self != Wish()


def wish_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """The options that make a `Wish`; `take_wish` reads them."""
    for option in reversed((
        click.option("--goal", "text", metavar="TEXT", help="What declared agents are to do, in words."),
        click.option("--goal-id", metavar="ID", help="Its id; where agents of several goals are declared, which of them."),
        click.option("--owner", metavar="NAME", help="Whose goal it is."),
        click.option("--approve-plan/--no-approve-plan", default=None, help="Whether a person approves a model's plan."),
        click.option("--workflow/--no-workflow", default=None, help="Whether work is reviewed and integrated."),
    )):  # fmt: skip
        command = option(command)
    return command


def take_wish(options: dict[str, Any]) -> Wish:
    """The wish that a command's options say; they are taken out of `options`."""
    return Wish(**{name: options.pop(name) for name in Wish.__dataclass_fields__})


def declaration_at(place: Path) -> Declaration | None:
    """The declaration that a path means: the file itself, or the one of a folder. Raises InvalidInstructions."""
    from orchestrator.agents.declare.instructions import find_instructions, read_instructions

    file = find_instructions(place) if place.is_dir() else place if is_declaration(place) else None
    return read_instructions(file) if file else None


def is_declaration(file: Path) -> bool:
    """Whether a file declares agents, by its name: goals are JSON, YAML or Python and called otherwise."""
    return file.suffix == ".md" or (file.suffix in (".yaml", ".yml") and file.stem.upper() == "INSTRUCTIONS")


def home(declaration: Declaration) -> Path:
    """The folder that a DAG, modules and profiles beside the declaration are looked for in."""
    folder = declaration.path.resolve().parent
    return folder.parent if folder.name == "instructions" else folder


def profiles_beside(declaration: Declaration) -> Path | None:
    """The file of profiles beside the declaration."""
    found = (folder / PROFILES for folder in (declaration.path.resolve().parent, home(declaration)))
    return next((file for file in found if file.is_file()), None)


def narrowed(declaration: Declaration, dag: Any | None, wish: Wish) -> Declaration:
    """The agents of the one goal that is meant. Raises a click error where a choice is left to make."""
    said = wish.goal_id or (dag.get("goal_id") if isinstance(dag, Mapping) else None)
    goal = said if isinstance(said, str) else None
    if len(declaration.goals) > 1 and goal not in declaration.goals:
        message = f"agents of several goals are declared; name one of {', '.join(declaration.goals)}"
        raise click.BadParameter(message, param_hint="--goal-id")
    return declaration.for_goal(goal or next(iter(declaration.goals), None))


def document(declaration: Declaration, dag: Any | None, wish: Wish) -> Any:
    """The goal document: the DAG with the agents, else the task lists, else a goal that plans first.

    `declaration` is `narrowed`. Raises InvalidGoal for what does not go together.
    """
    if (dag is not None or declaration.tasks) and _wants_approval(declaration, wish):
        given = "a DAG stands beside the declaration" if dag is not None else "task lists are the plan"
        remedy = "leave approve-plan out; to be asked in between, put a node of the kind approval into a DAG"
        raise InvalidGoal([Fault(str(declaration.path), f"no model makes a plan to approve: {given}", remedy)])
    if dag is not None:
        made = merged(declaration, dag)
    elif declaration.tasks:
        from orchestrator.agents.declare.instructions import tasks_goal

        made = tasks_goal(declaration)
    else:
        return _planned(declaration, wish)
    if isinstance(made, Mapping) and wish.text is not None:
        made = {**made, "instructions": wish.text}
    if isinstance(made, Mapping) and wish.owner is not None:
        made = {**made, "owner": wish.owner}
    return _with_workflow(made, declaration) if _wants_workflow(declaration, wish) else made


def merged(declaration: Declaration, dag: Any) -> Any:
    """The DAG's document with the declared agents, and with what the declaration says where the DAG says nothing."""
    if not isinstance(dag, Mapping):
        return dag
    own = dag.get("agents") or []
    names = {one.get("name") for one in own if isinstance(one, Mapping)} if isinstance(own, list) else set()
    twins = [entry for entry in declaration.entries if entry.card.name in names]
    if twins:
        raise InvalidGoal(
            [Fault(one.place, f"agent {one.card.name!r} is in the goal's document too", "keep one") for one in twins]
        )
    head = {key: value for key, value in declaration.head().items() if value}
    return {**head, **dag, "agents": [*own, *declaration.head()["agents"]]}


def _planned(declaration: Declaration, wish: Wish) -> dict[str, Any]:
    from orchestrator.agents.plan.planner import planning_goal

    text = wish.text or declaration.wanted or declaration.title
    if not text.strip():
        remedy = "write it before '## Agents', list tasks '- [ ] ...' in the agents' instructions, or give --goal TEXT"
        raise InvalidGoal([Fault(str(declaration.path), "it does not say what is wanted", remedy)])
    approve, workflow = _wants_approval(declaration, wish), _wants_workflow(declaration, wish)
    return planning_goal(declaration, text, approve=approve, workflow=workflow, owner=wish.owner or "default")


def _wants_approval(declaration: Declaration, wish: Wish) -> bool:
    return bool(declaration.options.approve_plan if wish.approve_plan is None else wish.approve_plan)


def _wants_workflow(declaration: Declaration, wish: Wish) -> bool:
    return bool(declaration.options.workflow if wish.workflow is None else wish.workflow)


def _with_workflow(made: Any, declaration: Declaration) -> Any:
    from orchestrator.agents.plan import workflow

    cards = {card.name: card for card in declaration.cards}
    if faults := workflow.faults(cards):
        raise InvalidGoal([Fault(str(declaration.path), fault) for fault in faults])
    return workflow.with_workflow(made, cards) if isinstance(made, Mapping) else made
