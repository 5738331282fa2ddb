"""Duty `ttl`: takes goals away whose time has passed, each in slices, so that a large one stalls nobody."""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Generator
from concurrent.futures import Future, wait
from typing import Any, Final

from orchestrator.domain.errors import ChordalError
from orchestrator.engine.duty import Budget, Duty
from orchestrator.engine.payload import Payloads
from orchestrator.engine.upkeep.archive import load_hook, whole
from orchestrator.engine.upkeep.meter import Meter
from orchestrator.store.connection import ConnectionFailed
from orchestrator.store.store import Store

log = logging.getLogger(__name__)

AT_ONCE: Final = 4
"""Goals that are removed side by side: where one waits for files or for the user's function, the others go on."""
MOST_OFFERED: Final = 10_000
"""Goals that wait here; beat offers the others again."""
AGAIN_MS: Final = 30_000
"""When a goal is offered again whose removal was put off, or was not finished."""
KEPT_SECONDS: Final = 60.0
"""How often it is read anew which removals were put off; another beat may have done that."""
OUTDATED_MS: Final = 600_000
"""A removal that is put off says so every 30 s. One that has not for so long was retried, or is gone."""
PATIENCE_SECONDS: Final = 0.02
"""How long a tick waits for work aside before it turns to another goal."""
ENDED: Final = ("DONE", "FAILED", "CANCELLED")
Gate = Callable[[str], str]
"""Asked with the id of a goal that is about to go: why it may not go yet, or ''. May be asked again."""
Steps = Generator[bool, None, str | None]
"""A removal, which stops where it has worked for a while, or (True) waits; it returns why it was put off, '' if the goal is
removed, None if it stays."""
REMOVING: Final = "removing"
"""What stands in the record's `building` while a goal is being removed."""
SLOW_SECONDS: Final = 60.0
"""Of a removal that takes longer people are told."""


class HookFailed(ChordalError):
    """The user's archive hook raised; whatever that was, it says nothing of our Redis."""


def aside(work: Callable[[], Any]) -> Future[Any]:
    """Have it done by a thread of its own; one of a pool would be waited for when beat ends, and a hook may hang."""
    future: Future[Any] = Future()

    def carry_out() -> None:
        try:
            future.set_result(work())
        except BaseException as error:
            future.set_exception(error)

    threading.Thread(target=carry_out, name="chordal-removal", daemon=True).start()
    return future


