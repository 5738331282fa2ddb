"""A goal as plain data, handed to a function of the user's before the goal is removed."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from importlib import import_module
from typing import Any, Final

from orchestrator.domain.errors import ChordalError
from orchestrator.domain.events import Event
from orchestrator.engine.payload import preview
from orchestrator.store.store import Store

PAGE: Final = 1000
Hook = Callable[[dict[str, Any]], object]


class BadArchiveHook(ChordalError):
    """`archive_hook` names no function that can be imported; the message says why. Name one as `module:function`."""


def load_hook(name: str) -> Hook:
    """The function that `archive_hook` names. Raises BadArchiveHook, and what its module raises when it is imported."""
    module, _, attribute = name.partition(":")
    if not (module and attribute):
        raise BadArchiveHook(f"archive_hook is {name!r}; name a function as module:function")
    try:
        found: Any = import_module(module)
    except ModuleNotFoundError as error:
        raise BadArchiveHook(f"archive_hook names {name!r}: {error}") from error
    for part in attribute.split("."):
        found = getattr(found, part, None)
    if not callable(found):
        raise BadArchiveHook(f"archive_hook names {name!r}, and {module} has no function {attribute}")
    return found  # type: ignore[no-any-return]


def whole(store: Store, goal: str) -> dict[str, Any]:
    """The goal as plain data: `goal_id`, `record`, `nodes`, `edges`, `events`, `signals`, `children`.

    Raises GoalNotFound. Outputs are as `chordal status` shows them: a large one is a `$ref` to its file, which is there
    until the hook has returned.
    """
    goals = store.goals
    record = goals.record(goal)
    specs, outputs, dead = goals.part(goal, "nodes"), goals.part(goal, "outputs"), goals.part(goal, "dead")
    deps = {node: json.loads(parents) for node, parents in goals.part(goal, "deps").items()}
    nodes: dict[str, Any] = {}
    for names in _pages(sorted(specs)):
        for name, task in zip(names, store.nodes.states(goal, names), strict=True):
            said = store.agents.said(goal, name, "").entries if task.get("talks") else ()
            nodes[name] = {
                "spec": json.loads(specs[name]), "record": task, "output": preview(outputs.get(name)),
                "failure": json.loads(dead[name]) if name in dead else None, "said": [json.loads(one) for one in said],
            }  # fmt: skip
    return {
        "goal_id": goal, "record": record, "nodes": nodes,
        "edges": [[parent, node] for node, parents in deps.items() for parent in parents],
        "events": [Event.from_stream(goal, name, fields).as_json() for name, fields in _events(store, goal)],
        "signals": {name: preview(text) for name, text in goals.part(goal, "signals").items()},
        "children": goals.part(goal, "children"),
    }  # fmt: skip


def _events(store: Store, goal: str) -> Iterator[tuple[str, dict[str, str]]]:
    after = "0"
    while page := store.goals.events(goal, after, PAGE):
        yield from page
        after = page[-1][0]


def _pages(names: list[str]) -> Iterator[list[str]]:
    for at in range(0, len(names), PAGE):
        yield names[at : at + PAGE]
