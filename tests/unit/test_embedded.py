"""The embedded stack's decisions: which binary, how many processes, with which environment, when to try again."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest
from pydantic import SecretStr

from orchestrator.app import DEFAULT_QUEUE as of_the_app
from orchestrator.embedded.binary import Server, parse_version
from orchestrator.embedded.child import exit_reason
from orchestrator.embedded.errors import DirectoryBusy
from orchestrator.embedded.layout import Layout
from orchestrator.embedded.records import Role
from orchestrator.embedded.roles import (
    DEFAULT_QUEUE,
    MARK_VARIABLE,
    Fleet,
    celery_commands,
    child_environment,
    restart_delay,
)
from orchestrator.embedded.valkey import server_command
from orchestrator.settings import Settings

LAYOUT = Layout(Path("/data"))


@pytest.fixture(autouse=True)
def _plain_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith("CHORDAL_") or name == "REDIS_URL"]:
        monkeypatch.delenv(name)


@pytest.mark.parametrize(
    ("answer", "version"),
    [
        ("Valkey server v=9.1.2 sha=00000000:1 malloc=libc bits=64 build=1536df31c0395150", "Valkey 9.1.2"),
        ("Redis server v=7.0.15 sha=00000000:0 malloc=jemalloc-5.3.0 bits=64 build=x", "Redis 7.0.15"),
        ("Redis server v=6.2.0 sha=00000000:0 malloc=jemalloc-5.1.0 bits=64 build=x", "Redis 6.2.0"),
    ],
)
def test_a_server_says_its_version(answer: str, version: str) -> None:
    found = parse_version(Path("/bin/server"), answer)
    assert isinstance(found, Server)
    assert str(found) == version


@pytest.mark.parametrize(
    ("answer", "reason"),
    [("Redis server v=6.0.16 sha=0", "version 6.0, older than 6.2"), ("hello", "does not say its version")],
)
def test_a_server_that_will_not_do_says_why(answer: str, reason: str) -> None:
    found = parse_version(Path("/bin/server"), answer)
    assert isinstance(found, str)
    assert reason in found


def test_restarts_wait_longer_and_longer_up_to_ten_seconds() -> None:
    assert [restart_delay(deaths) for deaths in (1, 2, 3, 6, 7, 1000)] == [0.2, 0.4, 0.8, 6.4, 10.0, 10.0]


@pytest.mark.parametrize(
    ("cpus", "workers", "concurrency", "pool", "expected"),
    [
        (2, None, None, "prefork", (2, 2)),
        (16, None, None, "prefork", (2, 8)),
        (16, 4, None, "prefork", (4, 4)),
        (16, 4, 3, "threads", (4, 3)),
        (16, 1, None, "solo", (1, 1)),
        (16, 0, None, "prefork", (0, 16)),
    ],
)
def test_a_fleet_fits_the_machine(
    cpus: int, workers: int | None, concurrency: int | None, pool: str, expected: tuple[int, int]
) -> None:
    fleet = Fleet.fitting(cpus, workers, concurrency, pool, 0)
    assert (fleet.workers, fleet.concurrency) == expected


def test_children_get_every_setting_that_was_chosen() -> None:
    settings = Settings(lease_seconds=1.5, log_json=True, imports=("a",), data_dir=Path("/elsewhere"))
    environment = child_environment(settings, "unix:///s", LAYOUT, ("b", "a"), (Path("/code"),), "/inherited")
    assert environment == {
        "CHORDAL_LEASE_SECONDS": "1.5",
        "CHORDAL_LOG_JSON": "True",
        "CHORDAL_IMPORTS": "a,b",
        "CHORDAL_DATA_DIR": "/data",
        "CHORDAL_REDIS_URL": "unix:///s",
        "PYTHONPATH": os.pathsep.join(("/code", "/inherited")),
    }


def test_children_read_their_settings_back(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = Settings(
        lease_seconds=1.5, log_json=True, imports=("a", "b"), redis_url="unix:///s", data_dir=LAYOUT.root,
        webhook_secret=SecretStr("it comes whole"), webhook_events=("goal.*", "node.failed"),
    )  # fmt: skip
    for name, value in child_environment(settings, "unix:///s", LAYOUT).items():
        monkeypatch.setenv(name, value)
    assert Settings() == settings


def test_the_fleet_as_commands() -> None:
    commands = celery_commands(Fleet(2, 3, "threads", llm_workers=1), Settings(log_level="WARNING"), LAYOUT, {"A": "1"})
    assert [(command.role, command.name) for command in commands] == [
        (Role.WORKER, "w1"), (Role.WORKER, "w2"), (Role.LLM_WORKER, "llm1"), (Role.BEAT, "beat")
    ]  # fmt: skip
    first, _, llm, beat = (" ".join(command.argv[1:]) for command in commands)
    assert first.startswith("-m celery -A orchestrator worker -n w1@%h -P threads -c 3 -l WARNING")
    assert "-Q llm" in llm
    assert "-Q" not in first
    assert beat == "-m celery -A orchestrator beat -l WARNING"
    assert commands[0].environment == {"A": "1", MARK_VARIABLE: "/data/run/w1.ready"}


def test_workers_serve_the_queues_of_agents_besides_the_default_one() -> None:
    commands = celery_commands(
        Fleet(1, 2, "prefork", llm_workers=1, queues=("slow", "default")), Settings(), LAYOUT, {}
    )
    assert [command.argv[command.argv.index("-Q") + 1] for command in commands[:2]] == ["default,slow", "llm"]
    assert of_the_app == DEFAULT_QUEUE


def test_workers_are_stopped_warm_then_cold_then_for_good() -> None:
    worker = celery_commands(Fleet(1, 1, "prefork"), Settings(), LAYOUT, {})[0]
    assert [(step.signal.name, step.seconds) for step in worker.stop] == [
        ("SIGTERM", 8.0), ("SIGQUIT", 4.0), ("SIGKILL", 5.0)
    ]  # fmt: skip


def test_the_server_keeps_what_it_was_told() -> None:
    command = server_command(Server(Path("/bin/valkey"), "Valkey", (9, 1, 2)), LAYOUT, Path("/data/valkey.sock"))
    options = dict(zip(command.argv[1::2], command.argv[2::2], strict=True))
    assert options["--appendonly"] == "yes"
    assert options["--appendfsync"] == "everysec"
    assert options["--maxmemory-policy"] == "noeviction"
    assert options["--save"] == ""
    assert options["--port"] == "0"
    assert command.orphan_signal is signal.SIGTERM  # it flushes its file even when its supervisor is killed


def test_who_holds_a_directory_is_said_as_far_as_it_is_known() -> None:
    known = str(DirectoryBusy(LAYOUT.root, 42, 1.0, "chordal up"))
    assert "`chordal up`, pid 42, since 1970-01-01" in known or "since 1969-12-31" in known
    assert "in use by another process;" in str(DirectoryBusy(LAYOUT.root, None, None, None))


def test_an_exit_is_named() -> None:
    assert [exit_reason(code) for code in (0, 3, -9, -250)] == ["exit 0", "exit 3", "SIGKILL", "signal 250"]
