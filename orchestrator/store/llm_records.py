"""What the operations on an account of LLM calls take and give."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final


class Outcome(StrEnum):
    """How a call left the line, or that it did not yet."""

    GRANTED = "granted"
    QUEUED = "queued"
    TOO_LARGE = "too_large"
    OVER_BUDGET = "over_budget"
    BREAKER = "breaker"
    TAKEN = "taken"  # another waiter or permit has this id
    CANCELLED = "cancelled"
    UNKNOWN = "unknown"  # it neither waits nor holds a permit


class Release(StrEnum):
    """How a call ended."""

    OK = "ok"
    FAILED = "failed"  # the provider's fault: it counts towards the breaker
    UNKNOWN = "unknown"  # says nothing about the provider
    UNUSED = "unused"  # never sent: everything is refunded


@dataclass(frozen=True, slots=True)
class Ask:
    """What a waiter asks for. Times are milliseconds."""

    input_tokens: int
    output_tokens: int
    micro_usd: int
    owner: str
    goal: str
    nonce: str
    process: str
    """Whose inbox gets the answer."""
    claim_ms: int
    """A permit that has not started this long after its grant is taken back."""
    ttl_ms: int
    """How long the lease of a started permit is valid without renewal."""
    priority: int = 0
    weight: float = 1.0
    """Of the goal among the goals of its owner."""
    owner_weight: float = 1.0
    gated: bool = False
    """A Celery message goes out only with the grant: it needs a slot of an llm worker, and waits for no process."""

    def as_dict(self) -> dict[str, Any]:
        """As scripts read it."""
        return {
            "i": self.input_tokens, "o": self.output_tokens, "u": self.micro_usd, "owner": self.owner, "goal": self.goal,
            "nonce": self.nonce, "process": self.process, "claim": self.claim_ms, "ttl": self.ttl_ms,
            "priority": max(-50_000, min(49_999, self.priority)), "weight": self.weight,
            "owner_weight": self.owner_weight, "gated": self.gated,
        }  # fmt: skip

    def as_json(self) -> str:
        """The same as an argument."""
        return json.dumps(self.as_dict())


@dataclass(frozen=True, slots=True)
class Hold:
    """A permit as its holder shows it."""

    id: str
    fence: int
    nonce: str


OUTSIDE: Final = "-"
"""In place of a process: the limits of those who call stand over the caller's."""


@dataclass(frozen=True, slots=True)
class Caller:
    """Who runs an operation, and what it has to say first."""

    limits: str
    """The account's limits by the settings, JSON."""
    process: str = ""
    """Empty for a caller that waits for nothing and never ticks; `OUTSIDE` for one that does not call models."""
    seen: int = 0
    """The highest fence it has met: a lower one in Redis means that writes were lost."""
    started: Sequence[tuple[str, int] | tuple[str, int, int]] = ()
    """Permits (id, fence, ms ago) whose calls began since the last operation of this process; two: at this moment."""
    now_ms: int | None = None
    """For simulations; None: the server's clock."""
    gate: bool = False
    """It also reads the inbox of gated calls: while any such process lives they may be granted."""
    joined: Sequence[tuple[str, Ask]] = ()
    """Waiters that join the line with this operation; their answers come through the inbox."""

    def args(self) -> list[str]:
        """The arguments that every script takes first."""
        now = "" if self.now_ms is None else str(self.now_ms)
        told: dict[str, Any] = {"started": list(self.started)} if self.started else {}
        if self.joined:
            told["joined"] = [(name, ask.as_dict()) for name, ask in self.joined]
        process = f"{self.process} gate" if self.gate else self.process
        return [now, self.limits, process, str(self.seen), json.dumps(told) if told else ""]


@dataclass(frozen=True, slots=True)
class Answer:
    """What every operation tells."""

    outcome: str
    now_ms: int
    fence: int
    """The highest so far."""
    known: bool
    """The process counted as alive before this operation."""
    alarm_ms: int
    """When this process must tick; 0: it need not."""
    rest: tuple[Any, ...]

    @classmethod
    def of(cls, reply: Sequence[Any]) -> Answer:
        """As the script gave it."""
        outcome, now, fence, known, alarm, *rest = reply
        return cls(str(outcome), int(now), int(fence), bool(known), int(alarm), tuple(rest))


@dataclass(frozen=True, slots=True)
class Word:
    """An answer to one waiter."""

    id: str
    outcome: Outcome
    detail: str
    """Fence and time (ms) of a grant, or what stands against it."""

    @property
    def fence(self) -> int:
        """Of a grant."""
        return int(self.detail.split()[0])

    @property
    def at_ms(self) -> int:
        """When it was granted, by the account's time."""
        return int(self.detail.split()[1])

    @classmethod
    def of(cls, text: str) -> Word:
        """As the script wrote it: outcome, detail, id; only the detail may hold blanks."""
        outcome, _, rest = text.partition(" ")
        detail, _, name = rest.rpartition(" ")
        return cls(name, Outcome(outcome), detail)


@dataclass(frozen=True, slots=True)
class Picture:
    """An account at one moment, as stored."""

    now_ms: int
    state: Mapping[str, Any]
    limits: Mapping[str, Any]
    owners: Sequence[tuple[str, int, Sequence[tuple[str, int, int]]]]
    leases: Sequence[tuple[str, int, Mapping[str, Any]]]
    spend: Mapping[str, int]
    budgets: Mapping[str, int]
    processes: int
    waiting: int
