"""Who wants to be told of events, which goals have news, and how far each receiver has come."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final, Self

from orchestrator.store.keys import Keys
from orchestrator.store.moment import moment
from orchestrator.store.scripts import Scripts

UNTOLD_KEPT: Final = 1000
"""Events that were given up and are remembered; older ones go."""
START: Final = "0-0"


@dataclass(frozen=True, slots=True)
class Cursor:
    """How far one receiver has been told of one goal."""

    after: str = START
    """The stream id of the last event that it needs no telling of."""
    failures: int = 0
    """Tries of the next one that failed, one after the other."""
    due_ms: int = 0
    """When that may be tried again, Redis time."""

    def as_text(self) -> str:
        """As it is stored."""
        return json.dumps({"after": self.after, "failures": self.failures, "due_ms": self.due_ms})

    @classmethod
    def of(cls, text: str) -> Self:
        """The other way."""
        return cls(**json.loads(text))

    def is_before(self, event: str) -> bool:
        """Whether an event comes behind what was told."""
        return id_pair(self.after) < id_pair(event)


@dataclass(frozen=True, slots=True)
class News:
    """What there is to see of a goal's stream."""

    page: list[tuple[str, dict[str, str]]]
    """Events behind where it was seen to, the oldest first."""
    last: str
    """The id of the newest event; START where there is none."""


def id_pair(event: str) -> tuple[int, int]:
    """A stream id by which it can be compared."""
    at, _, sequence = event.partition("-")
    return int(at), int(sequence or 0)


