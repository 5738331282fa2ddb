"""What beat keeps: timelines, samples, who beats, the roll of workers, removals that were put off; and the look at every key."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final, Literal

from orchestrator.domain.states import GoalState
from orchestrator.store.keys import Keys
from orchestrator.store.moment import moment
from orchestrator.store.scripts import Scripts

SAMPLES_KEPT: Final = 480
PUT_OFF_KEPT: Final = 100
"""Removals that were put off, of which the reason is kept; there may be more."""
KEYS_A_SCRIPT: Final = 1000
_STATES: Final = frozenset(state.value for state in GoalState)
Ring = Literal["minutes", "hours"]


@dataclass(frozen=True, slots=True)
class Sample:
    """How Redis was at one moment. Sizes are bytes."""

    at_ms: int
    used_bytes: int
    limit_bytes: int
    """0: none is set."""
    ping_ms: float
    """The slowest of a few round trips."""
    behind_ms: int
    """How long the most overdue goal has waited for its look."""


@dataclass(frozen=True, slots=True)
class Beat:
    """A beat process as it last said of itself."""

    name: str
    at_ms: int
    ticks: bool
    """It has the lock and carries out the duties; else it stands by."""
    since_ms: int


@dataclass(frozen=True, slots=True)
class Enrolled:
    """A worker as the scan saw it last."""

    name: str
    state: str
    """alive, late, dead, or left (it stopped in good order)."""
    since_ms: int
    """When it came into this state."""
    first_ms: int
    """When it was first seen."""
    heard_ms: int
    """When it was last heard, as of the last change of its state."""
    pid: int
    slots: int
    queues: tuple[str, ...]


class UpkeepStore:
    """Operations of beat's own duties. `now_ms` as in NodeStore."""

    def __init__(self, client: Any, keys: Keys, scripts: Scripts) -> None:
        self._client = client
        self._keys = keys
        self._scripts = scripts

    # -- every key ----------------------------------------------------------------------------------------------------

    def all_keys(self, page: int) -> Iterator[str]:
        """The name of every key on the server, ours or not, some twice; read a page at a time while it is iterated."""
        # Another user's key need not be text.
        found = self._client.scan_iter(count=page, NEVER_DECODE=True)
        return (bytes(key).decode("utf-8", "replace") for key in found)

    def indexed(self, goals: Sequence[str]) -> dict[str, bool]:
        """Which of the goals are in the index."""
        scores = self._client.zmscore(self._keys.index, goals) if goals else []
        return {goal: score is not None for goal, score in zip(goals, scores, strict=True)}

    def recorded(self, goals: Sequence[str]) -> dict[str, bool | None]:
        """Which of the goals have a record, be it of a goal that is being stored or removed.

        None where the key is somebody else's, as its type or its fields say.
        """
        with self._client.pipeline(transaction=False) as pipe:
            for goal in goals:
                pipe.hmget(self._keys.goal(goal), "state", "created")
            replies = pipe.execute(raise_on_error=False) if goals else []
        return {goal: _is_record(reply) for goal, reply in zip(goals, replies, strict=True)}

    def purge(self, goal: str, keys: Collection[str], now_ms: int | None = None) -> int:
        """Remove keys that a goal left behind; 0 if the goal is there after all. Returns how many went.

        What the catalogue does not know, or is of another type than there, is somebody else's, and stays.
        """
        gone, known = 0, [(key, type) for key in sorted(keys) if (type := self._keys.type_of(key))]
        for at in range(0, len(known), KEYS_A_SCRIPT):
            args = (moment(now_ms), *(part for pair in known[at : at + KEYS_A_SCRIPT] for part in pair))
            gone += max(0, int(self._scripts.run("purge", self._keys.pair(goal), args)))
        return gone

    # -- timelines ----------------------------------------------------------------------------------------------------

    def add(self, ring: Ring, place: int, at_ms: int, sums: Mapping[str, int], levels: Mapping[str, int]) -> None:
        """Add `sums` to a bucket of a timeline and set its `levels`; one of an earlier round begins anew."""
        args = (0, place, at_ms, json.dumps(dict(sums)), json.dumps(dict(levels)))
        self._scripts.run("meter", (self._keys.beat(ring),), args)

    def timeline(self, ring: Ring) -> list[dict[str, int]]:
        """The buckets of a timeline, the oldest first; `at` is when each begins, ms."""
        buckets = [json.loads(text) for text in self._client.hvals(self._keys.beat(ring))]
        return sorted(buckets, key=lambda bucket: int(bucket["at"]))

    def count(self, sums: Mapping[str, int], levels: Mapping[str, int]) -> None:
        """Add to the totals, which are never taken back, and replace the levels."""
        self._scripts.run("meter", (self._keys.beat("totals"),), (0, "all", 0, json.dumps(dict(sums)), "{}"))
        self._scripts.put("SET", self._keys.beat("levels"), json.dumps(dict(levels)), "EX", 600)

    def totals(self) -> dict[str, int]:
        """What was counted since this Redis was first used."""
        found = json.loads(self._client.hget(self._keys.beat("totals"), "all") or "{}")
        return {name: int(value) for name, value in found.items() if name != "at"}

    def levels(self) -> dict[str, int]:
        """What was measured last; empty if that is ten minutes ago."""
        found = self._client.get(self._keys.beat("levels"))
        return dict(json.loads(found)) if found else {}

    # -- how Redis was ------------------------------------------------------------------------------------------------

    def sample(self, sample: Sample) -> None:
        """Keep a sample; the oldest goes."""
        name = self._keys.beat("health")
        self._scripts.put("LPUSH", name, json.dumps(asdict(sample)))
        self._client.ltrim(name, 0, SAMPLES_KEPT - 1)

    def samples(self) -> list[Sample]:
        """The samples that are kept, the oldest first."""
        return [Sample(**json.loads(text)) for text in reversed(self._client.lrange(self._keys.beat("health"), 0, -1))]

    def most_overdue_ms(self, now_ms: int) -> int:
        """How long the goal that is first in the index of looks has been due; 0 if it is not yet."""
        first = self._client.zrange(self._keys.due, 0, 0, withscores=True)
        return max(0, now_ms - int(first[0][1])) if first else 0

    def goals_stored(self) -> int:
        """Goals in the index."""
        return int(self._client.zcard(self._keys.index))

    def commands_open(self) -> int:
        """Commands that were taken in and are not answered yet."""
        return int(self._client.zcard(self._keys.control("open")))

    # -- who beats, and for whom --------------------------------------------------------------------------------------

    def say(self, beat: Beat) -> None:
        """A beat says that it is there."""
        self._scripts.put("HSET", self._keys.beat("beats"), beat.name, json.dumps(asdict(beat)))

    def unsay(self, names: Collection[str]) -> None:
        """Beats are gone."""
        if names:
            self._client.hdel(self._keys.beat("beats"), *names)

    def beats(self) -> list[Beat]:
        """Every beat that was heard and did not leave, by name."""
        found = [Beat(**json.loads(text)) for text in self._client.hvals(self._keys.beat("beats"))]
        return sorted(found, key=lambda beat: beat.name)

    def enrol(self, changed: Sequence[Enrolled], gone: Collection[str]) -> None:
        """Write what has changed in the roll of workers."""
        name = self._keys.beat("roll")
        if changed:
            self._scripts.put("HSET", name, *(part for one in changed for part in (one.name, json.dumps(asdict(one)))))
        if gone:
            self._client.hdel(name, *gone)

    def roll(self) -> list[Enrolled]:
        """Workers as the scan saw them last, those that died or left within the hour too, by name."""
        raw = [json.loads(text) for text in self._client.hvals(self._keys.beat("roll"))]
        found = [Enrolled(**(record | {"queues": tuple(record["queues"])})) for record in raw]
        return sorted(found, key=lambda one: one.name)

    # -- removals that were put off -----------------------------------------------------------------------------------

    def put_off(self, goal: str, why: str, at_ms: int) -> None:
        """Keep why a goal is not removed yet, for people; of at most 100 goals."""
        name = self._keys.beat("kept")
        if self._client.hlen(name) < PUT_OFF_KEPT or self._client.hexists(name, goal):
            self._scripts.put("HSET", name, goal, json.dumps({"at_ms": at_ms, "why": why}))

    def put_offs(self) -> dict[str, tuple[int, str]]:
        """Goals whose time has passed and that are not removed, to (when that was last so, ms; why)."""
        found = self._client.hgetall(self._keys.beat("kept"))
        notes = {goal: json.loads(text) for goal, text in found.items()}
        return {goal: (int(note["at_ms"]), str(note["why"])) for goal, note in notes.items()}

    def settle_put_off(self, goals: Collection[str]) -> None:
        """Goals were removed, or opened again."""
        if goals:
            self._client.hdel(self._keys.beat("kept"), *goals)


def _is_record(reply: Any) -> bool | None:
    """Whether there is a record, by its `state` and `created`; None for a key of somebody else's."""
    if not isinstance(reply, list):  # an error: the key is of another type
        return None
    state, created = reply
    return False if state is None else (state in _STATES and str(created).isdecimal()) or None
