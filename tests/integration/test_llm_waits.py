"""Calls of nodes that wait: for how long, over pauses and cancels, behind other limits, in memory that is full."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from redis.exceptions import OutOfMemoryError

from orchestrator.gate.parts import ModelParts
from orchestrator.settings import Settings
from orchestrator.store.store import Store
from support.calls import Calls
from support.servers import until


def test_a_wait_that_runs_out_says_so(calls: Callable[..., Calls]) -> None:
    one = calls(wait_seconds=60.0)
    one.limiter.drain("first")
    one.submit("hello")
    one.work()
    assert one.limiter.status("first").waiting == 1
    one.later(31)
    one.work()
    assert one.crew.states() == {"n0": "WAITING"}, "it was looked after, and still waits"
    assert one.limiter.status("first").waiting == 1
    record = json.loads(one.crew.store.goals.part("g", "parked")["n0"])
    record["resume"] = record["resume"].replace(str(_asked_ms(record)), str(_asked_ms(record) - 61_000))
    one.crew.store.client.hset(one.crew.store.keys.part("g", "parked"), "n0", json.dumps(record))
    one.later(61)
    one.work()
    assert one.crew.state() == "FAILED"
    assert "no turn within 60 s" in one.failure()
    assert "drained" in one.failure()
    assert one.limiter.status("first").waiting == 0


def _asked_ms(record: dict[str, Any]) -> int:
    return int(json.loads(record["resume"].removeprefix("llm:"))[3])


def test_a_pause_is_not_part_of_the_wait(calls: Callable[..., Calls]) -> None:
    one = calls(wait_seconds=60.0, total_seconds=60.0)
    one.limiter.drain("first")
    one.submit("hello")
    one.work()
    one.crew.control.pause("g")
    record = json.loads(one.crew.store.goals.part("g", "parked")["n0"])
    for at in (2, 3):
        began = int(json.loads(record["resume"].removeprefix("llm:"))[at])
        record["resume"] = record["resume"].replace(str(began), str(began - 3_600_000))
    one.crew.store.client.hset(one.crew.store.keys.part("g", "parked"), "n0", json.dumps(record))
    one.crew.control.resume("g")
    one.later(31)
    one.work()
    assert one.crew.states() == {"n0": "WAITING"}
    one.limiter.drain("first", on=False)
    until(lambda: len(one.crew.mail.words) == 1, what="a word")
    one.work()
    assert one.crew.state() == "DONE"


def test_who_knows_of_no_models_cancels_and_removes_goals_with_calls(
    calls: Callable[..., Calls], monkeypatch: pytest.MonkeyPatch
) -> None:
    one = calls()
    one.limiter.drain("first")
    one.submit(*["hello"] * 5, budget={"tokens": 10_000})
    one.work()
    other = ModelParts(
        Settings(llm_file=Path("nowhere.yaml")), one.crew.store, one.crew.models.committer, print, print, {}
    )
    monkeypatch.setattr(one.crew.control, "_withdraw", other.withdraw)
    monkeypatch.setattr(one.crew.upkeep.removal, "forget_calls", other.forget)
    one.crew.control.cancel("g")
    assert one.limiter.status("first").waiting == 0
    assert not one.crew.mail.words, "nobody is told of calls whose nodes are cancelled"
    one.crew.store.client.hset(one.crew.store.keys.goal("g"), "ended", 0)
    one.crew.store.goals.expect("g")
    one.crew.duties.reap()
    one.crew.upkeep.removal.tick()
    assert one.crew.state() == "GONE"
    assert one.limiter.status("first").budgets == {}
    assert one.limiter.status("first").usage["concurrent"].limit == 4, "it brought no limits of its own"


def test_a_model_with_a_line_of_its_own_gives_way_when_its_account_refuses(calls: Callable[..., Calls]) -> None:
    models = {"a": {"account": "first", "limits": {"concurrency": 2}}, "b": {"account": "second"}}
    one = calls(models=models)
    one.submit("hello")
    one.crew.work()
    one.limiter.open_breaker("first", 60, "it burns")
    one.work()
    assert [call.model for call in one.provider.calls] == ["b"]
    assert not one.limiter.status("first/a").leases


def test_a_call_that_its_account_has_no_room_for_parks_again(calls: Callable[..., Calls]) -> None:
    one = calls(models={"a": {"account": "first", "limits": {"concurrency": 2}}}, chains={})
    one.limiter.drain("first")
    one.submit("hello")
    one.work()
    assert one.crew.states() == {"n0": "WAITING"}
    assert json.loads(one.crew.store.goals.part("g", "parked")["n0"])["reason"] == "backoff"
    one.limiter.drain("first", on=False)
    one.later(2)
    one.work()
    assert one.crew.state() == "DONE"


def test_a_goal_that_is_gone_is_not_brought_back_by_a_call(store: Store) -> None:
    assert store.goals.use_account("ghost", "first") == "gone"
    assert store.goals.field("ghost", "llm") is None


def test_a_piece_that_cannot_be_written_costs_nothing_else(
    calls: Callable[..., Calls], monkeypatch: pytest.MonkeyPatch
) -> None:
    one = calls()

    def full(*_: object) -> None:
        raise OutOfMemoryError("command not allowed when used memory > 'maxmemory'")

    monkeypatch.setattr(one.crew.store.chunks, "add", full)
    one.submit({"prompt": "hello", "stream": True})
    one.work()
    assert one.crew.state() == "DONE"
