"""What the fleet learnt about lengths of answers, as one process sees it."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from redis.exceptions import ConnectionError as Away

from orchestrator.llm import estimates
from orchestrator.llm.estimates import UNKNOWN_TOKENS, SharedEstimates


class Fleet:
    """Lengths by account, model and role, and how often they were read."""

    def __init__(self) -> None:
        self.lengths: dict[tuple[str, str, str], list[int]] = {}
        self.read: list[tuple[str, str, str]] = []
        self.away = False
        self.now = 0.0

    def learned(self, account: str, model: str, role: str) -> Sequence[int]:
        if self.away:
            raise Away("no")
        self.read.append((account, model, role))
        return self.lengths.get((account, model, role), [])

    def seen(self) -> SharedEstimates:
        return SharedEstimates(self.learned, {"m": "acme"}, lambda: self.now)


def test_lengths_are_read_from_the_models_account_and_again_after_five_seconds() -> None:
    fleet = Fleet()
    shared = fleet.seen()
    assert shared.tokens("m", "judge") == UNKNOWN_TOKENS
    fleet.lengths["acme", "m", "judge"] = [200] * 30
    fleet.now = 4.9
    assert shared.tokens("m", "judge") == UNKNOWN_TOKENS
    fleet.now = 5.0
    assert shared.tokens("m", "judge") == 221
    assert fleet.read == [("acme", "m", "judge")] * 2
    shared.observe("m", "judge", 9000)
    assert shared.tokens("m", "judge") == 221, "permits keep the lengths, not this"
    assert shared.tokens("m", "other") == UNKNOWN_TOKENS


def test_while_redis_is_away_the_last_length_stands() -> None:
    fleet = Fleet()
    fleet.lengths["acme", "m", ""] = [200] * 30
    shared = fleet.seen()
    assert shared.tokens("m", "") == 221
    fleet.away, fleet.now = True, 60.0
    assert shared.tokens("m", "") == 221
    assert shared.tokens("m", "new") == UNKNOWN_TOKENS


def test_roles_without_number_do_not_fill_the_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(estimates, "ROLES", 2)
    fleet = Fleet()
    shared = fleet.seen()
    for role in ("a", "b", "c", "c", "a"):
        shared.tokens("m", role)
    assert [role for *_, role in fleet.read] == ["a", "b", "c", "a"], "a was dropped, c was still known"
