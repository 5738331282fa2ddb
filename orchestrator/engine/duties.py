"""What beat does: look at goals that are due, remove old ones, count the fleet. Each tick is bounded and idempotent."""

from __future__ import annotations

import json
import logging
import time
from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from orchestrator.engine.control import Control
from orchestrator.engine.dispatch import Sender, Slots
from orchestrator.engine.duty import BUDGET_SECONDS, Budget, Duty
from orchestrator.engine.holds import publish
from orchestrator.engine.upkeep.parts import Upkeep
from orchestrator.settings import Settings
from orchestrator.store.connection import ConnectionFailed
from orchestrator.store.records import Reaped
from orchestrator.store.store import Store

log = logging.getLogger(__name__)

PER_GOAL: Final = 200
"""Leases and timers that one look at one goal handles."""
CANCEL_SECONDS: Final = 0.1
"""How long one look goes on with a cancellation that somebody began and did not finish."""
LLM_QUEUE: Final = "llm"
"""The Celery queue of calls that may go out now."""
PUBLISH_SECONDS: Final = 10.0
"""How often slots are published that have not changed; they expire after a minute."""


def _not_heeded(_goal: str) -> None:
    """Nobody wants to know."""


@dataclass(slots=True)
class Duties:
    """The periodic work. Two beats at once are harmless: every step is decided by a script."""

    store: Store
    settings: Settings
    sender: Sender
    slots: Slots
    control: Control
    upkeep: Upkeep
    allot: Callable[[int], object]
    """Divides the slots of the llm workers among the accounts of models."""
    reassign: Callable[[Collection[str]], str]
    """Hands the nodes of agents on whose queue no worker serves, given the queues that are served."""
    looked: Callable[[str], object] = _not_heeded
    """Told of every goal that is looked at, in reap; must not take longer than a few microseconds."""
    others: Callable[[], Sequence[Duty]] = tuple
    """Duties of other parts, asked for when beat first needs its table."""
    _behind: bool = False
    """The last reap left goals that were due."""
    _sweep_cursor: int = 0
    _last_reap: float = 0.0
    _grace_until: float = 0.0
    _published: tuple[dict[str, int], float] = field(default_factory=lambda: ({}, 0.0))
    _table: tuple[Duty, ...] = ()

    def all(self) -> tuple[Duty, ...]:
        """Beat's table: what it does, in the order in which it is done where several are due."""
        if not self._table:
            settings = self.settings
            self._table = (
                Duty("reap", settings.reap_seconds, self.reap, lambda: self._behind),
                Duty("scan", settings.scan_seconds, self.scan),
                Duty("sweep", settings.sweep_seconds, self.sweep),
                *self.upkeep.duties(),
                *self.others(),
            )
        return self._table

    def intervals(self) -> dict[str, float]:
        """Seconds between the ticks of each duty."""
        return {duty.name: duty.seconds for duty in self.all()}

    def reap(self) -> str:
        """Expired leases, due timers, lost messages, half-done cancellations, goals past their time to live."""
        goals = self.store.goals
        grace = self._in_grace()
        budget = Budget(min(BUDGET_SECONDS, self.settings.reap_seconds / 2))
        seen = lost = removed = 0
        self._behind = True
        ahead = goals.clock_ms() - int(time.monotonic() * 1000)
        while due := goals.due(int(time.monotonic() * 1000) + ahead, self.settings.duty_limit):
            for goal in due:
                advice, found = self._look_safely(goal, grace, ahead)
                seen += 1
                lost += found
                removed += advice == "remove"
                if not budget:
                    break
            if grace or not budget:
                break
        self._behind = not grace and not budget
        self.upkeep.meter.add("leases_lost", lost)
        return f"{seen} goals, {lost} leases lost, {removed} to be removed"

    def _look_safely(self, goal: str, grace: bool, ahead: int) -> tuple[str, int]:
        """Look at one goal and note when to look again; returns the advice and the number of lost leases.

        `ahead`: the milliseconds by which the clock of Redis is before our monotonic one.
        """
        goals = self.store.goals
        try:
            reaped = self._look(goal, grace)
        except ConnectionFailed:
            raise  # nothing is known of the others either
        except Exception:
            # One goal that cannot be handled must not keep the others from being looked at.
            log.exception("goal %s could not be looked at; again in 30 s", goal)
            goals.postpone({goal: goals.clock_ms() + 30_000})
            return "failed", 0
        if reaped.due_ms >= 0 and reaped.advice != "remove":
            # At least a little later, so that a goal with more to do does not keep the tick from ending.
            soonest = int(time.monotonic() * 1000) + ahead + 100
            goals.postpone({goal: soonest if reaped.advice == "again" else max(reaped.due_ms, soonest)})
        return reaped.advice, len(reaped.lost)

    def _in_grace(self) -> bool:
        """Redis was away, so no lease could be renewed: nodes that run are given time to show that they live."""
        before, self._last_reap = self._last_reap, time.monotonic()
        if self._last_reap - before > self.settings.reap_seconds + self.settings.lease_seconds:
            uptime = int(self.store.fleet.info("server").get("uptime_in_seconds", 1 << 30))
            if before or uptime < self.settings.lease_seconds:
                self._grace_until = self._last_reap + self.settings.lease_seconds
        return self._last_reap < self._grace_until

    def _look(self, goal: str, grace: bool) -> Reaped:
        settings = self.settings
        ttl = (
            settings.done_ttl_seconds,
            settings.failed_ttl_seconds,
            settings.cancelled_ttl_seconds,
            settings.building_ttl_seconds,
        )
        reaped = self.store.nodes.reap(
            goal,
            most=PER_GOAL,
            lost_limit=settings.lost_limit,
            slots=self.slots.json(),
            spare_leases=grace,
            ttl_ms=(int(ttl[0] * 1000), int(ttl[1] * 1000), int(ttl[2] * 1000), int(ttl[3] * 1000)),
        )
        self.sender.invite(reaped.invitations)
        for node in reaped.lost:
            log.warning("the lease of %s in %s ran out; it is handed to another worker", node, goal)
        if reaped.advice == "cancel":
            self.control.carry_cancel(goal, "", begin=False, go_on=Budget(CANCEL_SECONDS).__bool__)
        elif reaped.advice == "orphans":
            self.control.cancel_children(goal, go_on=Budget(CANCEL_SECONDS).__bool__)
        elif reaped.advice == "notify":
            self.control.after_end(goal)
        elif reaped.advice == "remove":
            self.upkeep.removal.offer(goal)
        self.looked(goal)
        if reaped.tally is not None:
            self.upkeep.meter.note(goal, reaped.tally)
        return reaped

    def sweep(self) -> str:
        """Look at every open goal once in a while, whatever the index says: nothing stays forgotten."""
        goals = self.store.goals
        self._sweep_cursor, page = goals.open_goals(self._sweep_cursor, self.settings.duty_limit)
        ended = {"DONE", "FAILED", "CANCELLED"}
        waiting = [
            goal for goal, record in zip(page, goals.records(page), strict=True) if record.get("state") not in ended
        ]
        goals.hasten(waiting)
        return f"{len(waiting)} of {len(page)} goals"

    def _publish(self, slots: Mapping[str, int]) -> None:
        """Publish the slots, and with them what is held, where they have changed, and now and then before they expire.

        Whoever holds something publishes that at once.
        """
        published, at = self._published
        if slots != published or time.monotonic() - at >= PUBLISH_SECONDS:
            publish(self.store, slots)
            self._published = dict(slots), time.monotonic()

    def scan(self) -> str:
        """Heartbeats: forget workers that were silent too long, publish how many slots the others have."""
        fleet = self.store.fleet
        living, states = self.upkeep.roll.call(fleet.clock_ms(), fleet.workers())
        slots: Counter[str] = Counter()
        for heartbeat in living:
            slots.update(dict.fromkeys(heartbeat.worker.queues, heartbeat.worker.slots))
        self._publish({**slots, "*": 1})
        self.allot(slots.get(LLM_QUEUE, 0))
        handed = self.reassign(slots)
        return f"{len(living)} workers, {states['late']} late, {states['dead']} dead, slots {json.dumps(dict(slots))}; {handed}"