class TellStore:
    """Operations on what is told. `now_ms` is the time to act at, for simulations; None is the server's clock."""

    def __init__(self, client: Any, keys: Keys, scripts: Scripts) -> None:
        self._client = client
        self._keys = keys
        self._scripts = scripts

    # -- receivers --------------------------------------------------------------------------------------------------

    def register(self, targets: Mapping[str, str], now_ms: int | None = None) -> None:
        """Receivers that a worker knows, by name, with what they want (JSON). When each was first seen stays."""
        flat = [part for pair in targets.items() for part in pair]
        if flat:
            self._scripts.run("control/receivers", (self._keys.control("targets"),), (moment(now_ms), *flat))

    def targets(self) -> dict[str, tuple[str, str, str]]:
        """Receivers that the fleet knows: name to (what it wants, since when, when a worker last knew it)."""
        found = self._client.hgetall(self._keys.control("targets"))
        names = [field.partition(":")[2] for field in found if field.startswith("wants:")]
        return {
            name: (found[f"wants:{name}"], found.get(f"since:{name}", "0"), found.get(f"seen:{name}", "0"))
            for name in sorted(names)
        }

    def forget_target(self, name: str) -> None:
        """Tell a receiver no more."""
        self._client.hdel(self._keys.control("targets"), f"wants:{name}", f"since:{name}", f"seen:{name}")

    # -- goals with news --------------------------------------------------------------------------------------------

    def ask(self, goals: Iterable[str], in_ms: int = 0, now_ms: int | None = None) -> None:
        """Have goals told of within so many milliseconds."""
        self._move("ask", in_ms, goals, now_ms)

    def put_off(self, goals: Iterable[str], in_ms: int, now_ms: int | None = None) -> None:
        """Have goals that are to be told of told of then, and not before."""
        self._move("put_off", in_ms, goals, now_ms)

    def due(self, until_ms: int, most: int) -> dict[str, int]:
        """Goals to be told of by then, and since when (ms), the longest due first."""
        key = self._keys.control("telling")
        found = self._client.zrange(key, "-inf", until_ms, byscore=True, offset=0, num=most, withscores=True)
        return {str(goal): int(at) for goal, at in found}

    def waiting(self) -> tuple[int, int | None]:
        """How many goals have news that were not told, and when the first of them is due, ms."""
        key = self._keys.control("telling")
        with self._client.pipeline(transaction=False) as pipe:
            pipe.zcard(key)
            pipe.zrange(key, 0, 0, withscores=True)
            count, first = pipe.execute()
        return int(count), int(first[0][1]) if first else None

    def begin(self, goal: str, in_ms: int, now_ms: int | None = None) -> int:
        """A teller is at work: nobody is sent again within so many milliseconds. Returns until when, for `finished`."""
        return self._move("begin", in_ms, [goal], now_ms)

    def finished(self, goal: str, until_ms: int, now_ms: int | None = None) -> bool:
        """Everything is told, of what there was at that `begin`. False where somebody asked again meanwhile."""
        return self._move("done", 0, [goal], now_ms, until_ms) == 1

    def rest(self, goal: str, until_ms: int, in_ms: int, now_ms: int | None = None) -> None:
        """Have it told of again then, what could not be now; sooner where somebody asked meanwhile."""
        self._move("rest", in_ms, [goal], now_ms, until_ms)

    def forget(self, goal: str) -> None:
        """There is nothing to tell of a goal."""
        self._move("forget", 0, [goal], None)

    def _move(self, act: str, ms: int, goals: Iterable[str], now_ms: int | None, began: int | str = "") -> int:
        names = list(goals)
        if not names:
            return 0
        args = (moment(now_ms), act, ms, began, *names)
        return int(self._scripts.run("control/tell", (self._keys.control("telling"),), args))

    def news(self, seen: Mapping[str, str], most: int) -> dict[str, News]:
        """Up to `most` events of each goal behind a stream id, and the id of its newest one."""
        with self._client.pipeline(transaction=False) as pipe:
            for goal, after in seen.items():
                key = self._keys.part(goal, "events")
                pipe.xrange(key, f"({after}", "+", count=most)
                pipe.xrevrange(key, count=1)
            replies = pipe.execute()
        return {
            goal: News([(str(name), dict(fields)) for name, fields in page], str(last[0][0]) if last else START)
            for goal, page, last in zip(seen, replies[::2], replies[1::2], strict=True)
        }

    # -- telling ----------------------------------------------------------------------------------------------------

    def take(self, goal: str, nonce: str, lease_ms: int, now_ms: int | None = None) -> dict[str, Cursor] | str:
        """Begin to tell of a goal: the receivers' cursors, or 'busy' (somebody else does) or 'gone'."""
        outcome, *flat = self._told(goal, "take", nonce, lease_ms, "", "", now_ms)
        if outcome != "taken":
            return outcome
        return {name: Cursor.of(text) for name, text in zip(flat[::2], flat[1::2], strict=True)}

    def note(self, goal: str, nonce: str, lease_ms: int, target: str, cursor: Cursor, now_ms: int | None = None) -> str:
        """Move a receiver's cursor, and hold on: 'noted', 'busy' (it took too long: somebody else tells now) or 'gone'."""
        return self._told(goal, "note", nonce, lease_ms, target, cursor.as_text(), now_ms)[0]

    def leave(self, goal: str, nonce: str, now_ms: int | None = None) -> None:
        """Somebody else may tell now."""
        self._told(goal, "leave", nonce, 0, "", "", now_ms)

    def _told(
        self, goal: str, act: str, nonce: str, lease_ms: int, target: str, text: str, now_ms: int | None
    ) -> list[str]:
        args = (moment(now_ms), act, nonce, lease_ms, target, text)
        return [str(part) for part in self._scripts.run("told", self._keys.pair(goal), args)]

    def cursors(self, goal: str) -> dict[str, Cursor]:
        """How far each receiver has come."""
        found = self._client.hgetall(self._keys.part(goal, "told"))
        return {name: Cursor.of(text) for name, text in found.items() if not name.startswith("*")}

    # -- what was given up ------------------------------------------------------------------------------------------

    def give_up(self, goal: str, target: str, event: str, kind: str, why: str, now_ms: int | None = None) -> None:
        """Remember an event that a receiver could not be told of."""
        args = (moment(now_ms), UNTOLD_KEPT, goal, target, event, kind, why)
        self._scripts.run("control/give_up", (self._keys.control("untold"),), args)

    def untold(self, most: int = UNTOLD_KEPT) -> list[dict[str, Any]]:
        """The events that were given up, the newest first."""
        return [json.loads(raw) for raw in self._client.lrange(self._keys.control("untold"), 0, most - 1)]
