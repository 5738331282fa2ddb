"""What `doctor` makes of what it reads: verdicts and the words that matter."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from orchestrator.app import configuration
from orchestrator.llm.status import Snapshot, Usage
from orchestrator.operate import check_redis as redis
from orchestrator.operate.celery_settings import PROMISES, settings_faults
from orchestrator.operate.check_broker import Depth, queue_check
from orchestrator.operate.check_models import account_check
from orchestrator.operate.check_workers import hold_checks, worker_checks
from orchestrator.operate.facts import FleetFacts, Said, WorkerFacts
from orchestrator.settings import Settings
from orchestrator.store.upkeep import Sample

HOUR = 3_600_000
MIB = 1_048_576
W1 = WorkerFacts("w1@a", 7, 2, ("default",), "prefork", 1000, alive=True, holds=(("g", "a"), ("g", "b"), ("h", "c")))


@pytest.mark.parametrize(
    ("info", "verdict"),
    [
        ({"redis_version": "6.2.19"}, False), ({"redis_version": "6.2.20"}, True), ({"redis_version": "5.0.7"}, False),
        ({"redis_version": "7.0.15"}, None), ({"redis_version": "7.2.10"}, False), ({"redis_version": "7.4.6"}, True),
        ({"redis_version": "8.2.2"}, True), ({"redis_version": "8.4.0"}, True), ({"redis_version": "255.255.255"}, True),
        ({"valkey_version": "8.1.3", "redis_version": "7.2.4"}, False), ({"valkey_version": "9.1.2", "redis_version": "7.2.4"}, True),
        ({"valkey_version": "7.2.11"}, True),
    ],
)  # fmt: skip
def test_versions_with_the_hole_in_scripts_are_named(info: dict[str, str], verdict: bool | None) -> None:
    check = redis.version_check(info)
    assert check.ok is verdict
    assert ("CVE-2025-49844" in check.detail) is (verdict is not True)
    assert bool(check.remedy) is (verdict is not True)


@pytest.mark.parametrize(
    ("info", "words"),
    [
        ({"aof_enabled": 0}, "off"), ({"aof_enabled": 1, "aof_last_write_status": "err"}, "last write"),
        ({"aof_enabled": 1, "aof_last_bgrewrite_status": "err"}, "last rewrite"),
    ],
)  # fmt: skip
def test_persistence_that_fails_is_found(info: dict[str, Any], words: str) -> None:
    check = redis.persistence_check(info)
    assert check.ok is False
    assert words in check.detail
    assert redis.persistence_check({"aof_enabled": 1, "aof_last_write_status": "ok"}).ok


@pytest.mark.parametrize(("slowest", "verdict"), [(0.001, True), (0.1, None), (0.9, False)])
def test_the_slowest_round_trip_counts(slowest: float, verdict: bool | None) -> None:
    assert redis.latency_check([0.0005] * 49 + [slowest]).ok is verdict


@pytest.mark.parametrize(
    ("used", "verdict", "words"), [(79, True, "79 MiB of 100 MiB"), (81, False, ""), (100, False, "Redis is full")]
)
def test_memory_against_its_limit(used: int, verdict: bool, words: str) -> None:
    check = redis.memory_check({"maxmemory": 100 * MIB, "used_memory": used * MIB}, 3)
    assert check.ok is verdict
    assert words in check.detail
    assert "writes refused since it started: 3" in check.detail
    assert redis.memory_check({"used_memory": 5}, 0).detail == "0 MiB, no limit set"


def samples(step: int, count: int = 11, limit: int = 1000) -> list[Sample]:
    """A sample every six minutes, growing by so many MiB each."""
    return [Sample(at * HOUR // 10, (100 + at * step) * MIB, limit * MIB, 0.1, 0) for at in range(count)]


def test_the_forecast_follows_the_slope() -> None:
    check = redis.forecast_check(samples(10), 0)
    assert check.ok is None
    assert check.detail == "+100.0 MiB an hour over the last 1 h 00 min: full in 8 h 00 min"
    assert redis.forecast_check(samples(80), 0).ok is False, "within the hour"
    assert redis.forecast_check(samples(1), 0).ok is True, "in three days"
    assert redis.forecast_check(samples(0), 0).detail.startswith("it does not grow")
    assert redis.forecast_check(samples(10, count=3), 0).ok is None, "too few to tell"
    assert redis.hours_left(samples(10, limit=0), 2100 * MIB)[0] == pytest.approx(19.0), "without a limit the machine's"
    assert redis.hours_left(samples(10, limit=0), 0)[0] is None


def test_rights_and_clock() -> None:
    assert redis.rights_check([]).ok
    assert "EVALSHA" in redis.rights_check(["EVALSHA (no permissions)"]).detail
    assert redis.rights_check(["EVALSHA"]).ok is False
    assert [redis.clock_check(ahead).ok for ahead in (0.1, -1.9, 3.0, -3600.0)] == [True, True, None, None]
    assert "Redis is 3600.0 s behind this machine" in redis.clock_check(-3600.0).detail


def app(**changes: Any) -> Any:
    return SimpleNamespace(
        conf=configuration(Settings()) | {"task_always_eager": False, "task_ignore_result": False} | changes
    )


OTHERWISE: dict[str, Any] = {
    "task_acks_late": False, "task_reject_on_worker_lost": True, "worker_cancel_long_running_tasks_on_connection_loss": True,
    "worker_prefetch_multiplier": 4, "accept_content": ["json", "pickle"], "result_accept_content": ["pickle"],
    "task_serializer": "pickle", "result_serializer": "yaml", "result_backend": "redis://secret@x/0",
    "worker_consumer": "celery.worker.consumer:Consumer", "beat_scheduler": "celery.beat:PersistentScheduler",
    "task_always_eager": True, "task_ignore_result": True,
}  # fmt: skip


def test_settings_as_they_are_break_nothing() -> None:
    assert settings_faults(app(), Settings()) == []


@pytest.mark.parametrize("name", PROMISES)
def test_each_setting_that_a_promise_needs_is_watched(name: str) -> None:
    (fault,) = settings_faults(app(**{name: OTHERWISE[name]}), Settings())
    assert fault.startswith(f"{name} is ")
    assert "secret" not in fault


def test_prefetch_of_the_command_line_and_short_visibility_are_found() -> None:
    assert "--prefetch-multiplier is 4" in settings_faults(app(), Settings(), prefetch=4)[0]
    assert "run twice" in settings_faults(app(broker_transport_options={"visibility_timeout": 30}), Settings())[0]


def test_workers_tell_what_they_hold_and_what_is_wrong_with_them() -> None:
    gone = WorkerFacts("w2@a", 8, 1, ("gpu",), "prefork", 1000, alive=False, holds=(("g", "x"),))
    odd = WorkerFacts("w3@a", 9, 1, ("gpu",), "prefork", 1000, alive=True, faults=("task_acks_late is False: lost",))
    first, second, third, every = worker_checks(FleetFacts(2000, (W1, gone, odd)))
    assert (first.ok, "holds 2 of g, h/c" in first.detail) == (True, True)
    assert (second.ok, "silent, heard 1.0 s ago, holds g/x" in second.detail) == (False, True)
    assert (third.ok, "task_acks_late is False" in third.detail) == (False, True)
    assert (every.ok, every.detail) == (True, "2 alive with 3 slots")
    assert [check.ok for check in worker_checks(FleetFacts(2000))] == [False]


def test_holds_tell_by_whom_and_how_they_end() -> None:
    who = Said("cli:ann", "deploy", 1000)
    holds = {"fleet": who, "queue:gpu": who, "agent:*/ada": who, "agent:acme/eve": who}
    found = {check.name: check for check in hold_checks(FleetFacts(2000, holds=holds))}
    assert [check.remedy for check in found.values()] == [
        "chordal release --all", "chordal release --queue gpu", "chordal release --agent ada",
        "chordal release --agent eve --owner acme",
    ]  # fmt: skip
    assert all('by cli:ann 1.0 s ago, because "deploy"' in check.detail for check in found.values())
    assert all(check.ok is None for check in found.values())


@pytest.mark.parametrize(
    ("depth", "served", "verdict"),
    [(Depth("q", 0, None), 1, True), (Depth("q", 5, 2.0), 1, True), (Depth("q", 5, 2.0), 0, False),
     (Depth("q", 5, 90.0), 1, None), (Depth("q", 5000, None), 1, None)],
)  # fmt: skip
def test_a_queue_by_its_depth_its_age_and_who_serves_it(depth: Depth, served: int, verdict: bool | None) -> None:
    assert queue_check(depth, served).ok is verdict


def account(**fields: Any) -> Snapshot:
    usage = {name: Usage(None, None, 0) for name in ("requests", "input", "output", "tokens", "concurrent")}
    plain: dict[str, Any] = {
        "account": "acme", "at_ms": 0, "window_seconds": 60.0, "usage": usage, "waiting": 0, "owners": {}, "flows": (),
        "leases": (), "factor": 1.0, "hold_seconds": 0.0, "hold_reason": "", "breaker": "closed", "breaker_seconds": 0.0,
        "breaker_reason": "", "draining": False, "slots": 4, "processes": 0, "spend": {}, "budgets": {},
    }  # fmt: skip
    return Snapshot(**(plain | fields))


@pytest.mark.parametrize(
    ("fields", "verdict", "words"),
    [
        ({}, True, "0 wait"), ({"breaker": "open", "breaker_reason": "quota"}, False, "quota"),
        ({"hold_seconds": 3.0, "hold_reason": "429"}, None, "held for 3.0 s more: 429"), ({"draining": True}, None, "drained"),
        ({"waiting": 2}, False, "no live worker serves the queue llm"),
        ({"budgets": {"owner:ann:tokens": 10}, "spend": {"owner:ann:tokens": 12}}, None, "over budget: owner ann (12 of 10 tokens)"),
        ({"factor": 0.5}, True, "slowed to 50 %"),
    ],
)  # fmt: skip
def test_an_account_of_models(fields: dict[str, Any], verdict: bool | None, words: str) -> None:
    check = account_check("acme", account(**fields), FleetFacts(0))
    assert check.ok is verdict
    assert words in check.detail
