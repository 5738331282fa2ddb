"""What an agent's node has said and been told, the cards and kits of a goal's agents, and what agents remember."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from orchestrator.domain.command import Order
from orchestrator.store.keys import Keys
from orchestrator.store.moment import moment
from orchestrator.store.records import Invitation, invitations
from orchestrator.store.scripts import Scripts

KIT: Final = "kit:"
"""Before the digest of a kit, in the hash with the cards. No agent's name holds a colon."""
MOST_STEERING: Final = 1000
"""Messages that may wait for a node's next turn."""


@dataclass(frozen=True, slots=True)
class Said:
    """A node of an agent, as it stands."""

    entries: Sequence[str]
    """The transcript."""
    steering: Sequence[str]
    """Messages that wait, JSON."""
    kit: str
    """The digest of what it may use; '' before its first step."""
    card: str
    """Its agent's card; '' where the goal brings none of that name."""


class AgentStore:
    """Operations on agents. `now_ms` as in NodeStore."""

    def __init__(self, client: Any, keys: Keys, scripts: Scripts, dispatch_ms: int) -> None:
        self._client = client
        self._keys = keys
        self._scripts = scripts
        self._dispatch_ms = dispatch_ms

    def said(self, goal: str, node: str, agent: str) -> Said:
        """The node's transcript, waiting messages and kit, and the agent's card."""
        record = self._keys.task(goal, node)
        with self._client.pipeline(transaction=False) as pipe:
            pipe.lrange(f"{record}:turns", 0, -1)
            pipe.lrange(f"{record}:steer", 0, -1)
            pipe.hget(record, "kit")
            pipe.hget(self._keys.part(goal, "agents"), agent)
            entries, steering, kit, card = pipe.execute()
        return Said(entries, steering, kit or "", card or "")

    def kit(self, goal: str, digest: str) -> str | None:
        """What the digest stands for, JSON."""
        found: str | None = self._client.hget(self._keys.part(goal, "agents"), KIT + digest)
        return found

    def cards(self, goal: str) -> dict[str, str]:
        """The goal's agents by name, JSON."""
        found = self._client.hgetall(self._keys.part(goal, "agents"))
        return {name: text for name, text in found.items() if not name.startswith(KIT)}

    def put_cards(
        self,
        goal: str,
        cards: Mapping[str, str],
        event: str = "",
        order: Order | None = None,
        now_ms: int | None = None,
    ) -> str:
        """Store agents of a goal, by name; with an `event`'s data the goal's history says so.

        Returns `stored`, `gone`, the state of a goal that has ended, or as `order.lua` says.
        """
        if not cards:
            return "stored"
        args = [moment(now_ms, order), event, *(part for pair in cards.items() for part in pair)]
        return str(self._scripts.run("cards", self._keys.pair(goal), args))

    def steer(
        self, goal: str, node: str, messages: Sequence[tuple[str, str]], order: Order | None = None,
        now_ms: int | None = None,
    ) -> str:  # fmt: skip
        """Messages (id, JSON) for an agent's node; what became of them, as `steer.lua` says."""
        args = [moment(now_ms, order), node, MOST_STEERING, *(part for pair in messages for part in pair)]
        return str(self._scripts.run("steer", self._keys.pair(goal), args))

    def complete(
        self, goal: str, node: str, secret: str, outcome: str, body: str, *, slots: str, now_ms: int | None = None
    ) -> tuple[str, list[Invitation]]:
        """Give a deferred tool call its result: what became of it, as `complete.lua` says, and invitations."""
        args = (moment(now_ms), node, secret, outcome, body, slots, self._dispatch_ms)
        verdict, out = self._scripts.run("complete", self._keys.pair(goal), args)
        return str(verdict), invitations(goal, out)

    # -- memory: by agent and owner, beyond the goal -----------------------------------------------------------------

    def remember(self, owner: str, agent: str, entry: str, keep: int) -> None:
        """Add an entry to what an agent remembers for an owner; the same entry again changes nothing."""
        key = self._keys.memory(owner, agent)
        if keep < 1 or self._client.lpos(key, entry) is not None:
            return
        with self._client.pipeline(transaction=False) as pipe:
            pipe.lpush(key, entry)
            pipe.ltrim(key, 0, keep - 1)
            pipe.execute()

    def memory(self, owner: str, agent: str, most: int) -> list[str]:
        """What it remembers, the oldest first."""
        found: list[str] = self._client.lrange(self._keys.memory(owner, agent), 0, max(0, most - 1)) if most else []
        return found[::-1]

    def forget_memory(self, owner: str, agent: str) -> int:
        """Remove what it remembers; returns how many entries there were."""
        key = self._keys.memory(owner, agent)
        with self._client.pipeline(transaction=True) as pipe:
            pipe.llen(key)
            pipe.delete(key)
            count, _ = pipe.execute()
        return int(count)
