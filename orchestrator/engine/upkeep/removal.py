"""Duty `ttl`: takes goals away whose time has passed, each in slices, so that a large one stalls nobody."""

from __future__ import annotations

import logging
import time
from collections import deque
from collections.abc import Callable, Generator
from concurrent.futures import Future, ThreadPoolExecutor, wait
from typing import Any, Final

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
PATIENCE_SECONDS: Final = 0.02
"""How long a tick waits for work aside before it turns to another goal."""
ENDED: Final = ("DONE", "FAILED", "CANCELLED")
Gate = Callable[[str], str]
"""Asked with the id of a goal that is about to go: why it may not go yet, or ''. May be asked again."""
Steps = Generator[bool, None, str]
"""A removal, which stops where it has worked for a while, or (True) waits; what it returns is why it was put off, or ''."""


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
        self._put_off: set[str] | None = None
        self._aside: ThreadPoolExecutor | None = None

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
        slow = [(goal, time.monotonic() - since) for goal, since, _ in self._going if time.monotonic() - since > 60]
        return note + "".join(f"; {goal} takes {seconds:.0f} s" for goal, seconds in slow)

    def _step(self, goal: str, since: float, steps: Steps) -> str:
        """One step of a removal: it 'works', 'waits', the goal is 'removed' or was 'put off'."""
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

    def _ended(self, goal: str, why: str) -> str:
        if why:
            self._store.upkeep.put_off(goal, why[:500], self._store.goals.clock_ms())
            self._kept().add(goal)
        elif goal in self._kept():
            self._store.upkeep.settle_put_off([goal])
            self._kept().discard(goal)
        return "put off" if why else "removed"

    def _kept(self) -> set[str]:
        if self._put_off is None:
            self._put_off = set(self._store.upkeep.put_offs())
        return self._put_off

    def _remove(self, goal: str, offered_ms: int) -> Steps:
        goals = self._store.goals
        state, building, ended = goals.fields(goal, "state", "building", "ended")
        if building is None and state is not None:
            if ended is None or state not in ENDED or int(ended) > offered_ms:
                return ""  # it was reopened, or submitted anew, since it was offered
            for gate in self.gates:
                if why := gate(goal):
                    return why
            if self._hook:
                try:
                    yield from self._wait(lambda: load_hook(self._hook)(whole(self._store, goal)))
                except ConnectionFailed:
                    raise
                except Exception as error:
                    log.exception(
                        "archive_hook %s failed for goal %s; again in %d s", self._hook, goal, AGAIN_MS // 1000
                    )
                    return f"archive_hook {self._hook} failed: {type(error).__name__}: {error}"
            if goals.hide(goal, ended) == "open":
                return ""
        yield from self._wait(lambda: self._payloads.forget(goal))  # while the record still tells of them
        self.forget_calls(goal)
        while goals.remove(goal, most_slices=1) == "more":
            yield False
        self._meter.add("goals_removed")
        return ""

    def _wait(self, work: Callable[[], Any]) -> Generator[bool, None, None]:
        """Have it done aside, however long it takes: it is the user's function, or a file system of whatever speed."""
        if self._aside is None:
            self._aside = ThreadPoolExecutor(AT_ONCE, "chordal-removal")
        future: Future[Any] = self._aside.submit(work)
        while not wait((future,), PATIENCE_SECONDS).done:
            yield True
        future.result()

    def close(self) -> None:
        """Wait for nothing: what is under way aside ends by itself."""
        if self._aside is not None:
            self._aside.shutdown(wait=False, cancel_futures=True)
            self._aside = None
