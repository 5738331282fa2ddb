"""Operations on whole goals: store, read, stop, reopen, change and remove them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice
from types import MappingProxyType
from typing import Any, Final

from orchestrator.domain.command import Order
from orchestrator.domain.errors import ChordalError, GoalExists, GoalNotFound
from orchestrator.store.keys import Keys
from orchestrator.store.moment import moment
from orchestrator.store.records import Invitation, NodeRow, invitations
from orchestrator.store.scripts import Scripts
from orchestrator.store.streams import read_stream, read_streams

PIECE: Final = 1000
"""Nodes that one script stores, cancels or removes."""
PIECES_IN_FLIGHT: Final = 8
UNSEALED_MS: Final = 86_400_000
"""The record of a goal that nobody went on storing goes by itself after this long, should beat not know of it."""


class SubmissionLost(ChordalError):
    """The half-stored goal was removed while it was being stored. Submit it again."""


class GoalStore:
    """What is done to a goal as a whole. `now_ms` as in NodeStore."""

    def __init__(self, client: Any, keys: Keys, scripts: Scripts, dispatch_ms: int) -> None:
        self._client = client
        self._keys = keys
        self._scripts = scripts
        self._dispatch_ms = dispatch_ms

    # -- submit -----------------------------------------------------------------------------------------------------

    def reserve(self, owner: str, key: str, goal: str, ttl_seconds: float) -> tuple[str, bool]:
        """The goal that an idempotency key stands for (the given one if the key is new), and whether it was stored."""
        name = self._keys.idempotency(owner, key)
        if self._client.set(name, goal, nx=True, px=int(ttl_seconds * 1000)):
            return goal, False
        known, _, stored = (self._client.get(name) or goal).partition(" ")
        return known, stored == "stored"

    def note_stored(self, owner: str, key: str, goal: str) -> None:
        """Remember that the goal of an idempotency key was stored: it is not stored again, even after its removal."""
        self._client.set(self._keys.idempotency(owner, key), f"{goal} stored", xx=True, keepttl=True)

    def submit(
        self, goal: str, digest: str, record: Mapping[str, str | int], rows: Iterable[NodeRow], *,
        building_ttl_ms: int, slots: str, deadline_ms: int | None = None, state: str = "RUNNING",
        cards: Mapping[str, str] | None = None, now_ms: int | None = None,
    ) -> list[Invitation]:  # fmt: skip
        """Store a goal in bounded pieces and start it; it is visible only when it is whole.

        Storing the same goal (same digest) again changes nothing, and submissions of it at the same time help each other.
        Raises GoalExists for other content under the same id and SubmissionLost if the pieces were removed meanwhile.
        """
        time = moment(now_ms)
        pair = self._keys.pair(goal)
        fields = [item for field in record.items() for item in field]
        opened = self._scripts.run("submit_open", pair, (time, digest, UNSEALED_MS, *fields))
        if opened == "exists":
            return []
        if opened != "opened":
            raise GoalExists(
                f"goal {goal!r} is stored already, with other content; choose another goal_id or leave it out"
            )
        self.expect(goal, building_ttl_ms, now_ms, anew=True)
        if cards:
            self._scripts.run("cards", pair, (time, "", *(part for card in cards.items() for part in card)))
        total, roots, lined = 0, 0, []
        replies: list[Future[Any]] = []
        # One piece is on its way to Redis while the next is made.
        with ThreadPoolExecutor(1, "chordal-submit") as wire:
            for piece in _chunks(rows, PIECE):
                args: list[Any] = [time, digest]
                for row in piece:
                    args += row.args()
                    total += 1
                    roots += row.need == 0
                    if row.lane and row.need == 0:
                        lined.append(row.id)
                replies.append(wire.submit(self._scripts.run, "submit_piece", pair, args))
                if len(replies) > PIECES_IN_FLIGHT:
                    replies[-PIECES_IN_FLIGHT].result()
        if any(reply.result() != "stored" for reply in replies):
            return self._sealed_by_another(goal, digest)
        deadline = "" if deadline_ms is None else deadline_ms
        seal = (time, digest, total, roots, slots, self._dispatch_ms, deadline, state, *lined)
        outcome, out = self._scripts.run("submit_seal", pair, seal)
        return self._sealed_by_another(goal, digest) if outcome == "stale" else invitations(goal, out)

    def _sealed_by_another(self, goal: str, digest: str) -> list[Invitation]:
        """Another submission of the same document was first, or the goal was removed."""
        known, building = self._client.hmget(self._keys.goal(goal), "digest", "building")
        if known == digest and building is None:
            return []
        raise SubmissionLost(f"goal {goal!r} was removed while it was being stored; submit it again")

    def adopt(self, goal: str, node: str, child: str) -> None:
        """Note that a node of a goal has a sub-goal, before that is stored. A goal that is gone keeps no note."""
        children = self._keys.part(goal, "children")
        with self._client.pipeline(transaction=False) as pipe:
            pipe.hset(children, node, child)
            pipe.exists(self._keys.goal(goal))
            _, there = pipe.execute()
        if not there:
            self._client.delete(children)

    # -- the index of what must be looked at ------------------------------------------------------------------------

    def clock_ms(self) -> int:
        """Redis time in milliseconds."""
        seconds, micros = self._client.time()
        return int(seconds) * 1000 + int(micros) // 1000

    def expect(self, goal: str, in_ms: int = 0, now_ms: int | None = None, anew: bool = False) -> None:
        """Enter the goal into the index and ask for a look at it within so many milliseconds.

        `anew` gives it a new place there: a removal of an earlier goal of this name, late, must not take it out.
        """
        now = self.clock_ms() if now_ms is None else now_ms
        index = (self._keys.index, *(() if anew else ("NX",)), now, goal)
        due = (self._keys.due, "LT", now + in_ms, goal)
        with self._client.pipeline(transaction=False) as pipe:
            pipe.execute_command("ZADD", *index)
            pipe.execute_command("ZADD", *due)
            refused = [reply for reply in pipe.execute(raise_on_error=False) if isinstance(reply, Exception)]
        if refused:  # Redis is full, most likely; else this raises again
            self._scripts.put("ZADD", *index)
            self._scripts.put("ZADD", *due)

    def due(self, until_ms: int, most: int, start: int = 0) -> list[str]:
        """Goals that must be looked at by then, longest due first, without the first so many."""
        return list(self._client.zrange(self._keys.due, "-inf", until_ms, byscore=True, offset=start, num=most))

    def postpone(self, times: Mapping[str, int]) -> None:
        """Set when each goal is looked at next (ms)."""
        if times:
            flat = [part for goal, at in times.items() for part in (at, goal)]
            self._scripts.put("ZADD", self._keys.due, "XX", *flat)

    def hasten(self, goals: Sequence[str]) -> None:
        """Have goals looked at now; one that the index had lost is in it again."""
        if goals:
            now = self.clock_ms()
            self._scripts.put("ZADD", self._keys.due, "LT", *(part for goal in goals for part in (now, goal)))

    def open_goals(self, cursor: int, most: int) -> tuple[int, list[str]]:
        """A page of the index: (next cursor, goals); the cursor is 0 at the end."""
        following, page = self._client.zscan(self._keys.index, cursor=cursor, count=most)
        return int(following), [goal for goal, _ in page]

    # -- control ----------------------------------------------------------------------------------------------------

    def pause(self, goal: str, reason: str, *, slots: str, now_ms: int | None = None) -> str:
        """No further claim: 'paused', 'unchanged', 'gone' or the state that forbids it."""
        args = (moment(now_ms), "pause", reason, slots, self._dispatch_ms, 0)
        return str(self._scripts.run("pause", self._keys.pair(goal), args)[0])

    def resume(self, goal: str, reason: str, *, slots: str, now_ms: int | None = None) -> tuple[str, list[Invitation]]:
        """Claims again: ('resumed', 'unchanged', 'gone' or the state that forbids it, invitations)."""
        args = (moment(now_ms), "resume", reason, slots, self._dispatch_ms, 0)
        outcome, out, *_ = self._scripts.run("pause", self._keys.pair(goal), args)
        return outcome, invitations(goal, out)

    def cancel(
        self, goal: str, reason: str, *, begin: bool = True, order: Order | None = None, now_ms: int | None = None
    ) -> str:
        """One slice of a cancellation: 'more', 'cancelled', 'ended', 'idle' or 'gone', or as `order.lua` says."""
        args = (moment(now_ms, order), reason, PIECE, "1" if begin else "0")
        return str(self._scripts.run("cancel", self._keys.pair(goal), args))

    def retry(
        self, goal: str, nodes: Sequence[tuple[str, str, int, int, int | str]], *, seal: bool, slots: str,
        scores: Mapping[str, int] = MappingProxyType({}), receiver: str = "", order: Order | None = None,
        now_ms: int | None = None,
    ) -> tuple[str, list[Invitation]]:  # fmt: skip
        """Reopen nodes, each (id, state it is in, edges that must fire, edges open, items left or '').

        `scores` are those of nodes that are DONE; `receiver` is the node that a command named.
        """
        flat = [value for node in nodes for value in (*node, scores.get(node[0], ""))]
        args = (moment(now_ms, order), "1" if seal else "0", slots, self._dispatch_ms, receiver, *flat)
        outcome, out = self._scripts.run("retry", self._keys.pair(goal), args)
        return outcome, invitations(goal, out)

    def patch(
        self, goal: str, version: int, patch: str, rows: Sequence[NodeRow], *, slots: str, order: Order | None = None,
        now_ms: int | None = None,
    ) -> tuple[str, str, list[Invitation]]:  # fmt: skip
        """Change the plan: (outcome, detail, invitations), as `patch.lua` says."""
        flat = [value for row in rows for value in row.args()]
        args = (moment(now_ms, order), version, slots, self._dispatch_ms, patch, *flat)
        outcome, detail, out = self._scripts.run("patch", self._keys.pair(goal), args)
        return outcome, str(detail), invitations(goal, out)

    def hide(self, goal: str, seen: str, now_ms: int | None = None) -> str:
        """Begin to take a goal away that ended at that time, or of which a half is stored since (as its record says).

        Returns 'more', 'open' or 'gone', as `remove`.
        """
        return str(self._scripts.run("remove", self._keys.pair(goal), (moment(now_ms), 0, seen)))

    def remove(self, goal: str, *, most_slices: int = 10, hidden: bool = False, now_ms: int | None = None) -> str:
        """Take an ended or half-built goal away: 'removed', 'more' (call again), 'open' or 'gone'.

        `hidden`: only if it was hidden, or its record ran out; a goal that was submitted anew meanwhile stays.
        """
        outcome, seen = "more", "hidden" if hidden else ""
        entered = self._client.zscore(self._keys.index, goal)
        for _ in range(most_slices):
            outcome = str(self._scripts.run("remove", self._keys.pair(goal), (moment(now_ms), PIECE, seen)))
            if outcome != "more":
                break
        if outcome in ("removed", "gone"):
            if entered is not None:
                self._scripts.run("forget", (self._keys.index,), (moment(now_ms), goal, int(entered)))
            with self._client.pipeline(transaction=False) as pipe:
                pipe.zrem(self._keys.due, goal)
                pipe.exists(self._keys.goal(goal))
                _, again = pipe.execute()
            if again:  # it was submitted anew meanwhile, and must be looked at
                self.expect(goal, now_ms=now_ms)
        return outcome

    # -- read -------------------------------------------------------------------------------------------------------

    def record(self, goal: str) -> dict[str, str]:
        """The goal's record. Raises GoalNotFound; a goal that is still being stored is not found."""
        record = self._client.hgetall(self._keys.goal(goal))
        if not record or "building" in record or "state" not in record:
            raise GoalNotFound(f"there is no goal {goal!r}: it was never submitted, or was removed after its end")
        return dict(record)

    def records(self, goals: Sequence[str]) -> list[dict[str, str]]:
        """The records of goals, in their order; empty where there is none."""
        with self._client.pipeline(transaction=False) as pipe:
            for goal in goals:
                pipe.hgetall(self._keys.goal(goal))
            return [record if "building" not in record else {} for record in pipe.execute()]

    def newest(self, start: int, most: int) -> list[str]:
        """Goal ids, the newest first."""
        return list(self._client.zrange(self._keys.index, start, start + most - 1, desc=True))

    def field(self, goal: str, name: str) -> str | None:
        """One field of the goal's record."""
        value = self._client.hget(self._keys.goal(goal), name)
        return None if value is None else str(value)

    def spec(self, goal: str, node: str) -> str:
        """A node's specification, JSON; empty braces where there is none."""
        return str(self._client.hget(self._keys.part(goal, "nodes"), node) or "{}")

    def edges_of(self, goal: str, node: str) -> str:
        """The edges out of a node, as the scripts read them; empty where there are none."""
        return str(self._client.hget(self._keys.part(goal, "edges"), node) or "")

    def dead(self, goal: str, nodes: Sequence[str]) -> dict[str, str]:
        """The failures of those of the nodes that are dead letters, JSON by id."""
        found = self._client.hmget(self._keys.part(goal, "dead"), list(nodes)) if nodes else []
        return {node: text for node, text in zip(nodes, found, strict=True) if text}

    def acknowledge(
        self, goal: str, nodes: Sequence[str], by: str, reason: str, now_ms: int | None = None
    ) -> list[str]:
        """Note that somebody has seen dead letters: an outcome each, as `acknowledge.lua` says."""
        return list(self._scripts.run("acknowledge", self._keys.pair(goal), (moment(now_ms), by, reason, *nodes)))

    def failures(self, goal: str, node: str) -> int:
        """How many attempts of a node failed."""
        return int(self._client.hget(self._keys.task(goal, node), "failures") or 0)

    def fields(self, goal: str, *names: str) -> list[str | None]:
        """Several fields of the goal's record; None for what is not there."""
        return list(self._client.hmget(self._keys.goal(goal), *names))

    def use_account(self, goal: str, account: str, now_ms: int | None = None) -> str:
        """Note that the goal has calls on an account of models: 'noted', 'known' or 'gone'."""
        return str(self._scripts.run("use", self._keys.pair(goal), (moment(now_ms), account)))

    def forget_field(self, goal: str, name: str) -> None:
        """Take one field out of the goal's record."""
        self._client.hdel(self._keys.goal(goal), name)

    def part(self, goal: str, name: str) -> dict[str, str]:
        """One of the goal's hashes (nodes, deps, edges, outputs, dead, parked), whole, read in bounded pages."""
        found: dict[str, str] = {}
        cursor: int = 0
        while True:
            cursor, page = self._client.hscan(self._keys.part(goal, name), cursor=cursor, count=2000)
            found.update(page)
            if not cursor:
                return found

    def events(self, goal: str, after: str, most: int, block_ms: int = 0) -> list[tuple[str, dict[str, str]]]:
        """Raw entries of the goal's stream behind an id, waiting up to `block_ms` (at most 4,000) for the first."""
        return read_stream(self._client, self._keys.part(goal, "events"), after, most, block_ms)

    def events_of(
        self, after: Mapping[str, str], most: int, block_ms: int = 0
    ) -> dict[str, list[tuple[str, dict[str, str]]]]:
        """Raw entries of the streams of several goals, each behind its id; without the goals that have none."""
        keys = {self._keys.part(goal, "events"): goal for goal in after}
        behind = {key: after[goal] for key, goal in keys.items()}
        return {keys[key]: found for key, found in read_streams(self._client, behind, most, block_ms).items()}


def _chunks(items: Iterable[Any], size: int) -> Iterator[list[Any]]:
    iterator = iter(items)
    while chunk := list(islice(iterator, size)):
        yield chunk
