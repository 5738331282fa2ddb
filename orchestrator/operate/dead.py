"""Dead letters: nodes whose attempts are used up, and broker messages that no worker could read."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from orchestrator.domain.errors import ChordalError
from orchestrator.store.store import Store

GOALS: Final = 2000
"""The newest goals, which are looked through for dead letters."""
A_GOAL: Final = 1000
"""Dead letters of one goal."""
_PAGE: Final = 200


class LetterNotFound(ChordalError):
    """There is no such dead letter: it was dropped, requeued, or removed with its goal. `chordal dead list` names them."""


class CannotRequeue(ChordalError):
    """The message was not kept whole, so it cannot be sent again; whoever sent it must."""


@dataclass(frozen=True, slots=True)
class Letter:
    """One dead letter. Times are Redis time, seconds."""

    id: str
    """``goal/node``, or ``m-`` and twelve hex digits for a message."""
    kind: str
    """node or message."""
    reason: str
    error: str
    owner: str = ""
    goal: str = ""
    node: str = ""
    queue: str = ""
    """Of a message."""
    at: float | None = None
    """When the message was set aside."""
    seen: str = ""
    """Who acknowledged it."""
    body: str = ""
    """Of a message."""
    trace: str = ""

    def as_json(self) -> dict[str, Any]:
        """As the command line prints it."""
        return {name: getattr(self, name) for name in self.__slots__}


def letters(store: Store, goal: str | None = None, *, seen: bool = False) -> Iterator[Letter]:
    """Dead letters, of one goal or of all, messages first; `seen`: those that somebody acknowledged too.

    Raises GoalNotFound for a goal that is not there.
    """
    if goal is not None:
        yield from _of_goal(store, goal, store.goals.record(goal), seen)
        return
    yield from map(of_message, store.fleet.poison_raw())
    for name, record in failed_goals(store):
        yield from _of_goal(store, name, record, seen)


def failed_goals(store: Store) -> Iterator[tuple[str, Mapping[str, str]]]:
    """Goals with failed nodes, the newest first, of the newest two thousand."""
    for start in range(0, GOALS, _PAGE):
        names = store.goals.newest(start, _PAGE)
        if not names:
            return
        for name, record in zip(names, store.goals.records(names), strict=True):
            if int(record.get("n:FAILED", 0)):
                yield name, record


def count_dead(store: Store) -> tuple[int, int, str]:
    """(dead letters of nodes that nobody acknowledged, in so many goals, one of them)."""
    count, goals, newest = 0, set[str](), ""
    for name, record in failed_goals(store):
        for letter in _of_goal(store, name, record, seen=False):
            count += 1
            goals.add(name)
            newest = newest or f"{letter.id} ({letter.reason})"
    return count, len(goals), newest


def find(store: Store, name: str) -> Letter:
    """One dead letter by its id. Raises LetterNotFound, GoalNotFound."""
    goal, slash, node = name.partition("/")
    if not slash:
        return of_message(raw_message(store, name))
    failure = store.goals.dead(goal, [node])
    if node not in failure:
        store.goals.record(goal)
        raise LetterNotFound(f"node {node!r} of goal {goal!r} is no dead letter")
    return _letter(goal, node, json.loads(failure[node]), store.goals.field(goal, "owner") or "default")


def raw_message(store: Store, name: str) -> str:
    """A message that was set aside, as it is stored. Raises LetterNotFound."""
    for raw in store.fleet.poison_raw():
        if message_id(raw) == name:
            return raw
    raise LetterNotFound(f"there is no dead letter {name!r}")


def message_id(raw: str) -> str:
    """The id of a message that was set aside."""
    return f"m-{hashlib.sha256(raw.encode()).hexdigest()[:12]}"


def of_message(raw: str) -> Letter:
    """A message that was set aside."""
    record = json.loads(raw)
    headers = str(record.get("headers", ""))
    return Letter(
        message_id(raw), "message", str(record["reason"]), headers, queue=str(record.get("queue", "")),
        at=int(record["at_ms"]) / 1000, body=str(record.get("body", "")),
    )  # fmt: skip


def publish_again(app: Any, store: Store, raw: str) -> str:
    """Send a message that was set aside to its queue once more, and forget it; returns the queue.

    It is sent before it is forgotten, so a crash between the two sends it twice. Raises CannotRequeue.
    """
    record = json.loads(raw)
    headers = _headers(record)
    if record.get("cut") or headers is None or not record.get("queue"):
        raise CannotRequeue(f"{message_id(raw)} was not kept whole: it was too long, or no text")
    with app.connection_for_write() as connection:
        connection.Producer().publish(
            record["body"],
            routing_key=record["queue"],
            headers=headers,
            serializer=None,
            content_type=record.get("content_type") or "application/json",
            content_encoding=record.get("content_encoding") or "utf-8",
            delivery_mode=2,
            correlation_id=str(headers.get("id", "")),
        )
    store.fleet.forget_poison(raw)
    return str(record["queue"])


def _headers(record: Mapping[str, Any]) -> dict[str, Any] | None:
    try:
        found = json.loads(record.get("headers") or "{}")
    except ValueError:
        return None
    return found if isinstance(found, dict) else None


def _of_goal(store: Store, goal: str, record: Mapping[str, str], seen: bool) -> Iterator[Letter]:
    for node, failure in store.look.dead(goal, A_GOAL).items():
        if seen or "seen" not in failure:
            yield _letter(goal, node, failure, record.get("owner", "default"))


def _letter(goal: str, node: str, failure: Mapping[str, Any], owner: str) -> Letter:
    seen = failure.get("seen") or {}
    return Letter(
        f"{goal}/{node}", "node", str(failure.get("reason", "")), str(failure.get("error", "")), owner=owner, goal=goal,
        node=node, seen=str(seen.get("by", "")), trace=str(failure.get("trace", "")),
    )  # fmt: skip
