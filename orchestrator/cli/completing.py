"""What shell completion offers for the names that a command takes. It must never fail, and answer at once."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any, Final

import click
from click.shell_completion import CompletionItem

if TYPE_CHECKING:
    from orchestrator.wiring import Chordal

OFFERED: Final = 100
LOOKED_AT: Final = 1000
"""Goals whose names and owners are looked through, the newest."""


class Owner(click.ParamType[str]):
    """An owner of goals. Shell completion offers those of stored goals."""

    name = "text"

    def convert(self, value: Any, _: click.Parameter | None, __: click.Context | None) -> str:
        return str(value)

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
        return offered(ctx, param, incomplete)


def offered(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """What fits the parameter, by its name: goals, nodes and agents of the goal that is named before, owners, queues."""
    from orchestrator.cli.context import client

    find = _FINDERS.get(param.name or "")
    if find is None:
        return []
    try:
        with ctx.scope(cleanup=False):
            found = find(client(), {**ctx.params, "goal": _goal(ctx)})
        names = found if isinstance(found, Mapping) else dict.fromkeys(sorted(found), "")
        fitting = [(name, note) for name, note in names.items() if name.startswith(incomplete)]
    except Exception:  # no Redis, no such goal: there is nothing to offer
        return []
    return [CompletionItem(name, help=note or None) for name, note in fitting[:OFFERED]]


def _goal(ctx: click.Context) -> str | None:
    """The goal that was named before. While the value of an option is completed, click has not read the arguments yet."""
    if ctx.params.get("goal") or not any(param.name == "goal" for param in ctx.command.params):
        return ctx.params.get("goal")
    return next((word for word in ctx.args if not word.startswith("-")), None)


def _goals(chordal: Chordal, _: Mapping[str, Any]) -> Mapping[str, str]:
    return {one.goal_id: one.state.value for one in chordal.list(limit=LOOKED_AT)}


def _owners(chordal: Chordal, _: Mapping[str, Any]) -> Iterable[str]:
    return {one.owner for one in chordal.list(limit=LOOKED_AT)}


def _nodes(chordal: Chordal, params: Mapping[str, Any]) -> Iterable[str]:
    goal = params.get("goal")
    return chordal.store.goals.part(goal, "nodes") if goal else ()


def _agents(chordal: Chordal, params: Mapping[str, Any]) -> Iterable[str]:
    """Those of the goal, else of the newest goals."""
    goals = [params["goal"]] if params.get("goal") else chordal.store.goals.newest(0, 20)
    found: set[str] = set()
    for goal in goals:
        found |= {name for name in chordal.store.goals.part(goal, "agents") if not name.startswith("kit:")}
        specs = map(json.loads, chordal.store.goals.part(goal, "nodes").values())
        found |= {str(spec["agent"]) for spec in specs if spec.get("agent")}
    return found


def _queues(chordal: Chordal, _: Mapping[str, Any]) -> Iterable[str]:
    return {queue for heartbeat in chordal.store.fleet.workers() for queue in heartbeat.worker.queues}


_FINDERS: Final[Mapping[str, Callable[[Chordal, Mapping[str, Any]], Iterable[str]]]] = {
    "goal": _goals,
    "node": _nodes,
    "nodes": _nodes,
    "agent": _agents,
    "owner": _owners,
    "queue": _queues,
}
