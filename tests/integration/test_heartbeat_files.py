"""Heartbeat files with the service behind them: the watcher, beat's look, declared agents, goals that are gone."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from orchestrator.agents.declare.instructions import read_instructions
from orchestrator.cli.declared import Wish, document, narrowed
from orchestrator.control.files import notices, parts
from orchestrator.control.files.declared import files_of
from orchestrator.control.files.grammar import Directive, read_directive
from orchestrator.control.files.health import checks
from orchestrator.control.files.opening import Where
from orchestrator.control.files.parts import HeartbeatFiles, this_host
from orchestrator.control.files.registry import Registered
from orchestrator.control.files.watch import Watch
from orchestrator.store.keys import Keys
from orchestrator.store.store import Store
from orchestrator.store.upkeep import Beat
from support.crew import Crew
from support.servers import server, until

SECONDS = 0.2


@pytest.fixture
def files(crew: Crew) -> HeartbeatFiles:
    """A goal "g", and a file of its."""
    crew.submit(["a", "b"])
    return HeartbeatFiles(crew.store, crew.wired.commands.carry_out, SECONDS)


@pytest.fixture
def path(files: HeartbeatFiles, tmp_path: Path) -> Path:
    (tmp_path / "g.md").write_text("")
    files.registry.register(Registered(str(tmp_path), "g.md", this_host(), goal="g"))
    return tmp_path / "g.md"


@pytest.fixture
def watching(files: HeartbeatFiles) -> Iterator[list[Watch]]:
    """Watchers to be started, which are stopped at the end."""
    made = [files.watch("w1"), files.watch("w2")]
    yield made
    for one in made:
        one.stop()


def add(path: Path, line: str) -> None:
    with path.open("a") as stream:
        stream.write(line + "\n")


def log_of(path: Path) -> list[str]:
    log = path.with_name(path.name + ".log")
    return log.read_text().splitlines() if log.exists() else []


def events(crew: Crew, goal: str = "g") -> list[tuple[str, str]]:
    found = crew.wired.reader.events(goal)
    return [(one.type, one.data.get("outcome", "")) for one in found if one.type.startswith("command.")]


def test_a_line_is_carried_out_by_the_watcher(crew: Crew, path: Path, watching: list[Watch]) -> None:
    watching[0].start()
    add(path, "PAUSE: it is hot")
    until(lambda: crew.state() == "PAUSED", 5, "the goal is paused")
    until(lambda: log_of(path), 5, "an answer")
    assert " line 1: PAUSE: it is hot -> paused" in log_of(path)[0]
    (entry,) = crew.store.control.audit()
    assert (entry.fields["door"], entry.fields["reason"]) == ("heartbeat", "it is hot")
    assert entry.fields["sender"] == str(path)


def test_the_watcher_is_told_and_need_not_look(crew: Crew, path: Path) -> None:
    slow = HeartbeatFiles(crew.store, crew.wired.commands.carry_out, 600.0).watch("w")
    slow.start()
    try:
        until(lambda: slow._notices._watch is not None, 5, "the folder is watched")
        add(path, "PAUSE")
        until(lambda: crew.state() == "PAUSED", 5, "the goal is paused")
    finally:
        slow.stop()


def test_where_the_system_tells_nothing_it_looks(
    crew: Crew, path: Path, watching: list[Watch], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(notices, "_in_greenlets", lambda: True)
    watch = watching[0]
    watch._notices = notices.Notices(watch._stop)
    watch.start()
    add(path, "PAUSE")
    until(lambda: crew.state() == "PAUSED", 5, "the goal is paused")


def test_of_two_watchers_one_watches_and_the_other_takes_over(
    crew: Crew, files: HeartbeatFiles, path: Path, watching: list[Watch]
) -> None:
    first, second = watching
    first.start()
    until(lambda: files.watcher(this_host()), 5, "somebody watches")
    second.start()
    held = files.watcher(this_host())
    assert held is not None
    assert held.startswith("w1:")
    first.stop()
    until(lambda: (files.watcher(this_host()) or "").startswith("w2:"), 5, "the other one watches")
    add(path, "PAUSE")
    until(lambda: crew.state() == "PAUSED", 5, "the goal is paused")


def test_two_watchers_that_both_watch_and_two_beats_act_once(
    crew: Crew, path: Path, watching: list[Watch], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(type(crew.store.files), "watch", lambda *_: True)
    beats = [HeartbeatFiles(crew.store, crew.wired.commands.carry_out, SECONDS) for _ in range(2)]
    for one in watching:
        one.start()
    for line in ("PAUSE", "RESUME", "PAUSE"):
        add(path, line)
        for beat in beats:
            beat.tick()
    until(lambda: len(log_of(path)) >= 3, 10, "answers")
    for one in watching:
        one.stop()
    assert [line.split(" -> ")[1].partition(" ")[0] for line in log_of(path)] == ["paused", "resumed", "paused"]
    assert events(crew) == [
        ("command.applied", "paused"),
        ("command.applied", "resumed"),
        ("command.applied", "paused"),
    ]


def test_beat_reads_files_that_nobody_watches(crew: Crew, files: HeartbeatFiles, path: Path) -> None:
    add(path, "PAUSE")
    assert files.tick() == "1 files"
    until(lambda: crew.state() == "PAUSED", 5, "the goal is paused")


@pytest.mark.usefixtures("path")
def test_a_file_system_that_does_not_answer_does_not_stop_beat(
    files: HeartbeatFiles, monkeypatch: pytest.MonkeyPatch
) -> None:
    go_on = threading.Event()
    monkeypatch.setattr(parts.HeartbeatFiles, "_look", lambda *_: go_on.wait(30))
    files.tick()
    assert "the last look began" in files.tick()
    go_on.set()


@pytest.mark.usefixtures("path")
def test_files_of_goals_that_are_gone_are_forgotten(crew: Crew, files: HeartbeatFiles) -> None:
    files._forgot -= parts.FORGET_SECONDS
    assert files.tick().startswith("1 files")
    crew.work()
    crew.store.goals.remove("g")
    files._forgot -= parts.FORGET_SECONDS
    assert files.tick().startswith("1 files, 1 forgotten")
    assert files.tick().startswith("0 files")
    assert crew.store.client.keys("{control}:*") == []


def test_the_policy_decides_about_files_too(store: Store, tmp_path: Path) -> None:
    crew = Crew(store, tmp_path, policy="monitoring")
    crew.submit(["a"])
    files = HeartbeatFiles(store, crew.wired.commands.carry_out, SECONDS)
    path = tmp_path / "g.md"
    files.registry.register(Registered(str(tmp_path), "g.md", this_host(), goal="g"))
    assert read(files, path, "CANCEL").startswith("denied: ")
    assert read(files, path, "PAUSE") == "paused"
    assert crew.state() == "PAUSED"


def test_doctor_says_whether_somebody_reads(crew: Crew, files: HeartbeatFiles, tmp_path: Path) -> None:
    store = crew.store
    assert checks(store) == []
    for host in ("near", "far", ""):
        files.registry.register(Registered(str(tmp_path), "x.md", host, goal="g"))
    (found,) = checks(store)
    assert (found.ok, found.detail) == (False, "nobody reads 2 of 3: no worker and no ticking beat on far, near")
    store.files.watch("near", "w", 60_000)
    store.upkeep.say(Beat("far:7", 1, True, 1))
    (found,) = checks(store)
    assert (found.ok, found.detail) == (True, "3 are read; on far only beat looks")
    assert "heartbeat files" in [one.name for one in crew.wired.operator.others()]


# -- declared agents -------------------------------------------------------------------------------------------------

_HEAD = """# Team

