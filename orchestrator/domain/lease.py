"""The right to run one node: a token that only rises and a nonce that is never repeated."""

from __future__ import annotations

from dataclasses import dataclass, field

from orchestrator.domain.trace import trace_id


@dataclass(frozen=True, slots=True)
class Lease:
    """What a claim hands out and a commit must show again, unchanged, to be accepted."""

    goal: str
    node: str
    token: int
    """The goal's fencing token: rises with every claim. Hand it to side effects so that they can refuse a stale writer."""
    nonce: str
    """Random per claim: after a failover that lost the last writes a token may repeat, the pair does not."""
    attempt: int
    """1 for the first try. Waking from a park keeps the number; a retry or a lost worker adds one."""
    created: str = field(default="", compare=False)
    """When the goal was stored, ms."""

    @property
    def trace(self) -> str:
        """The goal's trace id, 32 hexadecimal digits; empty for a lease that did not come from a claim."""
        return trace_id(self.goal, self.created) if self.created else ""
