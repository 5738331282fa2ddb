"""Beat's table: each duty at its interval, late ticks are known, one that fails or has more to do keeps nobody from theirs."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

from orchestrator.engine.duty import Budget, Duty
from orchestrator.settings import Settings
from orchestrator.store.store import Store
from orchestrator.wiring import Chordal, connect

scheduling = import_module("orchestrator.beat.scheduler")


@pytest.fixture
def chordal(store: Store, tmp_path: Path) -> Iterator[Chordal]:
    one = connect(Settings(redis_url=store.url, data_dir=tmp_path))
    yield one
    one.store.close()


@pytest.fixture
def beat(chordal: Chordal, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """A beat that carries out the duties that the test puts into its table."""
    monkeypatch.setattr(scheduling, "connect", lambda: chordal)
    scheduler = scheduling.Scheduler(chordal.app, lazy=True)
    chordal.duties._table = ()
    yield scheduler
    scheduler.close()


def table(chordal: Chordal, *duties: Duty) -> None:
    chordal.duties._table = duties


def noting(into: list[str], what: str) -> Callable[[], str]:
    """A duty that notes its ticks."""

    def act() -> str:
        into.append(what)
        return what

    return act


def test_every_duty_has_its_interval_in_the_settings(chordal: Chordal) -> None:
    every = {"reap": 1.0, "scan": 1.0, "sweep": 10.0, "ttl": 1.0, "hygiene": 10.0, "metrics": 10.0, "health": 30.0}
    intervals = chordal.duties.intervals()
    assert every.items() <= intervals.items()
    doubled = {f"{name}_seconds": 2 * seconds for name, seconds in every.items()}
    slower = connect(Settings(redis_url=chordal.store.url, **doubled))  # type: ignore[arg-type]
    assert {name: slower.duties.intervals()[name] for name in every} == {name: 2 * every[name] for name in every}


def test_a_duty_that_fails_is_logged_counted_and_tried_again(
    chordal: Chordal, beat: Any, caplog: pytest.LogCaptureFixture
) -> None:
    done: list[str] = []

    def broken() -> str:
        done.append("broken")
        raise ValueError("it is broken")

    table(chordal, Duty("broken", 0.01, broken), Duty("fine", 0.01, noting(done, "fine")))
    with caplog.at_level(logging.ERROR):
        for _ in range(2):
            beat.tick()
            time.sleep(0.02)  # its interval
    assert done == ["broken", "fine"] * 2
    ticks = chordal.store.fleet.ticks()
    assert (ticks["broken"]["note"], ticks["fine"]["note"]) == ("failed: ValueError", "fine")
    assert "the duty broken failed" in caplog.text
    chordal.upkeep.meter.tick()
    assert chordal.store.upkeep.totals()["ticks_failed"] == 2


def test_a_duty_that_fails_with_work_left_is_tried_at_its_time_and_not_at_once(chordal: Chordal, beat: Any) -> None:
    done: list[str] = []

    def broken() -> str:
        done.append("broken")
        raise ValueError("it is broken")

    table(chordal, Duty("broken", 100.0, broken, lambda: True))
    for _ in range(5):
        beat.tick()
        time.sleep(2 * scheduling.BREATH_SECONDS)
    assert done == ["broken"]


def test_a_beat_that_takes_the_lock_knows_nothing_of_before(chordal: Chordal, beat: Any) -> None:
    table(chordal, Duty("one", 0.01, lambda: "one"))
    chordal.upkeep.removal.offer("g")
    beat.tick()
    assert not chordal.upkeep.removal.left()


def test_a_tick_that_is_late_says_by_how_much(chordal: Chordal, beat: Any) -> None:
    def slow() -> str:
        time.sleep(0.2)
        return "slow"

    table(chordal, Duty("slow", 0.05, slow), Duty("next", 0.05, lambda: "next"))
    beat.tick()
    beat.tick()
    ticks = chordal.store.fleet.ticks()
    assert ticks["slow"]["seconds"] >= 0.2
    assert 0.3 <= ticks["next"]["late"] < 5, "it was due 50 ms after its first tick, and waited for the slow one"
    assert ticks["next"]["beat"] == beat._name


def test_a_duty_with_work_left_comes_again_at_once_and_the_others_come_between(chordal: Chordal, beat: Any) -> None:
    left, order = [3], list[str]()

    def work() -> str:
        order.append("work")
        left[0] -= 1
        return ""

    table(
        chordal, Duty("work", 100.0, work, lambda: left[0] > 0), Duty("other", 0.001, noting(order, "other"))
    )  # fmt: skip
    for _ in range(8):
        time.sleep(min(beat.tick(), 0.05))
    assert order.count("work") == 3
    assert "work work" not in " ".join(order), order


def test_a_second_beat_stands_by_without_waiting(
    chordal: Chordal, beat: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    table(chordal, Duty("one", 0.01, lambda: "one"))
    beat.tick()
    other = connect(Settings(redis_url=chordal.store.url, data_dir=tmp_path))
    monkeypatch.setattr(scheduling, "connect", lambda: other)
    standby = scheduling.Scheduler(other.app, lazy=True)
    standby._name = "standby:1"
    begun = time.monotonic()
    assert standby.tick() == scheduling.STANDBY_SECONDS
    assert time.monotonic() - begun < 1
    assert {one.name: one.ticks for one in chordal.store.upkeep.beats()} == {beat._name: True, "standby:1": False}
    beat.lock.release()
    beat.lock = None
    standby.tick()
    assert {one.name: one.ticks for one in chordal.store.upkeep.beats()}["standby:1"]
    standby.close()
    other.store.close()


def test_a_budget_ends() -> None:
    budget = Budget(0.01)
    assert budget
    time.sleep(0.02)
    assert not budget


def test_beat_outlives_a_redis_that_takes_no_writes(
    chordal: Chordal, beat: Any, caplog: pytest.LogCaptureFixture
) -> None:
    """As one does that cannot save, or that became a replica: one line a second, no traceback, and it goes on behind it."""
    done: list[str] = []

    def writes() -> str:
        chordal.store.client.set("x", 1)
        return noting(done, "wrote")()

    table(chordal, Duty("writes", 0.01, writes))
    beat.tick()
    time.sleep(0.02)  # its interval
    chordal.store.client.config_set("min-replicas-to-write", 1)
    try:
        assert [beat.tick(), beat.tick()] == [1.0, 1.0]
    finally:
        chordal.store.client.config_set("min-replicas-to-write", 0)
    assert "Redis takes no writes (NOREPLICAS" in caplog.text
    assert "Traceback" not in caplog.text
    beat.tick()
    assert done == ["wrote", "wrote"]
