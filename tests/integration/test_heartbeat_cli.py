"""`chordal heartbeat`, and the files of declared agents that `chordal submit` has read."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from orchestrator.cli.main import chordal as command_line
from orchestrator.control.files.parts import this_host
from orchestrator.control.files.registry import Registry
from support.crew import Crew
from support.servers import until

Run = Callable[..., Result]


@pytest.fixture
def run(crew: Crew, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Runs a command in the test's folder, in which the goal "g" has a file."""
    crew.submit(["a"])
    (tmp_path / "g.md").write_text("PAUSE\n")
    monkeypatch.chdir(tmp_path)
    runner = CliRunner(env={"CHORDAL_REDIS_URL": crew.store.url, "CHORDAL_DATA_DIR": str(tmp_path)})
    return lambda *words: runner.invoke(command_line, words)


def found(result: Result) -> Any:
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


def test_a_file_is_registered_shown_listed_and_removed(run: Run, tmp_path: Path) -> None:
    made = run("heartbeat", "g.md", "--goal", "g")
    assert made.stdout == f"{tmp_path}/g.md is read for goal g; answers: {tmp_path}/g.md.log\n"
    assert "no worker on" in made.stderr
    assert found(run("heartbeat", "g.md", "--goal", "g", "--json"))["state"] == "known"
    assert found(run("heartbeat", "g.md", "--json")) == {
        "file": f"{tmp_path}/g.md", "host": this_host(), "goal": "g", "agent": None, "owner": None, "all": False,
        "instructions": None, "state": "known", "watcher": None,
    }  # fmt: skip
    assert [one["file"] for one in found(run("heartbeat", "--json"))] == [f"{tmp_path}/g.md"]
    assert f"{tmp_path}/g.md  goal g" in run("heartbeat").stdout
    assert found(run("heartbeat", "g.md", "--remove", "--json"))["state"] == "removed"
    assert run("heartbeat").stderr == "no heartbeat files are read\n"


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("g.md",), "is not read"),
        (("g.md", "--agent", "w"), "give --goal"),
        (("nodir/g.md", "--goal", "g"), "there is no folder"),
        (("g.md", "--goal", "g", "--owner", "o"), "say for whom"),
        (("g.md", "--any-host"), "say for whom"),
        (("g.md", "--goal", "ghost"), "no goal 'ghost'"),
        (("--goal", "g"), "name the FILE"),
        (("g.md", "--remove", "--goal", "g"), "goes alone"),
        (("link.md", "--goal", "g"), "symbolic link"),
        ((".", "--goal", "g"), "is a directory"),
    ],
)
def test_what_cannot_be_is_refused(run: Run, tmp_path: Path, words: tuple[str, ...], told: str) -> None:
    (tmp_path / "link.md").symlink_to(tmp_path / "g.md")
    result = run("heartbeat", *words)
    assert result.exit_code == 2
    assert told in " ".join(result.stderr.split())
    assert run("heartbeat").stderr == "no heartbeat files are read\n"


def test_the_folder_of_a_file_may_be_a_link_when_it_is_registered(run: Run, tmp_path: Path) -> None:
    (tmp_path / "folder").symlink_to(tmp_path)
    assert found(run("heartbeat", "folder/g.md", "--owner", "acme", "--json"))["file"] == f"{tmp_path}/g.md"


@pytest.mark.usefixtures("run")
def test_follow_shows_lines_and_answers(crew: Crew, tmp_path: Path) -> None:
    program = [sys.executable, "-c", "from orchestrator.cli.main import main; main()"]
    environment = {**os.environ, "CHORDAL_REDIS_URL": crew.store.url, "PYTHONUNBUFFERED": "1"}
    out = tmp_path / "out"
    with out.open("w") as stream:
        process = subprocess.Popen(
            [*program, "heartbeat", "g.md", "--goal", "g", "--follow"], env=environment, stdout=stream, stderr=subprocess.DEVNULL
        )  # fmt: skip
    try:
        until(lambda: "is read for" in out.read_text(), 20, "it follows")
        with (tmp_path / "g.md").open("a") as stream:
            stream.write("RESUME\nnot a directive\n")
        until(lambda: crew.wired.files.tick() and "ignored" in out.read_text(), 20, "the answers")
        process.send_signal(signal.SIGINT)
        assert process.wait(10) == 130
    finally:
        process.kill()
        process.wait()
    lines = out.read_text().splitlines()[1:]
    assert [line for line in lines if line.startswith(">")] == ["> RESUME", "> not a directive"]
    assert [line.split(" -> ")[1].split()[0] for line in lines if line.startswith("<")] == ["unchanged", "ignored:"]


def test_submit_has_the_files_of_declared_agents_read(crew: Crew, run: Run, tmp_path: Path) -> None:
    (tmp_path / "INSTRUCTIONS.md").write_text(
        "# T\n\n## Agents\n\n### w\n- Goal: team\n- Instructions: w.md\n- Heartbeat: beats/w.md\n"
        "\n### x\n- Goal: team\n- Instructions: You wait.\n"
    )
    (tmp_path / "w.md").write_text("- [ ] Say hello\n")
    result = run("submit", "INSTRUCTIONS.md")
    assert (result.exit_code, result.stdout) == (0, "team\n")
    assert result.stderr.splitlines()[0] == "reads the heartbeat file beats/w.md"
    assert f"no worker on {this_host()}" in result.stderr
    (file,) = Registry(crew.store).all()
    assert (file.instructions, file.declared) == (f"{tmp_path}/INSTRUCTIONS.md", ("w", "x"))
    crew.store.client.flushall()  # Celery's own keys
