"""The page of the invariants says what the checker says, and names every event that its rules ask for."""

from __future__ import annotations

import pytest

from orchestrator.domain.events import EventType
from orchestrator.events.rules import RULES
from orchestrator.events.violation import INVARIANTS
from support.house import ROOT

PAGE = (ROOT / "docs/reference/invariants.md").read_text("utf-8")


@pytest.mark.parametrize("invariant", INVARIANTS)
def test_every_invariant_is_there_in_the_checkers_words(invariant: str) -> None:
    assert f"| {invariant} | {INVARIANTS[invariant]} |" in PAGE


def test_every_event_that_is_still_to_come_is_there() -> None:
    asked = {kind for rule in RULES for kind in rule.types} - {kind.value for kind in EventType}
    assert asked
    assert all(f"| `{kind}` |" in PAGE for kind in asked)


def test_the_rules_cover_what_a_history_shows() -> None:
    assert {rule.invariant for rule in RULES} == set(INVARIANTS) - {"I4", "I10", "I12"}
