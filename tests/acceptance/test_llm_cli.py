"""`chordal llm` on a real line: what operators see of it, and what they change."""

from __future__ import annotations

import json
import os
import pty
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from orchestrator.cli.main import celery_goal
from orchestrator.cli.main import chordal as group
from orchestrator.llm.errors import LlmError
from orchestrator.llm.limiter import Limiter
from orchestrator.llm.limits import Cost
from orchestrator.settings import Settings
from orchestrator.store.keys import Keys
from orchestrator.store.store import Store
from orchestrator.wiring import connect
from support.servers import Server, server, until

PROFILES = """
accounts:
  acme:
    kind: self-hosted
    base_url: "http://127.0.0.1:9/v1"
    limits: {requests_per_minute: 2, tokens_per_minute: 1000, burst_seconds: 60}
  idle: {kind: self-hosted, base_url: "http://127.0.0.1:9/v1", api_key_env: NOT_SET_HERE, limits: {concurrency: 3}}
models:
  small: {account: acme}
  tiny: {account: idle}
"""
Llm = Callable[..., Result]


@pytest.fixture
def file(tmp_path: Path) -> Path:
    made = tmp_path / "profiles.yaml"
    made.write_text(PROFILES)
    return made


@pytest.fixture
def llm(store: Store, file: Path, monkeypatch: pytest.MonkeyPatch) -> Llm:
    """Runs `chordal llm` with these words; with a key that only the workers have."""
    monkeypatch.setenv("CHORDAL_LLM_FILE", str(file))

    def run(*words: str) -> Result:
        return CliRunner().invoke(group, ["--redis-url", store.url, "llm", *words], prog_name="chordal")

    return run


@pytest.fixture
def limiter(store: Store, file: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Limiter]:
    """As a worker has it."""
    monkeypatch.setenv("NOT_SET_HERE", "secret")
    made = connect(Settings(redis_url=store.url, llm_file=file)).limiter
    monkeypatch.delenv("NOT_SET_HERE")
    yield made
    made.close()


@pytest.fixture
def crowd(limiter: Limiter) -> Iterator[None]:
    """Two calls in flight, which is all that `acme` allows, and three that wait."""
    permits = [limiter.acquire("acme", Cost(10, 20, 5), owner="ann", goal="g1") for _ in range(2)]

    def wait(goal: str) -> None:
        with suppress(LlmError):
            limiter.acquire("acme", Cost(1, 1), owner="bob", goal=goal, wait_seconds=60).settle(Cost(1, 1))

    threads = [threading.Thread(target=wait, args=(goal,)) for goal in ("g2", "g2", "g3")]
    for thread in threads:
        thread.start()
    until(lambda: limiter.status("acme").waiting == 3, what="three wait")
    yield
    for goal in ("g2", "g3"):
        limiter.withdraw("acme", "bob", goal)
    for thread in threads:
        thread.join(20)
    for permit in permits:
        permit.settle(Cost(10, 20, 5))


def seen(result: Result) -> dict[str, Any]:
    assert result.exit_code == 0, result.output
    found: dict[str, Any] = json.loads(result.stdout)
    return found


def account(llm: Llm, name: str = "acme") -> dict[str, Any]:
    """The account as `status` tells it."""
    one: dict[str, Any] = seen(llm("status", name, "--json"))["accounts"][0]
    return one


def test_an_account_that_was_never_used_is_shown_and_leaves_no_keys(llm: Llm, store: Store) -> None:
    found = seen(llm("status", "--json"))["accounts"]
    assert [(one["account"], one["ever_used"]) for one in found] == [("acme", False), ("idle", False)]
    assert found[0]["usage"]["requests"] == {"limit": 2, "allowed": 2, "used": 0, "percent": 0.0}
    assert found[1]["settings"]["concurrency"] == 3
    assert "acme: never used" in llm("status").stdout
    assert store.client.keys("*") == []


