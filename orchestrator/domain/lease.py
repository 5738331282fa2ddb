"""The right to run one node: a token that only rises and a nonce that is never repeated."""

from __future__ import annotations

from dataclasses import dataclass


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
