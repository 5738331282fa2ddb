"""The stack on one machine with a real server: it keeps what it was told, restarts what dies, leaves nothing behind."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from acceptance.stack_driver import STUBBORN, driven, parts, until, worker
from orchestrator.cli.main import chordal
from orchestrator.domain.errors import RedisNotReachable
from orchestrator.embedded import binary
from orchestrator.embedded.errors import DirectoryBusy, DirectoryUnusable, ServerNotFound, StackNotReady
from orchestrator.embedded.identity import identity
from orchestrator.embedded.layout import Layout
from orchestrator.embedded.leftovers import end_leftovers
from orchestrator.embedded.logs import trim
from orchestrator.embedded.records import ProcessInfo, Role, running, write
from orchestrator.embedded.roles import BEAT_STOP, Command, StopStep
from orchestrator.embedded.stack import Stack
from orchestrator.embedded.valkey import Answer, ask, server_command
from orchestrator.settings import Settings
from orchestrator.store.connection import open_client

linux = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="only Linux ends children with their parent")


@pytest.fixture(autouse=True)
def _plain_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith("CHORDAL_") or name == "REDIS_URL"]:
        monkeypatch.delenv(name)


@pytest.fixture
def data_dir(tmp_path: Path) -> Path:
    return tmp_path / "data"


def server_alone(data_dir: Path) -> Stack:
    return Stack(Settings(data_dir=data_dir), parts=lambda _: (), quiet=True)


@pytest.fixture
def stack(data_dir: Path) -> Iterator[Stack]:
    with Stack(Settings(data_dir=data_dir), parts=parts(data_dir), quiet=True) as running_stack:
        yield running_stack


def process(stack: Stack, name: str) -> ProcessInfo:
    return next(one for one in stack.processes() if one.name == name)


def pid_of(stack: Stack, name: str) -> int:
    pid = process(stack, name).pid
    assert pid
    return pid


def _is_back(stack: Stack, name: str, restarts: int) -> bool:
    found = process(stack, name)
    return found.alive and found.restarts == restarts


def cli(*words: str) -> Result:
    return CliRunner().invoke(chordal, list(words))


def say(url: str, *words: str) -> object:
    client = open_client(url)
    try:
        return client.execute_command(*words)
    finally:
        client.close()


# The server


def test_the_server_is_ready_soon_and_set_up_for_a_truth(data_dir: Path) -> None:
    with server_alone(data_dir) as stack:
        assert stack.redis_url == f"unix://{data_dir}/valkey.sock"
        assert stack.ready_after < 5  # 0.06 s where this was written
        settings = say(stack.redis_url, "CONFIG", "GET", "append*", "maxmemory-policy", "save", "port", "dir")
        assert isinstance(settings, dict)
        assert settings["appendonly"] == "yes"
        assert settings["appendfsync"] == "everysec"
        assert (settings["save"], settings["port"], settings["maxmemory-policy"]) == ("", "0", "noeviction")
        assert settings["dir"] == str(data_dir / "valkey")
        assert data_dir.stat().st_mode & 0o077 == 0


def test_what_was_written_survives_kill_9_and_the_server_comes_back(data_dir: Path) -> None:
    with server_alone(data_dir) as stack:
        for number in range(200):
            say(stack.redis_url, "SET", f"k{number}", str(number))
        os.kill(pid_of(stack, "redis"), signal.SIGKILL)
        until(lambda: process(stack, "redis").restarts == 1 and ask(data_dir / "valkey.sock") is Answer.READY)
        assert say(stack.redis_url, "DBSIZE") == 200
        assert say(stack.redis_url, "GET", "k199") == "199"


def test_what_was_written_survives_a_stop(data_dir: Path) -> None:
    for expected in (None, "1"):
        with server_alone(data_dir) as stack:
            assert say(stack.redis_url, "GET", "k") == expected
            say(stack.redis_url, "SET", "k", "1")


def test_a_path_that_no_socket_can_have_is_no_obstacle(tmp_path: Path) -> None:
    deep = tmp_path / ("a folder with a long name " * 4) / "data"
    with server_alone(deep) as stack:
        assert stack.redis_url.startswith(f"unix:///tmp/chordal-{os.getuid()}/")
        assert say(stack.redis_url, "PING")


def test_a_file_that_the_server_cannot_read_is_said_with_the_servers_own_words(data_dir: Path) -> None:
    with server_alone(data_dir):
        pass
    (data_dir / "valkey/appendonlydir/appendonly.aof.1.incr.aof").write_bytes(b"*1\r\nnonsense\r\n")
    with pytest.raises(StackNotReady, match=r"(?s)redis does not stay up.*Bad file format"):
        server_alone(data_dir).start()


def test_without_any_server_it_says_what_was_tried(data_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("_FIRST", "_LAST"):
        monkeypatch.setattr(binary, name, (("no_such_package", "x"),))
    monkeypatch.setenv("PATH", str(data_dir))
    with pytest.raises(ServerNotFound, match=r"(?s)no_such_package.*valkey-server on PATH.*chordal\[embedded\]"):
        server_alone(data_dir).start()


def test_a_redis_of_your_own_is_used_and_not_ours(data_dir: Path, tmp_path: Path) -> None:
    with server_alone(tmp_path / "other") as other:
        settings = Settings(data_dir=data_dir, redis_url=other.redis_url)
        with Stack(settings, parts=parts(tmp_path / "other"), quiet=True) as stack:
            assert stack.redis_url == other.redis_url
            assert {one.role for one in stack.processes()} == {Role.SUPERVISOR, Role.WORKER, Role.BEAT}


def test_the_url_of_its_own_server_does_not_keep_it_from_starting_it(data_dir: Path) -> None:
    settings = Settings(data_dir=data_dir, redis_url=f"unix://{data_dir}/valkey.sock")
    with Stack(settings, parts=lambda _: (), quiet=True) as stack:
        assert say(stack.redis_url, "PING")


def test_a_redis_of_your_own_that_is_away_is_said_at_once(data_dir: Path, tmp_path: Path) -> None:
    settings = Settings(data_dir=data_dir, redis_url=f"unix://{tmp_path}/nothing.sock")
    with pytest.raises(RedisNotReachable, match=r"nothing\.sock"):
        Stack(settings, parts=lambda _: (), quiet=True).start()


# The supervisor


def test_what_dies_is_started_again(stack: Stack, data_dir: Path) -> None:
    for times in (1, 2):
        before = pid_of(stack, "beat")
        os.kill(before, signal.SIGKILL)
        until(partial(_is_back, stack, "beat", times))
        assert pid_of(stack, "beat") != before
    info = running(data_dir)
    assert info is not None
    assert info.processes == tuple(stack.processes())
    assert all(one.alive for one in info.processes)


def test_what_a_dead_process_left_in_its_group_is_ended(data_dir: Path) -> None:
    note = data_dir / "grandchild"
    code = f"import subprocess, time; p = subprocess.Popen(['sleep', '1000']); open({str(note)!r}, 'w').write(str(p.pid)); time.sleep(1e6)"
    beat = Command(Role.BEAT, "beat", (sys.executable, "-c", code), BEAT_STOP)
    with Stack(Settings(data_dir=data_dir), parts=lambda _: [beat], quiet=True) as stack:
        until(lambda: note.exists() and note.read_text())
        grandchild = int(note.read_text())
        os.kill(pid_of(stack, "beat"), signal.SIGKILL)
        until(lambda: identity(grandchild) is None)


def test_workers_stop_while_the_server_still_answers(data_dir: Path) -> None:
    with Stack(Settings(data_dir=data_dir), parts=parts(data_dir), quiet=True) as stack:
        processes = stack.processes()
    assert (data_dir / "w1.farewell").read_bytes() == b"+PONG\r\n"
    assert [
        one.name for one in processes if one.role is not Role.SUPERVISOR and identity(one.pid or 0) == one.identity
    ] == []
    assert running(data_dir) is None


def test_a_worker_that_does_not_listen_is_killed_in_the_end(data_dir: Path) -> None:
    steps = tuple(StopStep(number, 0.1) for number in (signal.SIGTERM, signal.SIGQUIT, signal.SIGKILL))
    stubborn = replace(worker(data_dir, {}, STUBBORN), stop=steps)
    with Stack(Settings(data_dir=data_dir), parts=lambda _: [stubborn], quiet=True) as stack:
        known = process(stack, "w1")
    assert identity(known.pid or 0) != known.identity


def test_a_second_signal_does_not_wait_for_stubborn_workers(data_dir: Path) -> None:
    with Stack(Settings(data_dir=data_dir), parts=lambda _: [worker(data_dir, {}, STUBBORN)], quiet=True) as stubborn:

        def asked_again_and_gone() -> bool:
            stubborn.request_stop()
            return running(data_dir) is None

        began = time.monotonic()
        until(asked_again_and_gone)
        assert time.monotonic() - began < 8  # its first step alone would take that long


def test_a_part_that_does_not_come_up_is_said_with_the_end_of_its_log(data_dir: Path) -> None:
    broken = worker(data_dir, {}, "raise SystemExit('no module named nonsense')")
    stack = Stack(Settings(data_dir=data_dir), parts=lambda _: [broken], quiet=True)
    with pytest.raises(StackNotReady, match=r"(?s)w1 does not stay up.*no module named nonsense"):
        stack.start()
    assert running(data_dir) is None
    assert ask(data_dir / "valkey.sock") is Answer.SILENT


def test_a_long_log_is_moved_aside(tmp_path: Path) -> None:
    log = tmp_path / "w1.log"
    log.write_bytes(b"x" * 1001)
    trim(log, limit=1000)
    assert log.stat().st_size == 0
    assert (tmp_path / "w1.log.1").stat().st_size == 1001


# One stack a directory


def test_a_second_start_says_who_holds_the_directory(stack: Stack, data_dir: Path) -> None:
    with pytest.raises(DirectoryBusy) as caught:
        server_alone(data_dir).start()
    assert caught.value.pid == os.getpid()
    assert f"{data_dir} is in use by `chordal up`, pid {os.getpid()}, since 2" in str(caught.value)
    again = cli("up", "--data-dir", str(data_dir))
    assert again.exit_code == 2
    assert "chordal down" in again.output
    assert process(stack, "redis").alive


def test_the_lock_of_a_dead_process_does_not_block(data_dir: Path) -> None:
    data_dir.mkdir()
    (data_dir / "stack.lock").write_text(json.dumps({"pid": os.getppid(), "since": 1.0, "command": "chordal up"}))
    with server_alone(data_dir) as stack:
        assert say(stack.redis_url, "PING")


def test_a_directory_that_cannot_be_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(DirectoryUnusable, match=r"file/data cannot be used: Not a directory.*--data-dir"):
        server_alone(tmp_path / "file" / "data").start()
    failed = cli("up", "--data-dir", str(tmp_path / "file" / "data"))
    assert failed.exit_code == 2
    assert str(tmp_path / "file" / "data") in failed.output


# In a process of its own


def test_sigterm_stops_everything(data_dir: Path) -> None:
    with driven(data_dir) as stack:
        assert stack.said["ready"] is True
        listed = json.loads(cli("ps", "--json", "--data-dir", str(data_dir)).stdout)
        assert listed == stack.said["processes"]
        assert [row["role"] for row in listed] == ["supervisor", "redis", "worker", "beat"]
        stack.process.send_signal(signal.SIGTERM)
        assert stack.process.wait(20) == 0
        assert stack.all_gone()


def test_down_stops_everything_and_then_says_that_nothing_runs(data_dir: Path) -> None:
    with driven(data_dir) as stack:
        stopped = cli("down", "--data-dir", str(data_dir))
        assert (stopped.exit_code, stopped.output) == (0, f"stopped the stack in {data_dir}\n")
        assert stack.process.wait(5) == 0
        assert stack.all_gone()
    assert cli("down", "--data-dir", str(data_dir)).output == f"nothing runs in {data_dir}\n"
    assert cli("ps", "--json", "--data-dir", str(data_dir)).output == "[]\n"
    assert "start it with" in cli("ps", "--data-dir", str(data_dir)).output


@linux
def test_nothing_outlives_a_killed_supervisor_and_the_next_start_has_the_data(data_dir: Path) -> None:
    with driven(data_dir) as stack:
        say(stack.said["redis_url"], "SET", "k", "1")
        stack.process.kill()
        stack.process.wait()
        until(stack.all_gone)
        with server_alone(data_dir) as following:
            assert say(following.redis_url, "GET", "k") == "1"


def test_a_following_start_ends_what_a_killed_supervisor_left(data_dir: Path) -> None:
    """As where the kernel does not end children with their parent, or the record of one is missing."""
    layout = Layout.of(data_dir)
    layout.prepare()
    worker_left = subprocess.Popen(["sleep", "1000"], start_new_session=True)
    command = server_command(binary.find_server(), layout, layout.socket())
    with (data_dir / "server.log").open("wb") as log:
        server_left = subprocess.Popen(command.argv, cwd=layout.valkey, stdout=log, start_new_session=True)
    try:
        until(lambda: ask(layout.socket()) is Answer.READY)
        _record(layout, [(Role.WORKER, worker_left.pid, identity(worker_left.pid) or "")])
        with server_alone(data_dir) as stack:
            assert worker_left.wait(5) == -signal.SIGKILL
            assert server_left.wait(5) == 0  # asked to end, so it flushed its file
            assert say(stack.redis_url, "PING")
    finally:
        for process in (worker_left, server_left):
            process.kill()
            process.wait()


def test_a_stranger_with_an_old_pid_is_left_alone(data_dir: Path) -> None:
    layout = Layout.of(data_dir)
    layout.prepare()
    stranger = subprocess.Popen(["sleep", "1000"], start_new_session=True)
    try:
        _record(layout, [(Role.WORKER, stranger.pid, "another boot:1")])
        assert end_leftovers(layout.state, layout.socket()) == []
        assert stranger.poll() is None
    finally:
        stranger.kill()
        stranger.wait()


def _record(layout: Layout, rows: Sequence[tuple[Role, int, str]]) -> None:
    stack = Stack(Settings(data_dir=layout.root), parts=lambda _: ())
    processes = tuple(ProcessInfo(role, "left", pid, True, 0, 1.0, known) for role, pid, known in rows)
    write(layout.state, replace(stack.info(), processes=processes))
