"""Who works: workers and what they hold, holds of the fleet, dead letters, messages that nobody could read."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Final

from orchestrator.domain.views import Check
from orchestrator.operate.dead import count_dead
from orchestrator.operate.facts import FleetFacts, WorkerFacts
from orchestrator.operate.reason import spell
from orchestrator.operate.words import by
from orchestrator.store.store import Store

UNANSWERED_MS: Final = 30_000
"""After so long a command should have been answered, or beat have carried it out again."""


def worker_checks(fleet: FleetFacts) -> Iterator[Check]:
    """A line for each worker, and one for all."""
    for worker in fleet.workers:
        yield _worker(worker, fleet.now_ms)
    live = len(fleet.alive)
    remedy = "" if live else "start `celery -A orchestrator worker`, or `chordal up`"
    slots = sum(worker.slots for worker in fleet.alive)
    yield Check("workers", live > 0, f"{live} alive with {slots} slots" if live else "0 alive", remedy)


def _worker(worker: WorkerFacts, now_ms: int) -> Check:
    heard = f"heard {spell((now_ms - worker.heard_ms) / 1000)} ago"
    holds = f", holds {holding(worker)}" if worker.holds else ""
    if not worker.alive:
        detail = f"silent, {heard}{holds}; queues {', '.join(worker.queues)}"
        lost = "; beat hands what it held to others" if worker.holds else ""
        return Check(f"worker {worker.name}", False, detail, f"it is dead or stands still: start it again{lost}")
    detail = f"pid {worker.pid}, {worker.pool} x {worker.slots}, queues {', '.join(worker.queues)}, {heard}{holds}"
    if worker.faults:
        return Check(
            f"worker {worker.name}", False, f"{detail}; {'; '.join(worker.faults)}", "take these settings back"
        )  # fmt: skip
    if worker.draining:
        return Check(
            f"worker {worker.name}", None, f"{detail}; it is drained and takes no new node",
            f"`celery -A orchestrator control -d {worker.name} chordal_undrain`",
        )  # fmt: skip
    return Check(f"worker {worker.name}", True, detail)


def holding(worker: WorkerFacts) -> str:
    """What a worker holds, by goal."""
    goals = Counter(goal for goal, _ in worker.holds)
    shown = [
        f"{count} of {goal}" if count > 1 else f"{goal}/{_only(worker, goal)}" for goal, count in goals.most_common(3)
    ]
    return ", ".join(shown) + (f" and of {len(goals) - 3} more goals" if len(goals) > 3 else "")


def _only(worker: WorkerFacts, goal: str) -> str:
    return next(node for name, node in worker.holds if name == goal)


def hold_checks(fleet: FleetFacts) -> Iterator[Check]:
    """What is held in the whole fleet, and by whom."""
    for name, who in fleet.holds.items():
        kind, _, what = name.partition(":")
        if kind == "fleet":
            yield Check(
                "fleet", None, f"stopped{by(who, fleet.now_ms)}: no worker takes a node", "chordal release --all"
            )
        elif kind == "queue":
            yield Check(f"queue {what}", None, f"held{by(who, fleet.now_ms)}", f"chordal release --queue {what}")
        else:
            owner, _, agent = what.partition("/")
            option = "" if owner == "*" else f" --owner {owner}"
            yield Check(
                f"agent {agent}", None, f"held{by(who, fleet.now_ms)}", f"chordal release --agent {agent}{option}"
            )  # fmt: skip


def command_checks(store: Store) -> Iterator[Check]:
    """Commands that somebody gave and nobody carried out to the end."""
    now = store.goals.clock_ms()
    if found := store.control.open_since(now - UNANSWERED_MS, 100):
        detail = f"{len(found)} were taken in and not answered for {UNANSWERED_MS // 1000} s, for example {found[0]}"
        yield Check(
            "commands", None, detail, "beat carries them out again (beat: orders); chordal audit has what came of them"
        )


def dead_letter_checks(store: Store) -> Iterator[Check]:
    """Failed nodes that nobody has looked at, and messages that were set aside."""
    count, goals, newest = count_dead(store)
    if count:
        detail = f"{count:,} failed nodes in {goals:,} goals, for example {newest}"
        yield Check("dead letters", None, detail, "chordal dead list; then chordal dead requeue or drop")
    found = store.fleet.poison()
    if found:
        age = (store.fleet.clock_ms() - int(found[0]["at_ms"])) / 1000
        detail = f"{len(found)} set aside, the newest {spell(age)} ago: {found[0]['reason']}"
        yield Check(
            "poison messages", None, detail, "chordal dead list; find who sent them, then chordal dead requeue or drop"
        )  # fmt: skip
