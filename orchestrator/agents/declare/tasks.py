"""Task lists in instructions: a plan that needs no model."""

from __future__ import annotations

import hashlib
import re
import unicodedata
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from orchestrator.agents.declare.instructions import Declaration

_ITEM: Final = re.compile(r"([ \t]*)(?:[-*+]|[0-9]{1,9}[.)])[ \t]+\[([ xX])\][ \t]+(\S.*)")
_FENCE: Final = re.compile(r" {0,3}(`{3,}|~{3,})")
ID_LENGTH: Final = 48
"""Ids leave room for those of tool calls, which begin with them."""
TITLE_LENGTH: Final = 200


def open_tasks(text: str) -> tuple[str, ...]:
    """The items ``- [ ] text`` of a text that are not ticked off, each with the indented lines below it."""
    found: list[list[str]] = []
    indent, keep = -1, False
    for line in _outside_fences(text):
        item = _ITEM.fullmatch(line)
        deep = len(line) - len(line.lstrip())
        if item and (indent < 0 or len(item[1]) <= indent):
            indent, keep = len(item[1]), item[2] == " "
            if keep:
                found.append([item[3].strip()])
        elif indent >= 0 and line.strip() and deep > indent:
            if keep:
                found[-1].append(line.strip())
        elif line.strip():
            indent, keep = -1, False
    return tuple("\n".join(lines) for lines in found)


def _outside_fences(text: str) -> Iterator[str]:
    fence = ""
    for line in text.split("\n"):
        mark = _FENCE.match(line)
        if fence:
            if mark and mark[1].startswith(fence) and not line.strip(" \t`~"):
                fence = ""
        elif mark:
            fence = mark[1]
        else:
            yield line


def tasks_goal(declaration: Declaration) -> dict[str, Any]:
    """A goal document made of the task lists alone: one agent node an item, each agent's in order.

    The ids follow from the texts, so that the same list gives the same goal. `declaration` is of one goal
    (`Declaration.for_goal`); one without tasks gives a document without nodes, which is not valid.
    """
    nodes: list[dict[str, Any]] = []
    edges: list[dict[str, Any]] = []
    taken: set[str] = set()
    for agent, tasks in declaration.tasks.items():
        before = ""
        for task in tasks:
            node = _node(agent, task, before, taken)
            nodes.append(node)
            if before:
                edges.append({"source": before, "target": node["id"]})
            before = node["id"]
    return {**declaration.head(), "nodes": nodes, "edges": edges}


def _node(agent: str, task: str, before: str, taken: set[str]) -> dict[str, Any]:
    title = task.partition("\n")[0]
    node: dict[str, Any] = {"id": _id(agent, task, taken), "title": title, "kind": "agent", "agent": agent}
    if task != title or len(title) > TITLE_LENGTH:
        # With inputs of its own a node is not given what came before it, so that is named too.
        upstream = {f"from {before}": {"from": before, "path": "output"}} if before else {}
        node |= {"title": title[:TITLE_LENGTH], "inputs": {"task": task, **upstream}}
    return node


def _id(agent: str, task: str, taken: set[str]) -> str:
    plain = unicodedata.normalize("NFKD", task.partition("\n")[0]).encode("ascii", "ignore").decode().lower()
    slug = re.sub(r"[^a-z0-9]+", "-", plain).strip("-") or hashlib.sha256(task.encode()).hexdigest()[:8]
    stem = f"{agent[:20]}-{slug}"[: ID_LENGTH - 5].rstrip("-")
    name = next(one for one in _numbered(stem) if one not in taken)
    taken.add(name)
    return name


def _numbered(stem: str) -> Iterable[str]:
    yield stem
    number = 2
    while True:
        yield f"{stem}-{number}"
        number += 1
