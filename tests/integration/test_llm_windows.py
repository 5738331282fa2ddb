"""Windows of requests and tokens, pacing and limits set at run time: one rule a test, with time in the test's hand."""

from __future__ import annotations

from typing import Any

import pytest

from orchestrator.llm.limits import override_json

MINUTE = 60_000


def test_a_window_of_requests_is_exact_to_a_cell(desk: Any) -> None:
    line = desk(requests_per_minute=2)
    assert [line.ask("a"), line.ask("b"), line.ask("c")] == ["granted", "granted", "queued 1"]
    line.tick("a", "b")
    end = line.now // 20 * 20 + 20 + MINUTE
    line.later(end - 1 - line.now).beat()
    assert line.inbox() == {}
    line.later(1).tick()
    assert line.inbox() == {"c": "granted"}


@pytest.mark.parametrize(
    ("limits", "fields"),
    [
        ({"input_tokens_per_minute": 100}, {"input_tokens": 51, "output_tokens": 1000}),
        ({"output_tokens_per_minute": 100}, {"input_tokens": 1000, "output_tokens": 51}),
        ({"tokens_per_minute": 100}, {"input_tokens": 25, "output_tokens": 26}),
    ],
)
def test_each_limit_of_tokens_binds_by_itself(desk: Any, limits: dict[str, int], fields: dict[str, int]) -> None:
    line = desk(**limits)
    assert line.ask("a", **fields) == "granted"
    assert line.ask("b", **fields) == "queued 1"
    assert line.end("a") == "settled"
    assert line.inbox() == {"b": "granted"}


def test_where_reservations_are_charged_only_what_was_never_sent_comes_back(desk: Any) -> None:
    line = desk(tokens_per_minute=100, charges="reserved")
    assert [line.ask("a", 50), line.ask("b", 50), line.ask("c", 50)] == ["granted", "granted", "queued 1"]
    line.end("a", 10)
    assert line.inbox() == {}, "the provider counts all 50"
    line.end("b", 0)
    assert line.inbox() == {"c": "granted"}
    line.end("c", 60)
    assert line.seen_now().usage["input"].used == 110, "what was used beyond the reservation counts too"


def test_without_limits_everything_goes_out(desk: Any) -> None:
    line = desk()
    assert {line.ask(f"c{index}", 10**9) for index in range(50)} == {"granted"}


def test_a_late_start_stays_in_the_window_from_its_start(desk: Any) -> None:
    line = desk(requests_per_minute=1, window_seconds=2.0)
    line.ask("a")
    line.later(900).tick("a")
    assert line.ask("b") == "queued 1"
    line.later(1900).beat("a")
    assert line.inbox() == {}, "2.8 s after the grant, 1.9 s after the start"
    line.later(110).tick()
    assert line.inbox() == {"b": "granted"}


def test_what_was_not_used_goes_back_into_the_cell_it_was_charged_in(desk: Any) -> None:
    line = desk(tokens_per_minute=100, window_seconds=10.0)
    line.ask("a", 100)
    line.tick("a")
    line.later(4000).end("a", 30)
    assert line.seen_now().usage["tokens"].used == 30
    assert line.ask("b", 70) == "granted"
    line.tick("b")
    line.later(6100).tick()
    assert line.seen_now().usage["tokens"].used == 70, "only what a used has left"


def test_more_than_was_reserved_counts_too(desk: Any) -> None:
    line = desk(tokens_per_minute=100)
    line.ask("a", 10)
    line.end("a", 95)
    assert line.ask("b", 6) == "queued 1"


def test_a_settlement_behind_the_window_changes_nothing(desk: Any) -> None:
    line = desk(tokens_per_minute=100, window_seconds=1.0)
    line.ask("a", 100)
    line.tick("a")
    line.later(1500).end("a", 5)
    assert line.seen_now().usage["tokens"].used == 0


def test_a_call_above_a_limit_is_refused_at_once_and_in_line(desk: Any) -> None:
    line = desk(tokens_per_minute=100)
    assert line.ask("a", 101) == "too_large tokens"
    line.ask("b", 100)
    assert line.ask("c", 80) == "queued 1"
    line.adjust("limits", override_json({"tokens_per_minute": 50}))
    assert line.inbox() == {"c": "too_large tokens"}


def test_limits_that_an_operator_sets_stand_over_the_settings_until_they_are_taken_back(desk: Any) -> None:
    line = desk(requests_per_minute=1)
    line.ask("a")
    assert line.ask("b") == "queued 1"
    line.adjust("limits", override_json({"requests_per_minute": 2}))
    assert line.inbox() == {"b": "granted"}
    line.adjust("limits", override_json({"requests_per_minute": None}))
    assert line.ask("c") == "granted"
    line.adjust("limits")
    assert line.ask("d") == "queued 1"
    assert line.seen_now().usage["requests"].limit == 1


def test_calls_go_out_evenly_behind_the_burst(desk: Any) -> None:
    line = desk(requests_per_minute=60, burst_seconds=2.0)
    answers = [line.ask(f"c{index}") for index in range(5)]
    assert answers == ["granted", "granted", "queued 1", "queued 2", "queued 3"]
    for _ in range(3):
        assert line.inbox() == {}
        line.later(1000).tick()
        assert list(line.inbox().values()) == ["granted"]


def test_time_never_goes_back(desk: Any) -> None:
    line = desk(requests_per_minute=1, window_seconds=1.0)
    line.ask("a")
    line.tick("a")
    assert line.later(-5000).tick().now_ms == line.now + 5000
    assert line.ask("b") == "queued 1"
