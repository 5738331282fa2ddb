"""Limits and costs: what they accept and what the scripts get to see."""

from __future__ import annotations

import json

import pytest

from orchestrator.llm.errors import WaitOver
from orchestrator.llm.limits import NAMES, Cost, Limits, override_json
from orchestrator.store.llm_records import Ask, Caller, Outcome, Word


def test_what_does_not_bind_is_left_out() -> None:
    assert json.loads(Limits(requests_per_minute=5, concurrency=2).as_json()) == {
        "window": 60_000, "burst": 1000.0, "breaker_failures": 5, "breaker_ms": 10_000, "requests": 5, "concurrent": 2,
    }  # fmt: skip


def test_every_limit_that_binds_can_be_set_at_run_time() -> None:
    assert set(NAMES) == set(Limits().binding())
    assert all(hasattr(Limits(), field) for field in NAMES.values())


def test_the_burst_is_a_sixtieth_of_the_window_unless_it_is_given() -> None:
    assert json.loads(Limits(window_seconds=3).as_json())["burst"] == 50
    assert json.loads(Limits(window_seconds=3, burst_seconds=2).as_json())["burst"] == 2000


@pytest.mark.parametrize(
    "wrong",
    [
        {"requests_per_minute": 0}, {"tokens_per_minute": -1}, {"concurrency": 0}, {"window_seconds": 0.01},
        {"burst_seconds": -1}, {"breaker_failures": 0}, {"window_seconds": float("nan")},
    ],
)  # fmt: skip
def test_a_limit_that_makes_no_sense_is_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong))):
        Limits(**wrong)  # type: ignore[arg-type]


def test_a_limit_set_at_run_time_may_be_lifted() -> None:
    assert json.loads(override_json({"requests_per_minute": 7, "concurrency": None})) == {
        "requests": 7,
        "concurrent": False,
    }
    for wrong in ({"window_seconds": 3}, {"requests_per_minute": 0}):
        with pytest.raises(ValueError, match=next(iter(wrong))):
            override_json(wrong)


def test_a_cost_is_never_negative() -> None:
    assert Cost(3, 4).tokens == 7
    with pytest.raises(ValueError, match="output_tokens"):
        Cost(1, -1)


def test_the_words_of_the_scripts_are_read() -> None:
    granted = Word.of("granted 12 1700000000000 c1")
    assert (granted.id, granted.outcome, granted.fence, granted.at_ms) == ("c1", Outcome.GRANTED, 12, 1_700_000_000_000)
    assert Word.of("breaker no quota left c2") == Word("c2", Outcome.BREAKER, "no quota left")


def test_a_priority_stays_within_what_the_order_of_the_line_can_hold() -> None:
    for asked, kept in ((10**9, 49_999), (-(10**9), -50_000), (3, 3)):
        assert json.loads(Ask(0, 0, 0, "o", "", "n", "p", 1, 1, asked).as_json())["priority"] == kept


def test_the_time_of_a_simulation_replaces_that_of_the_server() -> None:
    assert Caller("{}").args()[0] == ""
    assert Caller("{}", now_ms=5).args()[0] == "5"


def test_a_wait_that_ran_out_says_where_it_stood() -> None:
    error = WaitOver("acme", 2.5, 3, "requests (10 of 10)")
    assert (
        str(error)
        == "account acme: no turn within 2.5 s, 3 of its own goal before it; it waited for requests (10 of 10)"
    )
    assert (error.account, error.seconds, error.before) == ("acme", 2.5, 3)