Write something.

## Agents

### writer
- Goal: team
- Instructions: {text}
- Heartbeat: ./beats/writer.md

### editor
- Goal: team
- Instructions: You edit.
- Heartbeat: ./beats/all.md
{more}
"""
_THIRD = """
### reviewer
- Goal: team
- Instructions: You review.
- Heartbeat: ./beats/all.md
"""


@pytest.fixture
def team(crew: Crew, files: HeartbeatFiles, tmp_path: Path) -> Path:
    """Three agents; two of them share a heartbeat file."""
    (tmp_path / "beats").mkdir()
    file = tmp_path / "INSTRUCTIONS.md"
    file.write_text(_HEAD.format(text="You write.", more=_THIRD))
    declaration = narrowed(read_instructions(file), None, Wish())
    dag: Any = {"goal_id": "team", "nodes": [{"id": "w", "kind": "agent", "agent": "writer"}]}
    assert crew.submitter.submit(document(declaration, dag, Wish())) == "team"
    files.register_declared(declaration, "team")
    return file


def read(files: HeartbeatFiles, path: Path, line: str) -> str:
    """The answer to a line that is added."""
    before = len(log_of(path))
    add(path, line)
    until(lambda: files.tick() and len(log_of(path)) > before, 10, "an answer")
    return log_of(path)[-1].split(" -> ")[1].partition(" [")[0]


def test_a_file_of_one_agent_is_for_that_agent_and_a_shared_one_for_the_goal(
    crew: Crew, files: HeartbeatFiles, team: Path
) -> None:
    own, shared = team.parent / "beats" / "writer.md", team.parent / "beats" / "all.md"
    assert read(files, own, "PAUSE") == "held"
    assert crew.state("team") == "RUNNING"
    assert read(files, own, "PAUSE goal") == "paused"
    assert crew.state("team") == "PAUSED"
    assert read(files, shared, "RESUME") == "resumed"
    assert crew.state("team") == "RUNNING"
    assert read(files, shared, "FLUSH-MEMORY").startswith("ignored: FLUSH-MEMORY is written")
    assert read(files, own, "flush-memory") == "unchanged"


def test_reparse_takes_over_what_is_declared_now(crew: Crew, files: HeartbeatFiles, team: Path) -> None:
    own = team.parent / "beats" / "writer.md"
    team.write_text(_HEAD.format(text="You write well.", more=""))
    answer = read(files, own, "REPARSE")
    cards = crew.wired.agents.cards("team")
    assert cards["writer"].instructions == "You write well.", answer
    assert "reviewer" not in cards
    team.write_text(_HEAD.format(text="You write well.", more=_THIRD))
    read(files, own, "REPARSE")
    assert "reviewer" in crew.wired.agents.cards("team")
    team.write_text("## Agents\n")
    assert read(files, own, "REPARSE").startswith("refused: ")
    assert set(crew.wired.agents.cards("team")) == {*cards, "reviewer"}


def test_an_agent_that_came_with_a_reparse_goes_with_the_next(crew: Crew, files: HeartbeatFiles, team: Path) -> None:
    own = team.parent / "beats" / "writer.md"
    for more in (_THIRD.replace("reviewer", "new"), ""):
        team.write_text(_HEAD.format(text="You write.", more=more))
        read(files, own, "REPARSE")
        assert ("new" in crew.wired.agents.cards("team")) == bool(more)


def test_the_only_agent_of_a_goal_is_the_goal_but_for_its_memory(tmp_path: Path) -> None:
    (tmp_path / "INSTRUCTIONS.md").write_text("## Agents\n### w\n- Instructions: You write.\n- Heartbeat: a.md\n")
    (one,) = files_of(read_instructions(tmp_path / "INSTRUCTIONS.md"), "g", "h")
    assert one.where == Where(tmp_path, "a.md")
    assert one.place.text == "goal g"
    for line, target in (("PAUSE", {"goal": "g"}), ("FLUSH-MEMORY", {"goal": "g", "agent": "w"})):
        found = read_directive(line, one.place)
        assert isinstance(found, Directive)
        assert {name: found.payload[name] for name in ("goal", "agent") if name in found.payload} == target


def test_when_redis_is_full_files_are_still_read(tmp_path: Path) -> None:
    with server() as own:
        store = Store(own.url, Keys(), 2000)
        crew = Crew(store, tmp_path)
        crew.submit(["a"])
        files = HeartbeatFiles(store, crew.wired.commands.carry_out, SECONDS)
        path = tmp_path / "g.md"
        files.registry.register(Registered(str(tmp_path), "g.md", this_host(), goal="g"))
        store.client.config_set("maxmemory", 1)
        watch = files.watch("w")
        watch.start()
        add(path, "PAUSE")
        until(lambda: crew.state() == "PAUSED", 5, "the goal is paused")
        assert files.watcher(this_host())
        watch.stop()
        store.close()
