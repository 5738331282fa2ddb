"""What goes into the scripts and comes out of them, typed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Self

from orchestrator.domain.lease import Lease


@dataclass(frozen=True, slots=True)
class NodeRow:
    """One node as it is stored."""

    id: str
    spec: str
    parents: str
    edges: str
    need: int
    open: int | None
    score: int
    queue: str
    lane: str
    lease_ms: int | None

    def args(self) -> tuple[str | int, ...]:
        """The ten values that the scripts take for a node."""
        return (
            self.id, self.spec, self.parents, self.edges, self.need, "" if self.open is None else self.open,
            self.score, self.queue, self.lane, "" if self.lease_ms is None else self.lease_ms,
        )  # fmt: skip


@dataclass(frozen=True, slots=True)
class Invitation:
    """A Celery message to send: come and work on this queue of this goal, beginning with this node if you can."""

    goal: str
    queue: str
    node: str
    attempt: int
    sent_ms: int
    """Redis time; the claim measures the wait from it."""
    priority: int = 0
    """The goal's."""

    @property
    def task_id(self) -> str:
        """The Celery task id: it names what it invites to."""
        return f"{self.goal}:{self.node}:{self.attempt}"


@dataclass(frozen=True, slots=True)
class Follower:
    """A node that waits for the claimed one alone. Its lease is valid once its parent is committed."""

    lease: Lease
    spec: str
    parents: Sequence[str]


@dataclass(frozen=True, slots=True)
class Reassigned:
    """A node that another agent is to take, or that is stuck."""

    node: str
    queue: str
    """The queue it was seen in; in another one it is left alone."""
    to: str
    """The new queue; empty where it stays and is stuck."""
    spec: str
    """Its specification with the new agent and queue, JSON."""
    data: str
    """What the event says, JSON."""


@dataclass(frozen=True, slots=True)
class Claimed:
    """A node that this worker may run now."""

    lease: Lease
    lease_ms: int
    failures: int
    """Attempts of this node that failed before."""
    spec: str
    """The node's JSON, without its id and without defaults."""
    resume: str
    """What woke it, JSON, when it had parked; else empty."""
    followers: Sequence[Follower] = ()
    """Nodes that may run right behind it before it is committed, in their order."""
    version: str = ""
    """Of the plan, at the claim."""


class Outcome(StrEnum):
    """How a worker ends a lease."""

    DONE = "done"
    FAILED = "failed"
    RETRY = "retry"
    PARK = "park"
    RELEASE = "release"
    RUNNING = "running"
    """No end: a node that runs ahead takes longer than was thought, and is to be claimed."""


@dataclass(frozen=True, slots=True)
class Result:
    """One lease's end. `body` and `extra` are as `commit.lua` says."""

    lease: Lease
    outcome: Outcome
    body: str = ""
    extra: str | int = ""
    data: str = ""
    """JSON for the event of a `done`."""
    turn: str = ""
    """What an agent's step leaves behind, JSON as `turn.lua` says."""
    ahead: bool = False
    """It ran before its parent, the result before this one, was committed."""


class Verdict(StrEnum):
    """What became of a commit."""

    ACCEPTED = "accepted"
    REPEATED = "repeated"  # this lease committed before: a reply was lost and the call sent again
    FENCED = "fenced"  # the lease is no longer the node's
    UNCLAIMED = "unclaimed"  # it ran ahead and could not be claimed then: it runs again
    WAITS = "waits"  # an agent's end came before a message that it has not read: it goes on
    CANCELLING = "cancelling"
    GONE = "gone"  # the goal was removed


@dataclass(frozen=True, slots=True)
class Step:
    """What a claim or a commit answers."""

    status: str
    """The goal's state, `CANCELLING` or `GONE`."""
    verdicts: Sequence[Verdict]
    claims: Sequence[Claimed]
    invitations: Sequence[Invitation]
    more: bool
    """Edges are left to be resolved: call settle."""


@dataclass(frozen=True, slots=True)
class Tally:
    """What happened to a goal since beat looked last, and how it is now."""

    first: bool
    """It had not been looked at before."""
    over: bool
    """It has ended, now or before."""
    done: int
    """Nodes that were DONE since."""
    failed: int
    """Nodes that FAILED since."""
    ended: str
    """DONE, FAILED or CANCELLED if the goal has ended since; else empty."""
    lasted_ms: int
    """From its start to that end."""
    running: int
    waiting: int
    ready: tuple[tuple[str, int], ...]
    """Nodes that could be claimed, by queue."""

    @classmethod
    def of(cls, raw: Sequence[Any]) -> Self | None:
        """From the reply of `reap.lua`; None for a goal that is not stored yet, or no longer."""
        if not raw:
            return None
        first, over, done, failed, ended, lasted, running, waiting, *ready = raw
        queues = zip(map(str, ready[::2]), map(int, ready[1::2]), strict=True)
        return cls(
            bool(first), bool(over), int(done), int(failed), str(ended), int(lasted), int(running), int(waiting),
            tuple(queues),
        )  # fmt: skip


@dataclass(frozen=True, slots=True)
class Reaped:
    """What a look at one goal found."""

    due_ms: int
    """When to look again, Redis time in milliseconds; -1: never."""
    invitations: Sequence[Invitation]
    lost: Sequence[str]
    advice: str
    tally: Tally | None = None


def invitations(goal: str, raw: Sequence[Sequence[Any]]) -> list[Invitation]:
    """Invitations from a script's reply."""
    return [
        Invitation(goal, queue, node, int(attempt), int(sent), int(priority))
        for queue, node, attempt, sent, priority in raw
    ]