@pytest.mark.usefixtures("crowd")
def test_status_says_who_waits_who_calls_and_what_was_spent(llm: Llm) -> None:
    one = account(llm)
    assert one["usage"]["requests"] == {"limit": 2, "allowed": 2, "used": 2, "percent": 100.0}
    assert one["usage"]["tokens"] == {"limit": 1000, "allowed": 1000, "used": 60, "percent": 6.0}
    assert (one["waiting"], one["owners"], one["usage"]["concurrent"]["used"]) == (3, {"bob": 3}, 2)
    assert {(flow["goal"], flow["count"]) for flow in one["flows"]} == {("g2", 2), ("g3", 1)}
    assert one["longest_wait_seconds"] >= 0
    assert [(lease["owner"], lease["tokens"]) for lease in one["leases"]] == [("ann", 30), ("ann", 30)]
    assert one["spend"]["owner:ann:tokens"] == 60
    text = llm("status", "acme").stdout
    for part in ("2 in flight, 3 waiting", "2 in 60 s", "bob    g2", "owner ann"):
        assert part in text


@pytest.mark.usefixtures("crowd")
def test_set_limit_changes_what_is_named_and_lets_waiters_go(llm: Llm, limiter: Limiter) -> None:
    one = seen(llm("set-limit", "acme", "--concurrency", "5", "--json"))
    assert (one["usage"]["concurrent"]["limit"], one["waiting"]) == (5, 3)
    one = seen(llm("set-limit", "acme", "--lift", "tokens", "--json"))
    assert one["set_at_run_time"] == {"concurrency": 5, "tokens_per_minute": None}
    text = llm("set-limit", "acme", "--requests", "2000").stdout
    assert "set at run time; by the profiles 2" in text
    until(lambda: limiter.status("acme").waiting == 0, what="all have gone")
    one = seen(llm("set-limit", "acme", "--reset", "--tokens", "900", "--json"))
    assert one["set_at_run_time"] == {"tokens_per_minute": 900}
    assert account(llm)["usage"]["requests"]["limit"] == 2


@pytest.fixture
def _used(limiter: Limiter) -> None:
    limiter.drain("acme", False)


@pytest.mark.usefixtures("_used")
def test_budgets_are_set_one_by_one_and_forgotten(llm: Llm) -> None:
    llm("set-limit", "acme", "--owner", "ann", "--budget-tokens", "500")
    one = seen(llm("set-limit", "acme", "--owner", "ann", "--budget-usd", "2.5", "--json"))
    assert one["budgets"] == {"owner:ann:tokens": 500, "owner:ann:usd": 2_500_000}
    assert "2.5000" in llm("set-limit", "acme", "--goal", "g1", "--budget-usd", "0").stdout
    assert account(llm)["budgets"]["goal:g1:usd"] == 0
    llm("set-limit", "acme", "--owner", "ann", "--no-budget")
    assert account(llm)["budgets"] == {"goal:g1:usd": 0}


def test_an_account_is_drained_and_opened_again(llm: Llm) -> None:
    result = llm("drain", "acme")
    assert "acme: drained" in result.stdout
    assert "llm drain acme --off" in result.stderr
    assert account(llm)["draining"] is True
    assert seen(llm("drain", "acme", "--off", "--json"))["draining"] is False


def test_a_hold_and_an_open_breaker_are_told_with_their_reasons(llm: Llm, limiter: Limiter) -> None:
    limiter.hold("acme", 30, "rate_limit \x1b[2J")
    limiter.open_breaker("acme", 300, "insufficient_quota")
    text = llm("status", "acme").stdout
    assert "held for" in text
    assert "(rate_limit \\x1b[2J)" in text
    assert "(insufficient_quota)" in text
    one = seen(llm("close", "acme", "--json"))
    assert (one["breaker"], one["hold_reason"]) == ("closed", "rate_limit \x1b[2J")


