"""Beats that take turns: one that goes on after another has ticked harms no goal, and knows what that one did."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import redis

from orchestrator.engine.upkeep import removal
from orchestrator.store.fleet import Worker
from orchestrator.store.store import Store
from support.crew import Crew
from support.servers import until

Archive = Callable[[Callable[[dict[str, Any]], object]], Crew]


@pytest.fixture
def archive(store: Store, tmp_path: Path) -> Iterator[Archive]:
    """Makes a crew whose goals are archived by a function."""
    module = ModuleType("their_archive")
    sys.modules["their_archive"] = module

    def make(function: Callable[[dict[str, Any]], object]) -> Crew:
        module.__dict__["keep"] = function
        return Crew(store, tmp_path, archive_hook="their_archive:keep", done_ttl_seconds=0.001)

    yield make
    del sys.modules["their_archive"]


def ended(crew: Crew, *names: str) -> None:
    """Goals that are DONE, past their time to live, and offered."""
    for name in names:
        crew.submit([{"id": f"n{at}"} for at in range(2)], goal_id=name)
    crew.work()
    time.sleep(0.01)
    crew.store.goals.hasten(names)
    crew.duties.reap()


def gone(crew: Crew, goal: str = "g") -> None:
    """Tick until the goal is removed."""
    until(lambda: crew.upkeep.removal.tick() and crew.state(goal) == "GONE", what=f"{goal} is removed")


def test_a_beat_that_stood_still_in_a_removal_does_not_take_the_next_goal_of_that_name(
    store: Store, tmp_path: Path
) -> None:
    first, second = (Crew(store, tmp_path, done_ttl_seconds=seconds) for seconds in (0.001, 0.001))
    first.submit([{"id": f"n{at}"} for at in range(2500)])
    first.work()
    time.sleep(0.01)
    store.goals.hasten(["g"])
    first.duties.reap()
    steps = first.upkeep.removal._remove("g", store.goals.clock_ms())
    while next(steps):  # until one slice is gone
        pass
    second.upkeep.removal.offer("g")
    gone(second)
    second.submit(["fresh"])
    second.work()
    assert list(steps) == []
    assert second.state() == "DONE"
    assert store.goals.newest(0, 10) == ["g"]


def test_a_submission_that_is_taken_up_again_is_not_removed_half_way(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    crew = Crew(store, tmp_path, building_ttl_seconds=0.05)
    real, broken = store.goals._scripts.run, [True]

    def run(name: str, *args: Any) -> Any:
        if name == "submit_seal":
            if broken:
                raise redis.ConnectionError("away")
            while crew.upkeep.removal._offered or crew.upkeep.removal._going:
                crew.upkeep.removal.tick()
        return real(name, *args)

    monkeypatch.setattr(store.goals._scripts, "run", run)
    with pytest.raises(redis.ConnectionError):
        crew.submit(["a"])
    time.sleep(0.1)
    store.goals.hasten(["g"])
    assert "1 to be removed" in crew.duties.reap()
    broken.clear()
    crew.submit(["a"])
    crew.work()
    assert crew.state() == "DONE"
    crew.upkeep.meter.tick()
    assert store.upkeep.totals().get("goals_removed", 0) == 0


def test_an_archive_in_another_redis_that_is_away_is_no_matter_of_ours(archive: Archive) -> None:
    def keep(_: dict[str, Any]) -> None:
        raise redis.ConnectionError("the archive is away")

    crew = archive(keep)
    ended(crew, "g")
    until(lambda: crew.upkeep.removal.tick() and crew.store.upkeep.put_offs(), what="it is put off")
    ((_, why),) = crew.store.upkeep.put_offs().values()
    assert why == "archive_hook their_archive:keep failed: ConnectionError: the archive is away"


def test_hooks_that_hang_are_told_of_and_do_not_keep_beat_from_ending(
    archive: Archive, monkeypatch: pytest.MonkeyPatch
) -> None:
    go_on = threading.Event()
    crew = archive(lambda _: go_on.wait(30))
    ended(crew, "g")
    crew.upkeep.removal.tick()
    try:
        aside = [thread for thread in threading.enumerate() if thread.name.startswith("chordal-removal")]
        assert aside
        assert all(thread.daemon for thread in aside), "the others are waited for when a process ends"
        monkeypatch.setattr(removal, "SLOW_SECONDS", 0.0)
        crew.upkeep.removal.tick()
        ((_, why),) = crew.store.upkeep.put_offs().values()
        assert "archive_hook their_archive:keep" in why
    finally:
        go_on.set()
    gone(crew)
    assert crew.store.upkeep.put_offs() == {}


def test_a_removal_that_nobody_puts_off_any_more_is_forgotten(crew: Crew) -> None:
    now = crew.store.goals.clock_ms()
    crew.store.upkeep.put_off("retried", "its archive was full", now - removal.OUTDATED_MS - 1000)
    crew.store.upkeep.put_off("kept", "its archive is full", now)
    assert crew.upkeep.removal.tick().endswith("1 put off")
    assert list(crew.store.upkeep.put_offs()) == ["kept"]


def test_a_beat_that_takes_over_again_forgets_what_it_had_begun(crew: Crew) -> None:
    ended(crew, "g")
    crew.upkeep.removal.offer("g")
    crew.upkeep.anew()
    assert crew.upkeep.removal.tick() == "0 removed, 0 to go"
    assert crew.state() == "DONE"


def test_a_beat_that_takes_over_again_reads_the_roll(crew: Crew) -> None:
    crew.duties.scan()
    other = Crew(crew.store, crew.wired.settings.data_dir)
    crew.store.fleet.beat(Worker("w@host", 7, 2, ("default",), "prefork", 0.0))
    other.duties.scan()
    crew.store.fleet.leave("w@host")
    other.duties.scan()
    (before,) = crew.store.upkeep.roll()
    crew.upkeep.anew()
    assert "1 workers" not in crew.duties.scan()
    assert crew.upkeep.roll._known == {"w@host": before}


def test_a_beat_that_takes_over_does_not_say_that_no_goal_is_open(crew: Crew) -> None:
    crew.submit([{"id": "a", "kind": "approval"}])
    crew.store.goals.hasten(["g"])
    crew.duties.reap()
    crew.upkeep.meter.tick()
    assert crew.store.upkeep.levels()["goals_open"] == 1
    other = Crew(crew.store, crew.wired.settings.data_dir)
    other.upkeep.meter.tick()
    assert crew.store.upkeep.levels()["goals_open"] == 1
    other.upkeep.meter._since -= 100
    other.upkeep.meter.tick()
    assert crew.store.upkeep.levels()["goals_open"] == 0, "it has looked at all of them by then"
