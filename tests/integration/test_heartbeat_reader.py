"""Reading of heartbeat files: readers that die, caps, what is refused, the log, the register."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
from redis.exceptions import ResponseError

from orchestrator.control.files import reader, replies
from orchestrator.control.files.reader import A_MINUTE
from orchestrator.control.files.registry import NotReadable, Registered, Registry
from orchestrator.domain.command import Answer, Command
from orchestrator.domain.errors import RedisNotReachable
from orchestrator.store.store import Store
from support.heartbeats import HOST, Watched, hurry


class Died(BaseException):
    """The process ends here."""


@pytest.fixture
def file(store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Watched:
    hurry(monkeypatch)
    (tmp_path / "ops.md").write_text("")
    return Watched(store, tmp_path / "ops.md").register()


def die(_: Command) -> None:
    raise Died


# -- readers that die ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("when", ["before", "after"])
def test_a_directive_whose_reader_died_is_finished_under_the_same_id(file: Watched, when: str) -> None:
    setattr(file.taken, when, die)
    file.add("PAUSE", "RESUME")
    with pytest.raises(Died):
        file.look()
    file.taken.before = file.taken.after = lambda _: None
    file.store.client.delete(*file.store.client.keys("{control}:reading:*"))  # its time is up
    file.restart()
    assert file.settle() == ["PAUSE", "RESUME"]
    assert file.taken.repeated == (when == "after")
    assert len(file.replies()) == 2


def test_a_directive_in_between_is_finished_even_if_the_file_has_changed(file: Watched) -> None:
    file.taken.after = die
    file.add("PAUSE")
    with pytest.raises(Died):
        file.look()
    file.taken.after = lambda _: None
    file.store.client.delete(*file.store.client.keys("{control}:reading:*"))
    file.restart()
    file.save("RESUME\nPAUSE\n")
    assert file.settle() == ["PAUSE", "RESUME"], "PAUSE stood there before"


def test_an_answer_that_was_written_before_the_reader_died_is_not_written_twice(
    file: Watched, monkeypatch: pytest.MonkeyPatch
) -> None:
    answer = replies.Replies.answer

    def answer_and_die(*given: object) -> None:
        answer(*given)  # type: ignore[arg-type]
        raise Died

    monkeypatch.setattr(replies.Replies, "answer", answer_and_die)
    file.add("PAUSE")
    with pytest.raises(Died):
        file.look()
    monkeypatch.undo()
    file.store.client.delete(*file.store.client.keys("{control}:reading:*"))
    file.restart()
    assert file.settle() == ["PAUSE"]
    assert len(file.replies()) == 1


def test_nobody_else_reads_while_one_does(file: Watched) -> None:
    other = Watched(file.store, file.path, file.taken)
    other.restart()
    file.taken.after = lambda _: other.look()
    assert file.add("PAUSE").settle() == ["PAUSE"]
    assert file.taken.repeated == 0


def test_a_reader_that_was_overtaken_changes_nothing(file: Watched) -> None:
    def overtaken(_: Command) -> None:
        file.taken.after = lambda _: None
        file.store.client.delete(*file.store.client.keys("{control}:reading:*"))
        other = Watched(file.store, file.path, file.taken)
        other.restart()
        other.settle()

    file.taken.after = overtaken
    assert file.add("PAUSE", "RESUME").settle() == ["PAUSE", "RESUME"]
    assert file.taken.repeated == 1
    assert len(file.replies()) == 2


def test_while_redis_is_away_lines_wait(file: Watched) -> None:
    def away(_: Command) -> Answer:
        raise RedisNotReachable("away")

    file.restart(carry_out=away)
    file.add("PAUSE")
    with pytest.raises(RedisNotReachable):
        file.look()
    file.store.client.delete(*file.store.client.keys("{control}:reading:*"))
    file.restart()
    assert file.settle() == ["PAUSE"]


def test_while_redis_takes_no_writes_lines_wait(file: Watched) -> None:
    file.store.client.config_set("min-replicas-to-write", 1)
    try:
        with pytest.raises(ResponseError, match="NOREPLICAS"):
            file.add("PAUSE").look()
    finally:
        file.store.client.config_set("min-replicas-to-write", 0)
    file.look()
    assert file.taken.words == ["PAUSE"], "at once, and not when a file that failed is tried again"


def test_a_line_that_cannot_be_carried_out_does_not_keep_others_waiting(file: Watched) -> None:
    def broken(command: Command) -> Answer:
        if command.verb == "PAUSE":
            raise KeyError("a defect")
        return file.taken(command)

    file.restart(carry_out=broken)
    assert file.add("PAUSE", "RESUME").settle() == ["RESUME"]
    assert "-> failed: KeyError" in file.replies()[0]


def test_json_that_is_nested_deeply_is_refused_and_does_not_keep_others_waiting(file: Watched) -> None:
    deep = {name: f"{name}: " + '{"a":' * 700 + "1" + "}" * 700 for name in ("EDIT a", "SIGNAL s")}
    file.add("EDIT a: " + "[" * 4000, *deep.values(), "PAUSE")
    assert file.settle()[-1] == "PAUSE"
    assert len(file.replies()) == 4


def test_a_file_that_nobody_can_handle_does_not_keep_others_from_being_read(
    file: Watched, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = Watched(file.store, file.path.with_name("other.md"), file.taken).register()
    read = reader.Reader.read

    def fails(self: reader.Reader, *given: Any) -> reader.Read:
        if self._file.name == "ops.md":
            raise RecursionError
        return read(self, *given)

    monkeypatch.setattr(reader.Reader, "read", fails)
    file.add("PAUSE")
    other.add("RESUME")
    other.look()
    assert file.taken.words == ["RESUME"]


def test_what_a_later_version_wrote_into_the_cursor_is_no_hindrance(file: Watched) -> None:
    client = file.store.client
    (name,) = client.hkeys("{control}:cursors")
    cursor = json.loads(client.hget("{control}:cursors", name))
    later = {**cursor, "new": 1, "at": {**cursor["at"], "new": 1}}
    client.hset("{control}:cursors", name, json.dumps(later))
    assert file.add("PAUSE").settle() == ["PAUSE"]


def test_a_reader_that_fails_leaves_the_file_to_others_at_once(file: Watched) -> None:
    client = file.store.client
    (name,) = client.hkeys("{control}:cursors")
    good = client.hget("{control}:cursors", name)
    client.hset("{control}:cursors", name, "[]")
    file.add("PAUSE").look()
    client.hset("{control}:cursors", name, good)
    file.restart()
    file.look()
    assert file.taken.words == ["PAUSE"]


# -- caps and what is refused ----------------------------------------------------------------------------------------


def test_more_than_a_minute_takes_waits_and_is_not_lost(file: Watched) -> None:
    file.add(*(f"PAUSE: {index}" for index in range(A_MINUTE + 2)))
    assert 0 < file.look() <= 1
    assert len(file.taken.words) == A_MINUTE
    assert "the rest waits" in file.replies()[-1]
    assert file.settle()[-1] == f"PAUSE {A_MINUTE + 1}"
    assert len(file.replies()) == A_MINUTE + 3, "it is said once"


def test_notes_are_answered_and_use_up_nothing(file: Watched) -> None:
    file.add(*(f"please pause {index}" for index in range(A_MINUTE + 40)), "PAUSE")
    assert file.settle() == ["PAUSE"]
    assert len(file.replies()) == A_MINUTE + 41


def test_a_file_that_is_too_large_is_not_read_until_it_is_smaller(file: Watched) -> None:
    file.add("PAUSE").settle()
    large = "#" + "x" * 1_048_576 + "\n"
    file.path.write_text("PAUSE\n" + large + "RESUME\n")
    file.settle()
    file.restart()
    assert file.settle() == ["PAUSE"]
    assert [line for line in file.replies() if "not read" in line] == [
        "the file is not read: it has more than 1,048,576 bytes"
    ]
    file.path.write_text("PAUSE\nRESUME\n")
    assert file.settle() == ["PAUSE", "RESUME"]


def test_a_long_line_is_ignored_alone(file: Watched) -> None:
    file.add("STEER a: " + "x" * 5000, "PAUSE")
    assert file.settle() == ["PAUSE"]
    assert "ignored: the line is longer than 4,096 bytes" in file.replies()[0]
    assert len(file.replies()[0]) < 400


def test_bytes_that_are_no_text_and_control_characters_are_shown_harmlessly(file: Watched) -> None:
    with file.path.open("ab") as stream:
        stream.write(b"PAUSE\x1b[2J\n\xff\xfePAUSE\nPAUSE\r\n")
    assert file.settle() == ["PAUSE"]
    assert "\x1b" not in "".join(file.replies())


def test_a_link_in_the_place_of_the_file_is_not_followed(file: Watched, tmp_path: Path) -> None:
    (tmp_path / "other").write_text("PAUSE\n")
    file.path.unlink()
    file.path.symlink_to(tmp_path / "other")
    assert file.settle() == []
    assert file.replies() == ["the file is not read: 'ops.md' is a symbolic link, which is not followed"]


def test_a_fifo_in_the_place_of_the_file_is_not_opened(file: Watched) -> None:
    file.path.unlink()
    os.mkfifo(file.path)
    assert file.settle() == []


@pytest.mark.parametrize("kind", ["symlink", "hard link", "folder"])
def test_answers_are_not_written_into_another_file(
    file: Watched, tmp_path: Path, kind: str, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "secret").write_text("untouched")
    log = tmp_path / "ops.md.log"
    if kind == "symlink":
        log.symlink_to(tmp_path / "secret")
    elif kind == "hard link":
        log.hardlink_to(tmp_path / "secret")
    else:
        log.mkdir()
    assert file.add("PAUSE").settle() == ["PAUSE"], "the directive acts all the same"
    assert (tmp_path / "secret").read_text() == "untouched"
    assert "are not written beside it" in caplog.text


def test_the_log_is_put_aside_once_it_is_large(file: Watched, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(replies, "LOG_BYTES", 1000)
    file.add(*(f"note {index}" for index in range(40))).settle()
    assert file.path.with_name("ops.md.log").stat().st_size <= 1000
    assert file.path.with_name("ops.md.log.1").stat().st_size <= 1000
    assert "line 40: note 39" in file.replies()[-1]
    assert sorted(one.name for one in file.path.parent.iterdir()) == ["ops.md", "ops.md.log", "ops.md.log.1"]


# -- the register ----------------------------------------------------------------------------------------------------


def test_registered_for_the_same_again_nothing_changes(file: Watched) -> None:
    file.add("PAUSE")
    again = Registered(str(file.path.parent), file.path.name, HOST, goal="g")
    assert Registry(file.store).register(again) == "known"
    assert file.settle() == ["PAUSE"]


def test_registered_for_another_goal_it_begins_at_its_end(file: Watched) -> None:
    file.add("PAUSE")
    other = Registered(str(file.path.parent), file.path.name, HOST, goal="other")
    assert Registry(file.store).register(other) == "registered"
    assert file.add("RESUME").settle() == ["RESUME"]
    assert [one.goal for one in file.taken.commands] == ["other"]


def test_a_file_that_is_forgotten_is_read_no_more_and_leaves_no_key(file: Watched) -> None:
    file.add("PAUSE").settle()
    known = Registry(file.store).all()[0]
    assert Registry(file.store).forget(known)
    assert not Registry(file.store).forget(known)
    assert file.add("RESUME").settle() == ["PAUSE"]
    assert file.store.client.keys("*") == []


def test_files_of_other_machines_are_left_to_those(store: Store, tmp_path: Path) -> None:
    registry = Registry(store)
    for host in (HOST, "elsewhere", ""):
        registry.register(Registered(str(tmp_path), f"{host}.md", host, goal="g"))
    assert sorted(one.host for one in registry.of_host(HOST)) == ["", HOST]


def test_a_register_sees_what_others_change(store: Store, tmp_path: Path) -> None:
    mine, other = Registry(store), Registry(store)
    one = Registered(str(tmp_path), "a.md", HOST, goal="g")
    for _ in range(3):
        other.register(one)
        assert [file.goal for file in mine.all()] == ["g"]
        assert other.forget(other.all()[0])
        assert mine.all() == ()


def test_what_cannot_be_read_is_not_registered(store: Store, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tmp_path / "x")
    with pytest.raises(NotReadable, match="symbolic link"):
        Registry(store).register(Registered(str(tmp_path), "link", HOST, goal="g"))
    assert Registry(store).all() == ()


def test_a_reader_of_an_earlier_registration_reads_nothing(file: Watched) -> None:
    before = Registry(file.store).all()
    file.add("PAUSE")
    other = Registered(str(file.path.parent), file.path.name, HOST, goal="other")
    Registry(file.store).register(other)
    file.add("RESUME")
    file.lookers[0].look(before)
    assert file.taken.words == []
    assert file.settle() == ["RESUME"]


def test_the_id_of_a_command_follows_from_the_file_its_place_and_its_text(file: Watched) -> None:
    start = file.store.client.hgetall("{control}:cursors")
    file.add("PAUSE", "RESUME").settle()
    file.store.client.hset("{control}:cursors", mapping=start)
    file.restart()
    assert file.settle() == ["PAUSE", "RESUME"]
    assert file.taken.repeated == 2