class Removal:
    """Removes goals: the gates are asked, the archive hook is called, then the goal is hidden and its parts go.

    A goal that is reopened before it is hidden stays. What is broken off is found again by beat, and goes on where it was:
    the record, which says that a goal is being removed, is the last to go.
    """

    def __init__(
        self, store: Store, payloads: Payloads, forget_calls: Callable[[str], object], hook: str, meter: Meter
    ) -> None:
        """`hook` is the setting `archive_hook`; `forget_calls` takes away what accounts of models keep of a goal."""
        self._store = store
        self._payloads = payloads
        self.forget_calls = forget_calls
        self._hook = hook
        self._meter = meter
        self.gates: list[Gate] = []
        self._offered: dict[str, int] = {}
        """Goals, and when they were offered."""
        self._going: deque[tuple[str, float, Steps]] = deque()
        self._idle = False
        self._put_off: set[str] = set()
        self._read = -KEPT_SECONDS

    def duty(self, seconds: float) -> Duty:
        """The line of beat's table."""
        return Duty("ttl", seconds, self.tick, self.left)

    def offer(self, goal: str) -> None:
        """The time of a goal has passed. It is taken up by the next ticks, or offered again in 30 s."""
        now = self._store.goals.clock_ms()
        if len(self._offered) < MOST_OFFERED and all(goal != going for going, _, _ in self._going):
            self._offered[goal] = now
        self._store.goals.postpone({goal: now + AGAIN_MS})

    def left(self) -> bool:
        """Whether there is something to do now; where all wait for work aside, the next tick at its time is soon enough."""
        return bool(self._offered or self._going) and not self._idle

    def tick(self) -> str:
        """Remove for a while; goals that are not done by then are gone on with by the next tick."""
        removed = waited = 0
        budget = Budget()
        while (self._offered or self._going) and budget and waited < AT_ONCE:
            while self._offered and len(self._going) < AT_ONCE:
                goal = next(iter(self._offered))
                self._going.append((goal, time.monotonic(), self._remove(goal, self._offered.pop(goal))))
            outcome = self._step(*self._going.popleft())
            removed += outcome == "removed"
            waited = waited + 1 if outcome == "waits" else 0
        self._idle = waited >= AT_ONCE
        note = f"{removed} removed, {len(self._offered) + len(self._going)} to go"
        if kept := self._kept():
            note += f", {len(kept)} put off"
        return note + "".join(f"; {goal} takes {seconds:.0f} s" for goal, seconds in self._slow())

    def _slow(self) -> list[tuple[str, float]]:
        """Removals that take long: a hook that hangs holds up all others in the end, and people must know."""
        now = time.monotonic()
        slow = [(goal, now - since) for goal, since, _ in self._going if now - since > SLOW_SECONDS]
        for goal, seconds in slow:
            if goal not in self._kept():
                why = f"its files, or archive_hook {self._hook}, take longer than {seconds:.0f} s"
                self._store.upkeep.put_off(goal, why, self._store.goals.clock_ms())
                self._kept().add(goal)
        return slow

    def _step(self, goal: str, since: float, steps: Steps) -> str:
        """One step of a removal: it 'works', 'waits', the goal is 'removed', was 'put off' or 'stays'."""
        try:
            waits = next(steps)
        except StopIteration as end:
            return self._ended(goal, end.value)
        except ConnectionFailed:
            raise  # the goal is offered again
        except Exception as error:
            log.exception("goal %s could not be removed; again in %d s", goal, AGAIN_MS // 1000)
            return self._ended(goal, f"{type(error).__name__}: {error}")
        self._going.append((goal, since, steps))
        return "waits" if waits else "works"

    def _ended(self, goal: str, why: str | None) -> str:
        if why:
            self._store.upkeep.put_off(goal, why[:500], self._store.goals.clock_ms())
            self._kept().add(goal)
        elif goal in self._kept():
            self._store.upkeep.settle_put_off([goal])
            self._kept().discard(goal)
        return "put off" if why else "stays" if why is None else "removed"

    def _kept(self) -> set[str]:
        """Goals that were put off; those that nobody puts off any more, as they were retried, are forgotten."""
        if time.monotonic() - self._read >= KEPT_SECONDS:
            found, now = self._store.upkeep.put_offs(), self._store.goals.clock_ms()
            old = [goal for goal, (at_ms, _) in found.items() if now - at_ms > OUTDATED_MS]
            self._store.upkeep.settle_put_off(old)
            self._put_off, self._read = set(found) - set(old), time.monotonic()
        return self._put_off

    def _remove(self, goal: str, offered_ms: int) -> Steps:
        goals = self._store.goals
        state, building, ended, created = goals.fields(goal, "state", "building", "ended", "created")
        if building not in (None, REMOVING):
            if int(created or 0) >= offered_ms or goals.hide(goal, created or "") == "open":
                return None  # it was submitted anew since it was offered
        elif building is None and state is not None:
            if ended is None or state not in ENDED or int(ended) > offered_ms:
                return None  # it was reopened, or submitted anew, since it was offered
            for gate in self.gates:
                if why := gate(goal):
                    return why
            if self._hook:
                try:
                    yield from self._wait(lambda: self._archive(goal))
                except HookFailed as error:
                    log.exception(
                        "archive_hook %s failed for goal %s; again in %d s", self._hook, goal, AGAIN_MS // 1000
                    )
                    return f"archive_hook {self._hook} failed: {error}"
            if goals.hide(goal, ended) == "open":
                return None
        yield from self._wait(lambda: self._payloads.forget(goal))  # while the record still tells of them
        self.forget_calls(goal)
        while (outcome := goals.remove(goal, most_slices=1, hidden=True)) == "more":
            yield False
        if outcome == "open":
            return None
        self._meter.add("goals_removed", int(outcome == "removed"))
        return ""

    def _archive(self, goal: str) -> None:
        """Raises HookFailed, and what reading the goal raises."""
        try:
            hook = load_hook(self._hook)
        except Exception as error:
            raise HookFailed(f"{type(error).__name__}: {error}") from error
        data = whole(self._store, goal)
        try:
            hook(data)
        except Exception as error:
            raise HookFailed(f"{type(error).__name__}: {error}") from error

    def _wait(self, work: Callable[[], Any]) -> Generator[bool, None, None]:
        """Have it done aside, however long it takes: it is the user's function, or a file system of whatever speed."""
        future = aside(work)
        while not wait((future,), PATIENCE_SECONDS).done:
            yield True
        future.result()

    def anew(self) -> None:
        """Know nothing any more: another beat has ticked meanwhile, which may have removed what was begun here."""
        self._offered.clear()
        self._going.clear()
        self._idle, self._read = False, -KEPT_SECONDS
