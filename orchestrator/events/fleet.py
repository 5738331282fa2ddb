"""I10 and I11 over everything on the server: keys without a goal, goals in pieces, keys and ids that stand for two runs."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from orchestrator.events.source import PAGE, chunks, pages
from orchestrator.events.violation import Violation
from orchestrator.store.keys import FAMILIES, NAME, catalogue_pattern
from orchestrator.store.store import Store

_OF_A_GOAL: Final = re.compile(rf"(dag|task):\{{({NAME})\}}(.*)", re.DOTALL)


def unknown_keys(store: Store, alone: bool = True) -> list[str]:
    """Keys that the catalogue does not know; with `alone` every key on the server must be ours."""
    allowed, prefix = catalogue_pattern(store.keys.prefix), store.keys.prefix
    ours = tuple(f"{prefix}{family}" for family in FAMILIES)
    return sorted(
        key
        for key in store.client.scan_iter("*" if alone else f"{_plain(prefix)}*", count=PAGE)
        if not allowed.fullmatch(key) and (alone or key.startswith(ours))
    )


def check_fleet(store: Store, alone: bool = False) -> list[Violation]:
    """Every goal and key on the server. With `alone` no key of anyone else, such as a broker, may be there.

    It reads every key's name, and may run beside a fleet at work: what looks wrong is looked at twice.
    """
    unknown = [Violation("I10", "", "", f"key {key!r} is not in the catalogue") for key in unknown_keys(store, alone)]
    return [*unknown, *_pieces(store), *_runs(store)]


@dataclass(slots=True)
class _Keys:
    """What was found of one goal."""

    parts: int = 0
    records: int = 0
    tasks: int = 0


def _pieces(store: Store) -> Iterator[Violation]:
    found: dict[str, _Keys] = {}
    for name in store.client.scan_iter(f"{_plain(store.keys.prefix)}*", count=PAGE):
        if (match := _OF_A_GOAL.fullmatch(name.removeprefix(store.keys.prefix))) is not None:
            keys = found.setdefault(match[2], _Keys())
            keys.parts += match[1] == "dag"
            keys.records += (match[1], match[3]) == ("dag", "")
            keys.tasks += match[1] == "task" and not match[3].endswith(":lock")
    for goal, keys in found.items():
        yield from _goal(store, goal, keys)


def _goal(store: Store, goal: str, keys: _Keys) -> Iterator[Violation]:
    indexed = store.client.zscore(store.keys.index, goal) is not None
    if not indexed and not _just_opened(store, goal, keys) and _still_there(store, goal):
        yield Violation("I10", "", "", f"goal {goal} has keys and is not in the index")
    elif not keys.records and indexed and not store.client.exists(store.keys.goal(goal)) and _still_there(store, goal):
        yield Violation("I10", "", "", f"goal {goal} has keys and no record: it was removed in part")
    elif indexed and keys.tasks != store.client.hlen(store.keys.part(goal, "nodes")):
        yield from _tasks(store, goal)


def _just_opened(store: Store, goal: str, keys: _Keys) -> bool:
    """A submission writes the record first, with an end of its own, and enters it into the index next."""
    return keys == _Keys(parts=1, records=1) and store.client.pttl(store.keys.goal(goal)) > 0


def _still_there(store: Store, goal: str) -> bool:
    """Whether keys of the goal are there at a second look."""
    for start in (store.keys.goal(goal), store.keys.tasks(goal)):
        if any(True for _ in store.client.scan_iter(f"{_plain(start)}*", count=PAGE)):
            return store.client.zscore(store.keys.index, goal) is None or not store.client.exists(store.keys.goal(goal))
    return False


def _tasks(store: Store, goal: str) -> Iterator[Violation]:
    """Nodes without a record, and records without a node, of a goal that is neither being stored nor removed."""
    names: set[str] = set()
    for page in pages(store, goal, "nodes"):
        names.update(page)
    start = f"{store.keys.tasks(goal)}:"
    tasks = {
        key.removeprefix(start)
        for key in store.client.scan_iter(f"{_plain(start)}*", count=PAGE)
        if not key.endswith(":lock")
    }
    record = store.client.hmget(store.keys.goal(goal), "state", "building")
    if record[0] is None or record[1] is not None:
        return
    for part in chunks(sorted(names ^ tasks)):
        for name in part:
            known = store.client.hexists(store.keys.part(goal, "nodes"), name)
            if known != bool(store.client.exists(store.keys.task(goal, name))):
                text = f"goal {goal} has the node and not its record" if known else f"goal {goal} has no such node"
                yield Violation("I10", name, "", text)


def _runs(store: Store) -> Iterator[Violation]:
    """I11: an idempotency key belongs to one goal, and names that one."""
    owners: dict[str, str] = {}
    start = 0
    while names := store.goals.newest(start, PAGE):
        start += PAGE
        for goal, record in zip(names, store.goals.records(names), strict=True):
            key = record.get("key")
            if key is None:
                continue
            if owners.setdefault(key, goal) != goal:
                yield Violation("I11", "", "", f"idempotency key {key!r} has two runs: {owners[key]} and {goal}")
            yield from one_run(store, goal, key)


def one_run(store: Store, goal: str, key: str) -> Iterator[Violation]:
    """I11 for one goal: its idempotency key (``owner:key``) is remembered, if at all, as its own."""
    owner, _, rest = key.partition(":")
    known = store.client.get(store.keys.idempotency(owner, rest))
    if known is not None and known.partition(" ")[0] != goal:
        yield Violation("I11", "", "", f"idempotency key {key!r} of goal {goal} stands for {known.partition(' ')[0]}")


def _plain(text: str) -> str:
    """The text as a pattern for SCAN that matches itself."""
    return re.sub(r"([\[\]*?\\^])", r"\\\1", text)
