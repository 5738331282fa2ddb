"""What beat does: look at goals that are due, remove old ones, count the fleet. Each tick is bounded and idempotent."""

from __future__ import annotations

import json
import logging
import time
from collections import Counter
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from typing import Final

from orchestrator.engine.control import Control
from orchestrator.engine.dispatch import Sender, Slots
from orchestrator.engine.payload import Payloads
from orchestrator.settings import Settings
from orchestrator.store.connection import ConnectionFailed
from orchestrator.store.records import Reaped
from orchestrator.store.store import Store

log = logging.getLogger(__name__)

PER_GOAL: Final = 200
"""Leases and timers that one look at one goal handles."""
LLM_QUEUE: Final = "llm"
"""The Celery queue of calls that may go out now."""
PUBLISH_SECONDS: Final = 10.0
"""How often slots are published that have not changed; they expire after a minute."""


@dataclass(slots=True)
class Duties:
    """The periodic work. Two beats at once are harmless: every step is decided by a script."""

    store: Store
    settings: Settings
    sender: Sender
    slots: Slots
    control: Control
    payloads: Payloads
    forget_calls: Callable[[str], object]
    """Takes what the accounts of models keep of a goal away."""
    allot: Callable[[int], object]
    """Divides the slots of the llm workers among the accounts of models."""
    reassign: Callable[[Collection[str]], str]
    """Hands the nodes of agents on whose queue no worker serves, given the queues that are served."""
    _sweep_cursor: int = 0
    _last_reap: float = 0.0
    _grace_until: float = 0.0
    _published: tuple[dict[str, int], float] = field(default_factory=lambda: ({}, 0.0))
    names: Mapping[str, Callable[[], str]] = field(init=False)

    def __post_init__(self) -> None:
        self.names = {"reap": self.reap, "scan": self.scan, "sweep": self.sweep}

    def intervals(self) -> dict[str, float]:
        """Seconds between the ticks of each duty."""
        settings = self.settings
        return {"reap": settings.reap_seconds, "scan": settings.scan_seconds, "sweep": settings.sweep_seconds}

    def reap(self) -> str:
        """Expired leases, due timers, lost messages, half-done cancellations, goals past their time to live."""
        goals = self.store.goals
        grace = self._in_grace()
        end = time.monotonic() + self.settings.reap_seconds / 2
        seen = lost = removed = 0
        while due := goals.due(goals.clock_ms(), self.settings.duty_limit):
            for goal in due:
                advice, found = self._look_safely(goal, grace)
                lost += found
                removed += advice == "remove"
            seen += len(due)
            if time.monotonic() >= end or grace:
                break
        return f"{seen} goals, {lost} leases lost, {removed} removed"

    def _look_safely(self, goal: str, grace: bool) -> tuple[str, int]:
        """Look at one goal and note when to look again; returns the advice and the number of lost leases."""
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
            soonest = goals.clock_ms() + 100
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
            self.control.carry_cancel(goal, "", begin=False)
        elif reaped.advice == "orphans":
            self.control.cancel_children(goal)
        elif reaped.advice == "notify":
            self.control.after_end(goal)
        elif reaped.advice == "remove":
            self.payloads.forget(goal)  # first: once the goal is gone nobody knows of its files
            self.forget_calls(goal)
            self.store.goals.remove(goal)
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
        """Publish the slots where they have changed, and now and then before they expire."""
        published, at = self._published
        if slots != published or time.monotonic() - at >= PUBLISH_SECONDS:
            self.store.fleet.publish_slots(slots)
            self._published = dict(slots), time.monotonic()

    def scan(self) -> str:
        """Heartbeats: forget workers that were silent too long, publish how many slots the others have."""
        fleet = self.store.fleet
        now = fleet.clock_ms()
        slots: Counter[str] = Counter()
        alive = dead = 0
        for heartbeat in fleet.workers():
            if now - heartbeat.at_ms > self.settings.worker_stale_seconds * 1000:
                dead += 1
                fleet.leave(heartbeat.worker.name)
                log.warning("worker %s was silent for %.1f s", heartbeat.worker.name, (now - heartbeat.at_ms) / 1000)
                continue
            alive += 1
            slots.update(dict.fromkeys(heartbeat.worker.queues, heartbeat.worker.slots))
        self._publish({**slots, "*": 1})
        self.allot(slots.get(LLM_QUEUE, 0))
        handed = self.reassign(slots)
        return f"{alive} workers, {dead} dead, slots {json.dumps(dict(slots))}; {handed}"
