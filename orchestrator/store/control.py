"""Commands that were taken in, the trail of what was done, and the holds of the fleet."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

from orchestrator.store.keys import Keys
from orchestrator.store.scripts import Scripts

FLEET: Final = "fleet"
"""The hold of a STOP."""
Taken = Literal["new", "open", "done", "taken"]


@dataclass(frozen=True, slots=True)
class Audited:
    """One entry of the audit trail."""

    id: str
    """The stream id; pass it on to read what lies beyond."""
    at: float
    """Redis time, seconds since the epoch."""
    fields: Mapping[str, str]
    """command_id, command, target, door, sender, reason, outcome, code, message, receivers, arguments (JSON)."""


class ControlStore:
    """Operations on commands. `now_ms` is the time to act at, for simulations; None is the server's clock."""

    def __init__(self, client: Any, keys: Keys, scripts: Scripts) -> None:
        self._client = client
        self._keys = keys
        self._scripts = scripts

    def open(
        self, id: str, command: str, digest: str, expires_ms: int | None, keep_ms: int, now_ms: int | None = None
    ) -> tuple[Taken, str]:
        """Take a command (JSON) in: (what it is to the store, its expiry in ms, or the answer that was given)."""
        expires = "" if expires_ms is None else expires_ms
        keys = (self._keys.order(id), self._keys.control("open"))
        outcome, detail = self._scripts.run("control/open", keys, (_at(now_ms), id, digest, command, expires, keep_ms))
        return outcome, str(detail)

    def close(self, id: str, answer: str, most: int, entry: Mapping[str, str], now_ms: int | None = None) -> str:
        """Keep an answer (JSON) and add the entry to the trail, which keeps about `most`; returns the answer that stands.

        Without an id (a command that was not taken in) only the trail is written.
        """
        keys = (self._keys.order(id), self._keys.control("open"), self._keys.control("audit"))
        flat = [part for pair in entry.items() for part in pair]
        return str(self._scripts.run("control/close", keys, (_at(now_ms), id, answer, most, *flat)))

    def open_since(self, until_ms: int, most: int) -> list[str]:
        """Ids of commands that were taken in by then and not answered, the oldest first."""
        return list(self._client.zrange(self._keys.control("open"), "-inf", until_ms, byscore=True, offset=0, num=most))

    def command(self, id: str) -> str | None:
        """An unanswered command, JSON; None for one that was answered or is not remembered."""
        found = self._client.hget(self._keys.order(id), "command")
        return None if found is None else str(found)

    def put_off(self, id: str, until_ms: int) -> None:
        """Look at an unanswered command again then."""
        self._client.zadd(self._keys.control("open"), {id: until_ms}, xx=True)

    def forget_open(self, id: str) -> None:
        """Nothing is known of an open command any more: look for it no more."""
        self._client.zrem(self._keys.control("open"), id)

    def acted(self, id: str) -> str | None:
        """What came of a command of the fleet that was carried out; None for one that was not."""
        found = self._client.hget(self._keys.order(id), "acted")
        return None if found is None else str(found)

    def note_acted(self, id: str, outcome: str) -> None:
        """Note that a command of the fleet was carried out."""
        key = self._keys.order(id)
        if self._client.exists(key):
            self._client.hset(key, "acted", outcome)

    # -- the trail ---------------------------------------------------------------------------------------------------

    def audit(self, after: str = "", most: int = 100, newest: bool = False) -> list[Audited]:
        """Entries behind a stream id, the oldest first; or the `newest`, these first."""
        key = self._keys.control("audit")
        if newest:
            found = self._client.xrevrange(key, max="+" if not after else f"({after}", count=most)
        else:
            found = self._client.xrange(key, min=f"({after}" if after else "-", count=most)
        return [Audited(str(name), int(str(name).partition("-")[0]) / 1000, dict(fields)) for name, fields in found]

    # -- holds of the fleet ------------------------------------------------------------------------------------------

    def hold(self, id: str, names: Sequence[str], note: str) -> str:
        """Hold queues, agents or the fleet: 'held', 'unchanged' or 'repeated <outcome>', as `hold.lua` says."""
        return self._hold(id, "hold", note, names)

    def release(self, id: str, names: Sequence[str]) -> str:
        """Lift holds; of `*` all: 'released', 'unchanged' or 'repeated <outcome>'."""
        return self._hold(id, "release", "", names)

    def _hold(self, id: str, what: str, note: str, names: Sequence[str]) -> str:
        keys = (self._keys.order(id), self._keys.control("holds"))
        return str(self._scripts.run("control/hold", keys, (what, note, *names)))

    def holds(self) -> dict[str, dict[str, Any]]:
        """What is held in the whole fleet: `queue:<name>`, `agent:<owner or *>/<name>` or `fleet`, to by, reason, at, command."""
        return {name: json.loads(note) for name, note in self._client.hgetall(self._keys.control("holds")).items()}


def digest_of(command: Mapping[str, Any]) -> str:
    """The same for commands that ask for the same, whoever gives them."""
    asked = {name: value for name, value in command.items() if name not in ("id", "sender", "door")}
    return hashlib.sha256(json.dumps(asked, sort_keys=True, separators=(",", ":")).encode()).hexdigest()[:32]


def _at(now_ms: int | None) -> int | str:
    return "" if now_ms is None else now_ms
