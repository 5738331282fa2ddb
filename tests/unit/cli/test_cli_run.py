"""`run` and `watch`: where a run takes place, what it prints and how it exits."""

from __future__ import annotations

import json
import os
import shlex
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import click
import pytest

from orchestrator.cli import ground
from orchestrator.cli.load import read_source
from orchestrator.domain.errors import RedisNotReachable
from orchestrator.domain.states import GoalState, NodeState
from orchestrator.domain.views import NodeStatus
from orchestrator.embedded.errors import DirectoryBusy
from orchestrator.settings import Settings
from support.door import Door, Run, make_event, make_status

N = NodeState


@pytest.fixture
def goal_file(tmp_path: Path) -> str:
    """Two nodes, one after the other."""
    file = tmp_path / "goal.json"
    file.write_text('{"goal_id": "g1", "nodes": [{"id": "a"}, {"id": "b"}], "edges": [{"source": "a", "target": "b"}]}')
    return str(file)


@pytest.fixture
def place(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """Where runs take place: a stack that is lent, unless the test says that it is the run's own."""
    facts: dict[str, Any] = {"ours": False, "entered": 0, "start": None}

    @contextmanager
    def stand_in(settings: Settings, _source: object, _shape: object, start: bool) -> Iterator[ground.Ground]:
        facts["entered"] += 1
        facts["start"] = start
        yield ground.Ground(settings, facts["ours"], facts.get("way", ""))

    monkeypatch.setattr(ground, "ground", stand_in)
    return facts


def end(door: Door, state: GoalState, *nodes: NodeStatus) -> None:
    """Let goal g1 end like this."""
    door.statuses["g1"] = make_status("g1", state, {node.id: node for node in nodes})
    door.pages = [make_event(1, "goal.started"), make_event(2, f"goal.{state.lower()}")]


@pytest.mark.parametrize(("state", "code"), [(GoalState.DONE, 0), (GoalState.FAILED, 1), (GoalState.CANCELLED, 3)])
@pytest.mark.usefixtures("place")
def test_run_and_watch_exit_by_the_outcome(
    door: Door, chordal: Run, goal_file: str, state: GoalState, code: int
) -> None:
    end(door, state)
    assert chordal("run", goal_file).exit_code == code
    assert chordal("watch", "g1").exit_code == code


@pytest.mark.usefixtures("place")
def test_json_ends_stdout_with_one_object_whatever_the_progress(door: Door, chordal: Run, goal_file: str) -> None:
    end(door, GoalState.DONE, NodeStatus("a", "A", N.DONE, 1, output=[1]))
    for progress in ("auto", "plain", "json"):
        result = chordal("run", goal_file, "--json", "--progress", progress)
        found = json.loads(result.stdout)
        assert found["state"] == "DONE"
        assert found["nodes"]["a"]["output"] == [1]
        assert result.stderr


@pytest.mark.usefixtures("place")
def test_the_end_tells_each_failure_and_how_to_retry_it(door: Door, chordal: Run, goal_file: str) -> None:
    end(door, GoalState.FAILED, NodeStatus("a", "A", N.FAILED, 3, error="ValueError: bad\x1b[0m"))
    out = chordal("run", goal_file).stdout
    assert "a FAILED at attempt 3:\n  ValueError: bad\\x1b[0m\n  retry with: chordal retry g1 --node a" in out
    assert "chordal up" not in out


def test_a_retry_after_a_run_of_its_own_needs_a_stack_first(
    door: Door, chordal: Run, goal_file: str, place: dict[str, Any], tmp_path: Path
) -> None:
    place["ours"] = True
    end(door, GoalState.FAILED, NodeStatus("a", "A", N.FAILED, 3))
    assert f"chordal --data-dir {tmp_path} up" in chordal("run", goal_file, "--data-dir", str(tmp_path)).stdout
    place["way"] = "X=1 chordal up --queue q"
    assert "start one like it first:\n  X=1 chordal up --queue q\n" in chordal("run", goal_file).stdout


@pytest.mark.usefixtures("place")
def test_the_end_of_a_goal_shows_its_last_outputs(door: Door, chordal: Run, goal_file: str) -> None:
    end(door, GoalState.DONE, NodeStatus("a", "", N.DONE, 1, output=1), NodeStatus("b", "", N.DONE, 1, output={"x": 2}))
    assert chordal("run", goal_file).stdout.splitlines()[-1] == 'b: {"x": 2}'


@pytest.mark.parametrize("ours", [True, False])
def test_ctrl_c_lets_go_and_says_how_to_go_on(
    door: Door, chordal: Run, goal_file: str, place: dict[str, Any], ours: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    place["ours"] = ours
    end(door, GoalState.RUNNING)
    monkeypatch.setattr(door, "events", _ctrl_c)
    result = chordal("run", goal_file, "--json")
    assert result.exit_code == 130
    assert json.loads(result.stdout)["state"] == "RUNNING"
    assert "chordal watch g1" in result.stderr
    assert ("chordal up" in result.stderr) is ours
    assert ("chordal cancel g1" in result.stderr) is not ours
    assert not [call for call in door.calls if call[0] == "cancel"]


def _ctrl_c(*_: object, **__: object) -> None:
    raise KeyboardInterrupt


@pytest.mark.usefixtures("place")
def test_a_timeout_lets_go(door: Door, chordal: Run) -> None:
    end(door, GoalState.RUNNING)
    door.pages = door.pages[:1]
    assert chordal("watch", "g1", "--timeout", "0").exit_code == 130


def test_detach_submits_and_starts_nothing(door: Door, chordal: Run, goal_file: str, place: dict[str, Any]) -> None:
    end(door, GoalState.RUNNING)
    assert chordal("run", goal_file, "--detach").stdout == "g1\n"
    assert place["start"] is False
    assert json.loads(chordal("run", goal_file, "--detach", "--json").stdout)["goal_id"] == "g1"


def test_a_lent_stack_that_stops_is_replaced_and_the_goal_not_submitted_again(
    door: Door, chordal: Run, goal_file: str, place: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    end(door, GoalState.DONE)
    answers = iter([RedisNotReachable("gone")])
    whole = door.events

    def events(*args: Any, **more: Any) -> Any:
        if error := next(answers, None):
            raise error
        return whole(*args, **more)

    monkeypatch.setattr(door, "events", events)
    monkeypatch.setattr(ground.Ground, "is_gone", lambda _: True)
    assert chordal("run", goal_file).exit_code == 0
    assert place["entered"] == 2
    assert [call[0] for call in door.calls].count("submit") == 1


def test_a_faulty_goal_starts_nothing(door: Door, chordal: Run, tmp_path: Path, place: dict[str, Any]) -> None:
    file = tmp_path / "bad.json"
    file.write_text('{"nodes": []}')
    assert chordal("run", str(file)).exit_code == 2
    assert place["entered"] == 0
    assert not door.calls


class FakeStack:
    """Writes down how it was made."""

    made: dict[str, Any] = {}  # noqa: RUF012 (a notebook of the test)

    def __init__(self, settings: Settings, **more: Any) -> None:
        FakeStack.made = {"settings": settings, **more}
        self.redis_url = "unix:///x"

    def start(self) -> None:
        FakeStack.made["path"] = os.environ["PYTHONPATH"].split(os.pathsep)[0]

    def stop(self) -> None:
        FakeStack.made["stopped"] = True


@pytest.fixture
def stacks(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """Stacks that start nothing, and whether one is running."""
    facts: dict[str, Any] = {"running": None}
    FakeStack.made = {}
    monkeypatch.setitem(sys.modules, "orchestrator.embedded.stack", SimpleNamespace(Stack=FakeStack))
    monkeypatch.setattr("orchestrator.embedded.records.running", lambda _: facts["running"])
    monkeypatch.setattr(ground, "WORKER_PATIENCE_SECONDS", 0.0)
    return facts


def enter(settings: Settings, goal_file: str, start: bool = True) -> ground.Ground:
    """Where a run with these settings takes place."""
    shape = ground.Shape(3, 1, "threads")
    with (
        click.Context(click.Command("run")).scope(),
        ground.ground(settings, read_source(goal_file, {}), shape, start) as place,
    ):
        return place


@pytest.mark.usefixtures("stacks", "door")
def test_without_a_stack_one_is_started_for_the_run(goal_file: str, tmp_path: Path) -> None:
    Path(goal_file).write_text('{"nodes": [{"id": "a", "call": "steps:work"}]}')
    (tmp_path / "steps.py").touch()
    place = enter(Settings(redis_url=None, data_dir=tmp_path), goal_file)
    assert place.ours
    assert place.settings.redis_url == "unix:///x"
    assert FakeStack.made["imports"] == ("steps",)
    assert FakeStack.made["path"] == str(tmp_path)
    assert (FakeStack.made["workers"], FakeStack.made["pool"]) == (3, "threads")
    assert FakeStack.made["stopped"]


@pytest.mark.usefixtures("stacks", "door")
def test_the_way_on_names_all_that_the_run_found_by_itself(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "my goal"
    folder.mkdir()
    (folder / "steps.py").touch()
    node = {"id": "a", "kind": "agent", "agent": "ada"}
    agents = [{"name": "ada", "queue": "slow"}]
    file = folder / "goal.json"
    file.write_text(json.dumps({"nodes": [node, {"id": "b", "call": "steps:work"}], "agents": agents}))
    monkeypatch.chdir(folder)
    monkeypatch.delenv("PYTHONPATH", raising=False)
    source, settings = (
        read_source("goal.json", {}),
        Settings(llm_file=Path("llm.yaml"), data_dir=tmp_path, imports=("more",)),
    )
    with click.Context(click.Command("run")).scope():
        with ground.ground(settings, source, ground.Shape(3, None, "threads", 1), start=True) as place:
            line = place.way
        assert ground.way_on(Settings(), read_source("goal.json", {}), ground.Shape(None, None, "prefork")).endswith(
            "chordal up --queue slow"
        )
    assert shlex.split(line) == [
        f"CHORDAL_LLM_FILE={folder}/llm.yaml", "CHORDAL_IMPORTS=more,steps", f"PYTHONPATH={folder}", "chordal", "up",
        "--workers", "3", "--pool", "threads", "--llm-workers", "1", "--queue", "slow",
    ]  # fmt: skip


@pytest.mark.usefixtures("door")
def test_the_running_stack_of_the_data_directory_is_used(
    goal_file: str, tmp_path: Path, stacks: dict[str, Any]
) -> None:
    stacks["running"] = SimpleNamespace(ready=True, redis_url="unix:///y")
    place = enter(Settings(redis_url=None, data_dir=tmp_path), goal_file, start=False)
    assert not place.ours
    assert not FakeStack.made
    assert not place.is_gone()
    stacks["running"] = None
    assert place.is_gone()


@pytest.mark.usefixtures("stacks")
@pytest.mark.parametrize("workers", [0, 2])
def test_a_redis_that_was_given_is_used_and_lacks_workers_or_not(goal_file: str, door: Door, workers: int) -> None:
    door.workers = workers
    place = enter(Settings(redis_url="redis://h"), goal_file)
    assert place.ours is (workers == 0)
    assert bool(FakeStack.made) is (workers == 0)
    assert not place.is_gone()


@pytest.mark.usefixtures("stacks", "door")
def test_detach_without_a_stack_is_refused(chordal: Run, goal_file: str, tmp_path: Path) -> None:
    result = chordal("run", goal_file, "--detach", "--data-dir", str(tmp_path))
    assert result.exit_code == 2
    assert f"chordal --data-dir {tmp_path} up" in result.stderr


@pytest.mark.usefixtures("door")
def test_when_someone_else_was_first_their_stack_is_used(
    goal_file: str, tmp_path: Path, stacks: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    def start(_: FakeStack) -> None:
        stacks["running"] = SimpleNamespace(ready=True)
        raise DirectoryBusy(tmp_path, None, None, None)

    monkeypatch.setattr(FakeStack, "start", start)
    assert not enter(Settings(redis_url=None, data_dir=tmp_path), goal_file).ours
    stacks["running"] = None
    with pytest.raises(DirectoryBusy):
        enter(Settings(redis_url="redis://h", data_dir=tmp_path), goal_file)