def test_an_unknown_account_is_told_the_known_ones(llm: Llm, store: Store) -> None:
    for words in (("status",), ("drain",), ("close",), ("watch",), ("set-limit", "--requests", "3")):
        result = llm(words[0], "other", *words[1:])
        assert result.exit_code == 2
        assert "there is no account 'other'; known: acme, idle" in result.stderr
    other = Limiter(store, {})
    other.drain("other", False)
    assert "used by somebody with other profiles" in llm("drain", "other").stderr
    assert seen(llm("status", "--json"))["not_in_profiles"] == ["other"]
    assert "other" in llm("status").stderr


def test_it_works_below_celery_too(store: Store, llm: Llm) -> None:
    assert llm is not None
    words = ["--redis-url", store.url, "llm", "drain", "acme"]
    result = CliRunner().invoke(celery_goal, words, prog_name="celery")
    assert result.exit_code == 0
    assert "acme: drained" in result.stdout


# -- watching -------------------------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("crowd")
def test_watch_prints_lines_or_objects_where_there_is_no_terminal(llm: Llm) -> None:
    result = llm("watch", "--interval", "0.1", "--count", "2")
    lines = [line.partition("  ")[2] for line in result.stdout.splitlines()]
    assert lines[0].startswith("acme: requests 2/2, tokens 60/1,000")
    assert "3 waiting" in lines[0]
    assert lines[1] == "idle: calls at once 0/3, 0 waiting"
    assert len(lines) == 4
    result = llm("watch", "acme", "--interval", "0.1", "--count", "3", "--json")
    looks = [json.loads(line) for line in result.stdout.splitlines()]
    assert [look["accounts"][0]["waiting"] for look in looks] == [3, 3, 3]


def start(url: str, file: Path, *words: str, out: int, **more: Any) -> subprocess.Popen[str]:
    command = [
        sys.executable,
        "-c",
        "from orchestrator.cli.main import main; main()",
        "--redis-url",
        url,
        "llm",
        "watch",
    ]
    environ = {**os.environ, "CHORDAL_LLM_FILE": str(file), "TERM": "xterm", "COLUMNS": "120", "LINES": "40"}
    return subprocess.Popen([*command, *words], stdout=out, env=environ, text=True, **more)


def test_on_a_terminal_gauges_are_drawn_until_ctrl_c(store: Store, file: Path, limiter: Limiter) -> None:
    limiter.drain("acme")
    master, slave = pty.openpty()
    process = start(store.url, file, out=slave, stderr=subprocess.PIPE)
    os.close(slave)
    text = ""
    try:
        while "drained" not in text or "░" not in text:
            text += os.read(master, 65536).decode("utf-8", "replace")
        process.send_signal(signal.SIGINT)
        assert process.wait(20) == 0
        assert process.stderr is not None
        assert process.stderr.read() == ""
        text += os.read(master, 65536).decode("utf-8", "replace")
    finally:
        process.kill()
        process.communicate()
        os.close(master)
    assert "\x1b[?25h" in text, "the cursor is there again"
    assert "Traceback" not in text


def test_watch_goes_on_when_redis_comes_back(file: Path) -> None:
    with server() as one:
        Limiter(used := Store(one.url, Keys(), 2000), {}).drain("acme")
        used.close()
        process = start(one.url, file, "--json", "--interval", "0.1", out=subprocess.PIPE, stderr=subprocess.PIPE)
        try:
            assert process.stdout is not None
            assert process.stderr is not None
            assert json.loads(process.stdout.readline())["accounts"]
            one.stop(signal.SIGKILL)
            assert "Redis does not answer" in process.stderr.readline()
            again(one)
            until(lambda: json.loads(process.stdout.readline())["accounts"], what="a look")  # type: ignore[union-attr]
            process.send_signal(signal.SIGINT)
            assert process.wait(20) == 0
        finally:
            process.kill()
            process.communicate()


def again(one: Server) -> None:
    (one.folder / "s").unlink(missing_ok=True)
    one.start()
