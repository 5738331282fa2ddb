"""Find goals with news, and have a worker tell them: what beat does for notifications, and what it costs."""

from __future__ import annotations

import logging
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final

from orchestrator.engine.duty import Budget, Duty
from orchestrator.notify.targets import Target
from orchestrator.settings import Settings
from orchestrator.store.connection import ConnectionFailed
from orchestrator.store.store import Store
from orchestrator.store.tell import START, Cursor, id_pair

log = logging.getLogger(__name__)

PAGE: Final = 200
"""Events of a goal that beat looks through; where there are more, a worker does."""
GOALS: Final = 100
"""Goals that are looked at in one round of commands."""
RESEND_MS: Final = 15_000
"""A message that no worker took within this time is sent again; then within twice the time, and so on."""
LONGEST_RESEND_MS: Final = 1_920_000
"""Where no worker serves the queue the messages wait in the broker, and must not pile up there."""
REMEMBERED: Final = 20_000
"""Goals of which beat remembers how far it has looked."""
FORGET_SECONDS: Final = 3600.0
"""A receiver that no worker knows is forgotten, if there was a worker all this time."""
CLEAN_SECONDS: Final = 60.0


@dataclass(slots=True)
class Watch:
    """In beat: which goals have news. In workers: that a goal has ended. Two beats at once are harmless."""

    store: Store
    settings: Settings
    targets: Callable[[], Mapping[str, Target]]
    send: Callable[[str], None]
    """Sends the message that has a worker tell of a goal."""
    _looked: OrderedDict[str, None] = field(default_factory=OrderedDict)
    _seen: OrderedDict[str, str] = field(default_factory=OrderedDict)
    """How far each goal's stream was looked through: its last id."""
    _sent: OrderedDict[str, tuple[int, int]] = field(default_factory=OrderedDict)
    """Goals that a message was sent for: how often in vain, and when the next is due."""
    _cleaned: float = 0.0
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def duty(self) -> Duty:
        """The line of beat's table."""
        return Duty("notify", self.settings.notify_seconds, self.tick, lambda: bool(self._looked))

    def looked(self, goal: str) -> None:
        """Beat has just looked at a goal, for which something happened on it: there may be news. Costs no command."""
        with self._lock:
            self._looked[goal] = None
            if len(self._looked) > REMEMBERED:
                self._looked.popitem(last=False)

    def ended(self, goal: str) -> None:
        """A goal has ended: have it told at once. Never raises: beat finds it, too."""
        try:
            if self.targets():
                self.store.tell.ask([goal], RESEND_MS)
                self.send(goal)
        except ConnectionFailed as error:
            log.warning("Redis is away (%s); beat will have the end of %s told", error, goal)
        except Exception:
            log.exception("the end of %s could not be announced; beat will have it told", goal)

    def tick(self) -> str:
        """One tick of beat's duty. Without a receiver it does nothing."""
        targets = self.targets()
        if not targets:
            with self._lock:
                self._looked.clear()
            return "nobody is to be told"
        self._clean(targets)
        budget, seen = Budget(), 0
        while budget and (goals := self._next()):
            try:
                self._look(goals, targets)
            except BaseException:
                for goal in goals:  # a goal that has ended is not looked at again for long
                    self.looked(goal)
                raise
            seen += len(goals)
        return f"{seen} goals, {self._send_due(budget)} sent"

    def _next(self) -> list[str]:
        with self._lock:
            return [self._looked.popitem(last=False)[0] for _ in range(min(GOALS, len(self._looked)))]

    def _look(self, goals: list[str], targets: Mapping[str, Target]) -> None:
        found = []
        for goal, news in self.store.tell.news({goal: self._seen.get(goal, START) for goal in goals}, PAGE).items():
            wanted = any(target.wants(fields["type"]) for _, fields in news.page for target in targets.values())
            if wanted or len(news.page) >= PAGE:
                found.append(goal)
            self._remember(goal, news.last)
        self.store.tell.ask(found)

    def _remember(self, goal: str, last: str) -> None:
        self._seen[goal] = last
        self._seen.move_to_end(goal)
        if len(self._seen) > REMEMBERED:
            self._seen.popitem(last=False)

    def _send_due(self, budget: Budget) -> int:
        sent = 0
        while budget and (due := self.store.tell.due(now := self.store.goals.clock_ms(), GOALS)):
            names = list(due)
            waits = {goal: self._wait_ms(goal, at, now) for goal, at in due.items()}
            for wait in set(waits.values()):
                self.store.tell.put_off([goal for goal in names if waits[goal] == wait], wait, now)
            for index, goal in enumerate(names):
                if not budget:  # a broker that is slow must not hold up beat's other duties
                    self.store.tell.ask(names[index:])
                    return sent
                self.send(goal)
                sent += 1
        return sent

    def _wait_ms(self, goal: str, due: int, now: int) -> int:
        """How long a worker has time to take the message that is sent now; longer where none took the last ones."""
        tries, until = self._sent.pop(goal, (0, 0))
        tries = tries + 1 if due == until else 0  # else a worker said when, or something new has happened
        wait = min(RESEND_MS << min(tries, 16), LONGEST_RESEND_MS)
        self._sent[goal] = tries, now + wait
        if len(self._sent) > REMEMBERED:
            self._sent.popitem(last=False)
        return wait

    def _clean(self, targets: Mapping[str, Target]) -> None:
        """Forget receivers that are no more: code that was changed, a setting that was taken back."""
        if time.monotonic() - self._cleaned < CLEAN_SECONDS:
            return
        self._cleaned = time.monotonic()
        now = self.store.goals.clock_ms()
        silent = [name for name, target in targets.items() if now - target.seen_ms > FORGET_SECONDS * 1000]
        if silent and any(now / 1000 - one.worker.started > FORGET_SECONDS for one in self.store.fleet.workers()):
            for name in silent:
                log.warning("no worker has known the receiver %s for an hour: it is told no more", name)
                self.store.tell.forget_target(name)

    def gate(self, goal: str) -> str:
        """Whether a goal may be removed: '' if its outcomes were told or given up, else why not yet."""
        targets = self.targets()
        if not targets:
            return ""
        ended, owner = self.store.goals.fields(goal, "ended", "owner")
        if not ended:  # it never was a whole goal
            return ""
        cursors = self.store.tell.cursors(goal)
        last = self.store.tell.news({goal: f"{2**53}-0"}, 1)[goal].last
        missing = [
            name
            for name, target in targets.items()
            if target.concerns(owner or "default")
            and target.since_ms <= id_pair(last)[0]
            and cursors.get(name, Cursor()).is_before(last)
        ]
        if not missing:
            self.store.tell.forget(goal)
            return ""
        now = self.store.goals.clock_ms()
        if why := self._too_late(int(ended), now):
            self._give_up(goal, missing, cursors, why)
            return ""
        soonest = min(cursors.get(name, Cursor()).due_ms for name in missing)
        self.store.tell.ask([goal], max(0, soonest - now))
        return f"its outcomes were not told to {', '.join(missing)}"

    def _too_late(self, ended: int, now: int) -> str:
        """Why a goal goes although it was not told of, or ''."""
        if now - ended > self.settings.notify_keep_seconds * 1000:
            return f"not told {self.settings.notify_keep_seconds:g} s after its end, when it was removed"
        memory = self.store.fleet.info("memory")
        full = 0 < int(memory.get("maxmemory", 0)) <= int(memory.get("used_memory", 0))
        # The messages that would have it told need room themselves, and it is such goals that give some.
        return "not told when it was removed, because Redis was full" if full else ""

    def _give_up(self, goal: str, missing: list[str], cursors: Mapping[str, Cursor], why: str) -> None:
        for name in missing:
            self.store.tell.give_up(goal, name, f"{goal}/{cursors.get(name, Cursor()).after}", "", why)
        self.store.tell.forget(goal)
