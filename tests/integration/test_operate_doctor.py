"""`doctor` against a real server: what it says of one that is well, of rights that are missing, of what nobody serves."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from orchestrator.domain.errors import RedisRefuses
from orchestrator.domain.views import Check
from orchestrator.operate.check_redis import persistence_check
from orchestrator.operate.operator import Operator
from orchestrator.settings import Settings
from orchestrator.store.fleet import Tick, Worker
from orchestrator.store.keys import Keys
from orchestrator.store.store import Store
from orchestrator.store.upkeep import Beat, Enrolled, Sample
from orchestrator.wiring import Chordal, connect
from support.crew import Crew
from support.servers import server


@pytest.fixture
def door(store: Store, tmp_path: Path) -> Iterator[Chordal]:
    """The facade on the test's server, with a fleet as far as Redis knows."""
    made = connect(Settings(redis_url=store.url, data_dir=tmp_path))
    made.store.fleet.beat(Worker("w1@a", 7, 4, ("default",), "prefork", 0.0))
    tick(made)
    yield made
    made.store.close()


def tick(door: Chordal, note: str = "well", seconds: float = 0.01, late: float = 0.0) -> None:
    ticks = {name: Tick(seconds, every, note, late) for name, every in door.duties.intervals().items()}
    door.store.fleet.record_ticks(ticks)
    now = door.store.fleet.clock_ms()
    door.store.upkeep.say(Beat("node1:1", now, True, now))
    door.store.upkeep.say(Beat("node2:2", now, False, now))


def found(door: Chordal) -> dict[str, Check]:
    return {check.name: check for check in door.doctor()}


def test_a_fleet_that_is_well(door: Chordal) -> None:
    checks = found(door)
    assert [name for name, check in checks.items() if check.ok is False] == []
    assert [name for name, check in checks.items() if check.ok is None] == ["memory forecast"]
    assert re.fullmatch(r"node1:1 ticks \(for \d\.\d s\); stands by: node2:2", checks["beat"].detail)
    assert set(checks) >= {
        "Redis version", "eviction policy", "persistence", "latency", "memory", "rights", "clock", "Celery settings",
        "beat: reap", "beat: ttl", "worker w1@a", "workers", "queue default", "goals",
    }  # fmt: skip


def test_a_duty_that_is_late_failed_or_slow_is_told(door: Chordal) -> None:
    past = door.store.fleet.clock_ms() - 60_000
    door.store.client.hset(door.store.keys.ticks, "sweep", f'{{"at_ms":{past},"seconds":0.1,"interval":10,"note":"x"}}')
    door.store.fleet.record_ticks({"ttl": Tick(0.1, 1.0, "failed: KeyError"), "hygiene": Tick(4.0, 10.0, "x")})
    checks = found(door)
    assert [checks[f"beat: {name}"].ok for name in ("sweep", "ttl", "hygiene", "reap")] == [False, False, None, True]
    assert checks["beat: sweep"].detail.startswith("LATE: 60.")
    assert checks["beat"].ok


def test_without_a_beat_only_that_is_told(door: Chordal) -> None:
    door.store.client.delete(door.store.keys.ticks)
    checks = found(door)
    assert checks["beat"].ok is False
    assert "celery -A orchestrator beat" in checks["beat"].remedy
    assert [name for name in checks if name.startswith("beat: ")] == []


def test_the_dead_are_told_for_an_hour_and_a_forecast_is_made(door: Chordal) -> None:
    now = door.store.fleet.clock_ms()
    door.store.upkeep.enrol([Enrolled(name="w9@b", state="dead", since_ms=now, first_ms=0, heard_ms=now - 9000, slots=2,
                                      queues=("gpu",), pid=9)], ())  # fmt: skip
    for minute in range(10):
        door.store.upkeep.sample(Sample(now + minute * 60_000, minute << 20, 100 << 20, 0.1, 0))
    checks = found(door)
    assert "silent, heard 9." in checks["worker w9@b"].detail
    assert "+60.0 MiB an hour" in checks["memory forecast"].detail


