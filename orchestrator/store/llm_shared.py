"""What the processes of a fleet share about model calls beside the line: kept answers, calls in flight, stated limits.

Nothing here is needed for a call to be made. Whoever uses it catches `SharingFailed` and goes on without.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import redis

from orchestrator.store.store import Store

SharingFailed: Final = redis.RedisError
"""What any operation here raises: Redis is away, full, or refuses."""
LANDED_MS: Final = 30_000
"""How long an outcome can be fetched. Followers look every quarter of a second; one that stood still may come later."""


@dataclass(frozen=True, slots=True)
class Look:
    """A request's flights, as somebody sees them who wants an outcome."""

    flown: bool
    """Somebody flies now."""
    landed: str
    """Token of the last flight that landed with an outcome; '' if that is long ago."""
    outcome: str
    """Of that flight."""


class SharedCalls:
    """Operations by the hash of a request. Answers are texts; prompts are never stored."""

    def __init__(self, store: Store) -> None:
        self._store = store

    # -- answers that are kept ----------------------------------------------------------------------------------------

    def keep(self, request: str, answer: str, ms: int) -> None:
        """Keep an answer for so long."""
        self._store.client.set(self._store.keys.llm_cache(request), f"{ms} {answer}", px=ms)

    def kept(self, request: str) -> tuple[str, int] | None:
        """The kept answer and its age in ms."""
        key = self._store.keys.llm_cache(request)
        with self._store.client.pipeline(transaction=False) as pipe:
            text, left = pipe.get(key).pttl(key).execute()
        if text is None or left < 0:
            return None
        given, _, answer = str(text).partition(" ")
        return answer, int(given) - int(left)

    # -- calls in flight ----------------------------------------------------------------------------------------------

    def board(self, request: str, lease_ms: int) -> str | None:
        """Become the leader; the token, or None if somebody flies."""
        token = uuid.uuid4().hex
        taken = self._store.client.set(self._store.keys.llm_flight(request, "lease"), token, px=lease_ms, nx=True)
        return token if taken else None

    def look(self, request: str) -> Look:
        """Who flies now, and what became of the last one, at one moment."""
        keys = self._store.keys
        with self._store.client.pipeline(transaction=True) as pipe:
            pipe.get(keys.llm_flight(request, "lease"))
            pipe.get(keys.llm_flight(request, "out"))
            leader, out = pipe.execute()
        landed, _, outcome = str(out or "").partition(" ")
        return Look(leader is not None, landed, outcome)

    def stay(self, request: str, token: str, lease_ms: int) -> bool:
        """Prolong the leader's lease; False if it is lost. (Read and write are two steps: in between another's lease may
        be the one that is prolonged, which does no harm.)"""
        key = self._store.keys.llm_flight(request, "lease")
        return self._store.client.get(key) == token and bool(self._store.client.pexpire(key, lease_ms))

    def land(self, request: str, token: str, outcome: str | None) -> None:
        """The leader is done. None: its followers learn nothing, and one of them flies. (Two steps, as above: at worst a
        call is made twice.)"""
        lease = self._store.keys.llm_flight(request, "lease")
        with self._store.client.pipeline(transaction=False) as pipe:
            if outcome is not None:
                pipe.set(self._store.keys.llm_flight(request, "out"), f"{token} {outcome}", px=LANDED_MS)
            pipe.get(lease)
            leader = pipe.execute()[-1]
        if leader == token:
            self._store.client.delete(lease)

    # -- limits that providers stated ---------------------------------------------------------------------------------

    def stated(self, account: str) -> dict[str, int]:
        """The limits that were set because the provider stated them, by field; what an operator set is not among them."""
        found = self._store.client.hgetall(self._store.keys.llm_part(account, "stated"))
        return {str(name): int(value) for name, value in found.items()}

    def state(self, account: str, limits: Mapping[str, int]) -> None:
        """Remember them."""
        key = self._store.keys.llm_part(account, "stated")
        with self._store.client.pipeline(transaction=True) as pipe:
            pipe.delete(key)
            if limits:
                pipe.hset(key, mapping=dict(limits))
            pipe.execute()
