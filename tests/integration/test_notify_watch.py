"""Beat finds what is to be told, keeps a goal until it was, and costs nothing where nobody wants to know."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
import redis

from orchestrator.notify import health, watch
from orchestrator.notify.notice import Notice
from orchestrator.store.store import Store
from support.crew import Crew
from support.servers import until
from support.town import Town, kinds


@pytest.fixture
def town(crew: Crew) -> Town:
    return Town(crew)


def test_beat_finds_what_happens_between_and_sends_again_what_no_worker_took(town: Town) -> None:
    heard = town.on()
    town.crew.submit([{"id": "b", "call": "fail"}, {"id": "later", "kind": "approval"}])
    town.crew.work()
    assert not town.crew.mail.telling, "the goal goes on"
    town.crew.duties.sweep()
    town.crew.duties.reap()
    town.tick()
    assert list(town.crew.mail.telling) == ["g"]
    town.tick()
    assert list(town.crew.mail.telling) == ["g"], "it is not sent every second"
    assert town.tell() == ["told"]
    assert kinds(heard) == [("node.failed", "b")]
    town.crew.duties.sweep()
    town.crew.duties.reap()
    assert town.tick() == "1 goals, 0 sent", "nothing new"
    town.store.tell.ask(["g"])
    assert town.tick().endswith("1 sent")


def test_messages_do_not_pile_up_where_no_worker_takes_them(town: Town, monkeypatch: pytest.MonkeyPatch) -> None:
    town.on()
    town.run()
    town.crew.mail.telling.clear()
    real, forward = town.store.goals.clock_ms, [0]
    monkeypatch.setattr(town.store.goals, "clock_ms", lambda: real() + forward[0])
    town.store.tell.ask(["g"])
    for _ in range(24 * 60):
        town.tick()
        forward[0] += 60_000
    assert 24 <= len(town.crew.mail.telling) <= 60, "of a whole day"
    town.store.tell.ask(["g"])  # something new has happened
    sent = len(town.crew.mail.telling)
    for _ in range(3):
        town.tick()
        forward[0] += watch.RESEND_MS
    assert len(town.crew.mail.telling) >= sent + 2


def test_a_broker_that_is_slow_does_not_hold_beat_up(town: Town, monkeypatch: pytest.MonkeyPatch) -> None:
    town.on()
    sent: list[str] = []

    def send(goal: str) -> None:
        time.sleep(0.15)
        sent.append(goal)

    monkeypatch.setattr(town.notify.watch, "send", send)
    names = [f"g{at}" for at in range(10)]
    town.store.tell.ask(names)
    begun = time.monotonic()
    town.tick()
    assert time.monotonic() - begun < 1.0
    assert 1 <= len(sent) < 10
    for _ in range(10):
        town.tick()
    assert sorted(sent) == names, "each once"


def test_goals_are_looked_at_again_where_redis_went_away_meanwhile(town: Town, monkeypatch: pytest.MonkeyPatch) -> None:
    heard = town.on()
    town.run()
    town.crew.mail.telling.clear()
    town.store.tell.forget("g")
    town.notify.watch.looked("g")
    with monkeypatch.context() as patch:
        patch.setattr(town.store.tell, "news", _away)
        with pytest.raises(redis.ConnectionError):
            town.tick()
    town.tick()
    assert town.tell() == ["told"]
    assert len(heard) == 2


def _away(*_: object) -> None:
    raise redis.ConnectionError("away")


def test_without_receivers_nothing_is_done(town: Town) -> None:
    town.run()
    town.crew.duties.reap()
    assert town.tick() == "nobody is to be told"
    before = town.store.client.info("commandstats")
    town.notify.register()
    town.tick()
    town.notify.watch.ended("g")
    after = town.store.client.info("commandstats")
    changed = {name for name in after if after[name]["calls"] != before.get(name, {"calls": 0})["calls"]}
    assert changed == {"cmdstat_info"}
    assert health.checks(town.store, town.settings, town.notify) == []
    assert not list(town.store.client.scan_iter("*told*")) + list(town.store.client.scan_iter("*{control}*"))


def test_a_goal_is_removed_only_once_its_outcomes_were_told(town: Town) -> None:
    heard = town.on()
    town.run()
    town.crew.mail.telling.clear()
    gate = town.notify.watch.gate
    assert gate("g") == "its outcomes were not told to ear"
    town.tick()
    assert town.tell() == ["told"]
    assert gate("g") == ""
    assert len(heard) == 2


def test_beat_removes_it_then_and_not_before(store: Store, tmp_path: Path) -> None:
    crew = Crew(store, tmp_path, done_ttl_seconds=0.01)
    town = Town(crew)
    heard = town.on()
    town.run()
    town.crew.mail.telling.clear()
    ttl = crew.wired.upkeep.removal

    def look() -> bool:
        crew.store.goals.hasten(["g"])
        crew.duties.reap()
        ttl.tick()
        return True

    until(lambda: look() and crew.store.upkeep.put_offs().get("g"), what="the removal is put off")
    assert crew.state() == "DONE"
    town.tick()
    assert town.tell() == ["told"]
    until(lambda: look() and crew.state() == "GONE", what="it is removed")
    assert len(heard) == 2
    assert not list(crew.store.client.scan_iter("*{g}*"))


def test_but_not_kept_for_ever(crew: Crew) -> None:
    town = Town(crew, notify_keep_seconds=0.05)
    town.on()
    town.run()
    time.sleep(0.06)  # Redis time is real here
    assert town.notify.watch.gate("g") == ""
    (entry,) = town.store.tell.untold()
    assert (entry["goal"], entry["target"]) == ("g", "ear")
    assert town.store.tell.waiting() == (0, None)


def test_and_not_when_redis_is_full(town: Town) -> None:
    town.on()
    town.run()
    town.crew.mail.telling.clear()
    town.store.client.config_set("maxmemory", 1)
    try:
        town.notify.register()
        town.tick()
        assert town.notify.watch.gate("g") == ""
        assert town.store.tell.untold()[0]["why"].endswith("Redis was full")
        assert town.store.goals.remove("g") == "removed"
    finally:
        town.store.client.config_set("maxmemory", 0)


def test_a_goal_that_is_removed_while_it_is_told_leaves_no_key(town: Town) -> None:
    def remove(_: Notice) -> None:
        assert town.store.goals.remove("g") == "removed"

    town.add("remover", remove)
    town.run()
    town.tell()
    town.tick()
    town.tell()
    assert not list(town.store.client.scan_iter("*{g}*"))
    assert town.store.tell.waiting() == (0, None)


def test_receivers_that_no_worker_knows_any_more_are_forgotten(town: Town, store: Store) -> None:
    town.on()
    old = store.goals.clock_ms() - 3_700_000
    store.client.hset(store.keys.control("targets"), "seen:ear", old)
    town.notify._read = 0.0
    town.tick()
    assert "ear" in store.tell.targets(), "no worker was there: nobody could have said it"
    store.client.hset(
        store.keys.workers, "w@h",
        f'{{"name":"w@h","pid":1,"slots":1,"queues":["default"],"pool":"x","started":{old / 1000},"at_ms":{old}}}',
    )  # fmt: skip
    town.notify.watch._cleaned = 0.0
    town.tick()
    assert store.tell.targets() == {}
    store.client.delete(store.keys.workers)