def test_a_queue_that_a_goal_wants_and_nobody_serves(door: Chordal) -> None:
    goal = door.submit({"goal_id": "g", "nodes": [{"id": "a", "queue": "gpu"}]})
    checks = found(door)
    assert (checks["queue gpu"].ok, checks["queue gpu"].detail[:33]) == (False, "1 messages wait, the oldest for 0")
    assert checks[f"goal {goal}"].ok is False
    assert checks["goals"].detail == "1 open"


def test_rights_that_are_missing_are_named_without_doing_harm() -> None:
    with server() as own:
        admin = Store(own.url, Keys(), 2000)
        admin.client.execute_command("ACL", "SETUSER", "reader", "on", ">secret", "~*", "+@read", "+ping", "+client", "+info",
                                     "+config|get", "+time", "+hello", "+select")  # fmt: skip
        before = admin.client.dbsize()
        url = own.url.replace("unix://", "unix://reader:secret@")
        refused = Store(url, Keys(), 2000).look.refused()
        assert {one.split()[0] for one in refused} >= {"EVALSHA", "HDEL", "ZREM", "LREM", "XTRIM"}
        assert all(one.split()[0] not in ("GET", "SCAN", "INFO", "TIME") for one in refused), refused
        assert admin.look.refused() == []
        assert admin.client.dbsize() == before
        admin.close()


def test_one_kind_of_check_that_cannot_be_made_does_not_hide_the_others(
    door: Chordal, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: Any) -> Any:
        raise KeyError("new field")

    monkeypatch.setattr("orchestrator.operate.doctor.model_checks", broken)
    checks = found(door)
    assert (checks["models"].ok, "KeyError" in checks["models"].detail) == (None, True)
    assert "goals" in checks


@pytest.fixture
def takes_no_writes(door: Chordal) -> Iterator[None]:
    """The server refuses every write, as one does that cannot save, or that became a replica."""
    door.store.client.config_set("min-replicas-to-write", 1)
    yield
    door.store.client.config_set("min-replicas-to-write", 0)


@pytest.mark.usefixtures("takes_no_writes")
def test_a_redis_that_takes_no_writes_is_named_first(door: Chordal) -> None:
    checks = found(door)
    assert next(iter(checks)) == "writes"
    assert (checks["writes"].ok, "NOREPLICAS" in checks["writes"].detail) == (False, True)
    assert "min-replicas-to-write" in checks["writes"].remedy
    assert {"Redis version", "persistence", "memory", "rights", "clock"} <= set(checks), "the others are made, too"


@pytest.mark.usefixtures("takes_no_writes")
def test_what_redis_does_not_take_is_said_in_one_sentence(door: Chordal) -> None:
    with pytest.raises(RedisRefuses, match="NOREPLICAS"):
        door.submit({"nodes": [{"id": "a"}]})


def test_a_replica_is_named_as_one(door: Chordal) -> None:
    door.store.client.replicaof("127.0.0.1", 1)
    try:
        check = found(door)["writes"]
    finally:
        door.store.client.replicaof("NO", "ONE")
    assert (check.ok, "READONLY" in check.detail, "primary" in check.remedy) == (False, True, True)


def test_a_snapshot_that_failed_is_told() -> None:
    check = persistence_check({"aof_enabled": 1, "rdb_last_bgsave_status": "err"})
    assert (check.ok, check.detail) == (False, "the last snapshot failed")


def test_looking_changes_nothing(crew: Crew, own_digest: Callable[[], dict[str, bytes]]) -> None:
    crew.submit(
        [{"id": "a", "kind": "approval"}, {"id": "b", "kind": "wait", "inputs": {"seconds": 60}}, "c"], [("a", "c")]
    )
    crew.work()
    before = own_digest()
    view: Operator = crew.wired.operator
    view.why("g")
    view.why("g", "c")
    view.fleet()
    view.letters()
    view.history()
    view.audit()
    list(view.checks())
    assert own_digest() == before


@pytest.fixture
def own_digest(store: Store) -> Callable[[], dict[str, bytes]]:
    """Every key with its content."""
    import redis

    raw: Any = redis.Redis(unix_socket_path=store.url.removeprefix("unix://"))
    return lambda: {key.decode(): raw.dump(key) for key in sorted(raw.keys("*"))}
