"""Why something does not go on: the causes that there are, and what an operator is told."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any


class Level(StrEnum):
    """Who must do something."""

    ITSELF = "goes on by itself"
    PERSON = "waits for somebody"
    BROKEN = "needs an operator"


class Cause(StrEnum):
    """What a goal or node waits for, or why it has ended."""

    DONE = "done"  # it has ended well
    FAILED = "failed"  # its attempts are used up
    SKIPPED = "skipped"  # its join can no longer fire
    DROPPED = "dropped"  # it was taken out of the plan
    CANCELLED = "cancelled"  # its goal was cancelled
    CANCELLING = "cancelling"  # the cancellation is not complete yet
    PLANNING = "planning"  # the plan is being made
    PAUSED = "paused"  # somebody, or a spent budget, paused the goal
    HELD = "held"  # the node, its agent or its queue is held
    STOPPED = "stopped"  # the whole fleet is stopped
    PARENTS = "parents"  # nodes before it have not ended
    LANE = "lane"  # another node of its lane is first
    NO_WORKERS = "no workers"  # no worker is alive
    NO_WORKER = "no worker"  # none that is alive serves its queue
    DRAINED = "drained"  # the workers of its queue are being drained
    ROLE = "role"  # no worker serves its agent, and nobody else may do it
    SLOTS = "slots"  # all workers of its queue are busy
    INVITED = "invited"  # its message is on the way to a worker
    MESSAGE_LOST = "message lost"  # nobody took its message in time; beat sends it again
    BEAT = "beat"  # beat, which would send it again, does not tick
    REDIS_FULL = "redis full"  # Redis has no memory left: nothing can be claimed
    RUNS = "runs"  # a worker holds it
    WORKER_LOST = "worker lost"  # the worker that holds it was not heard of
    BACKOFF = "backoff"  # an attempt failed; the next comes
    TIMER = "timer"  # it waits for a time
    SIGNAL = "signal"  # it waits for a named signal
    APPROVAL = "approval"  # it waits for a person's word
    CHILD = "child"  # it waits for its sub-goal
    ITEMS = "items"  # it waits for nodes that it added: items of a map, tools and agents of a turn
    DEFERRED = "deferred"  # its tool is completed from outside
    TASK = "task"  # a Celery task of the user stands for it
    MODEL_LINE = "model line"  # its model call waits for its turn: the limits let no more out
    MODEL_HELD = "model held"  # the provider said to wait
    MODEL_DOWN = "model down"  # the account's breaker is open
    MODEL_DRAINED = "model drained"  # an operator drained the account
    MODEL_WORKERS = "model workers"  # no worker makes model calls
    LEFT_OVER = "left over"  # a script left edges to be resolved; beat does it


@dataclass(frozen=True, slots=True)
class Reason:
    """One sentence for people, the cause for programs, and what to do about it."""

    cause: Cause
    level: Level
    text: str
    remedy: str = ""

    def as_json(self) -> dict[str, Any]:
        """As the command line prints it."""
        return {"cause": self.cause, "level": self.level, "text": self.text, "remedy": self.remedy}


@dataclass(frozen=True, slots=True)
class Finding:
    """The same cause at several nodes of a goal."""

    reason: Reason
    """Of the first of them."""
    nodes: tuple[str, ...]

    def as_json(self) -> dict[str, Any]:
        """As the command line prints it."""
        return {**self.reason.as_json(), "nodes": list(self.nodes)}


def worst(reasons: Sequence[Reason]) -> Level:
    """The highest level of some reasons; without any it goes on by itself."""
    order = list(Level)
    return max((reason.level for reason in reasons), key=order.index, default=Level.ITSELF)


def spell(seconds: float) -> str:
    """Seconds as people say them: ``0.4 s``, ``12 s``, ``4 min 05 s``, ``3 h 07 min``."""
    if seconds < 60:
        return f"{seconds:.1f} s" if seconds < 10 else f"{seconds:.0f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest:02d} s"
    return f"{minutes // 60} h {minutes % 60:02d} min"
