"""What a fault of the server took away: acknowledged writes, the newest events, whole goals."""

from __future__ import annotations

import threading
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import redis

from chaos.world import World

WITNESS = "chaos:witness"


def connection(world: World) -> Any:
    """A plain connection without retries."""
    return redis.Redis(unix_socket_path=str(world.server.folder / "s"), socket_timeout=3, decode_responses=True)


@dataclass
class Witness:
    """Writes as fast as the server answers, and remembers the last write that was acknowledged."""

    world: World
    acknowledged: int = 0
    thread: threading.Thread = field(init=False)
    stopping: threading.Event = field(default_factory=threading.Event)

    def start(self) -> None:
        self.thread = threading.Thread(target=self._write, daemon=True)
        self.thread.start()

    def _write(self) -> None:
        client = connection(self.world)
        with suppress(redis.RedisError):
            while not self.stopping.is_set():
                self.acknowledged = int(client.incr(WITNESS))
        client.close()

    def stop(self) -> None:
        self.stopping.set()
        self.thread.join(10)

    def lost(self) -> int:
        """Acknowledged writes that the restarted server does not know; forgets its key."""
        client = connection(self.world)
        found = int(client.get(WITNESS) or 0)
        client.delete(WITNESS)
        client.close()
        return max(0, self.acknowledged - found)


def last_events(world: World) -> dict[str, str]:
    """The newest event of every goal that was accepted and still runs."""
    client = world.redis
    found = {}
    for goal in list(world.running):
        if newest := client.xrevrange(world.chordal.store.keys.part(goal, "events"), count=1):
            found[goal] = newest[0][0]
    return found


def gone_events(world: World, before: dict[str, str]) -> int:
    """How many of the goals' newest events are not there any more."""
    client = world.redis
    key = world.chordal.store.keys.part
    return sum(not client.xrange(key(goal, "events"), last, last) for goal, last in before.items())


def forget_missing(world: World) -> list[str]:
    """Accepted goals that a loss window took with it."""
    missing = [goal for goal in world.goals if goal not in world.forgotten and not world.exists(goal)]
    world.forgotten.update(missing)
    return missing
