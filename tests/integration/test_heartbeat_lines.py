"""Each line of a heartbeat file acts once, whatever is done to the file."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from orchestrator.control.files.registry import ANY_HOST, Registered
from orchestrator.store.store import Store
from support.heartbeats import Watched, hurry


@pytest.fixture
def file(store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Watched:
    """A registered file with a comment and an old directive."""
    hurry(monkeypatch)
    path = tmp_path / "writer.md"
    path.write_text("# directives\nCANCEL: long ago\n")
    return Watched(store, path).register()


def test_what_stood_there_when_it_was_registered_is_not_carried_out(file: Watched) -> None:
    assert file.settle() == []
    assert file.replies() == []


def test_appended_lines_act_in_their_order_and_are_answered(file: Watched) -> None:
    file.add("pause: one", "", "# no", "Resume").settle()
    file.add("PAUSE: two")
    assert file.settle() == ["PAUSE one", "RESUME", "PAUSE two"]
    assert [line.partition(" [")[0] for line in file.replies()] == [
        "line 3: pause: one -> done", "line 6: Resume -> done", "line 7: PAUSE: two -> done",
    ]  # fmt: skip
    assert len({one.id for one in file.taken.commands}) == 3


def test_the_same_line_again_acts_again(file: Watched) -> None:
    file.add("PAUSE").settle()
    assert file.add("PAUSE", "PAUSE").settle() == ["PAUSE"] * 3


def test_a_restart_between_looks_changes_nothing(file: Watched) -> None:
    file.add("PAUSE").settle()
    file.restart()
    assert file.settle() == ["PAUSE"]
    file.restart()
    assert file.add("RESUME").settle() == ["PAUSE", "RESUME"]


def test_a_last_line_without_its_end_counts_once_it_stands_still(file: Watched) -> None:
    with file.path.open("a") as stream:
        stream.write("PAU")
        stream.flush()
        assert file.look() <= 1
        stream.write("SE")
        stream.flush()
        assert file.look() <= 1
    assert file.taken.words == []
    assert file.settle() == ["PAUSE"]
    with file.path.open("a") as stream:
        stream.write("\nRESUME\n")
    assert file.settle() == ["PAUSE", "RESUME"]
    assert len(file.replies()) == 2


def test_what_is_added_to_a_line_that_was_read_without_its_end_is_no_line(file: Watched) -> None:
    with file.path.open("a") as stream:
        stream.write("PAUSE")
        stream.flush()
        file.settle()
        stream.write(": because\nRESUME\n")
    assert file.settle() == ["PAUSE", "RESUME"]
    assert "ignored: it continues a line" in file.replies()[1]


@pytest.mark.parametrize("name", ["writer.md.1", "writer.md-20261121", "writer.md.2026-11-21", "writer-20261121.md"])
def test_rotation_reads_the_rest_of_the_old_file_and_all_of_the_new_one(file: Watched, name: str) -> None:
    file.add("PAUSE: read").settle()
    file.add("RESUME: not read yet")
    file.path.rename(file.path.with_name(name))
    file.path.write_text("PAUSE: read\n")
    assert file.settle() == ["PAUSE read", "RESUME not read yet", "PAUSE read"]
    assert file.add("CANCEL: long ago").settle()[3:] == ["CANCEL long ago"]


def test_a_last_line_without_its_end_is_complete_once_it_was_rotated(file: Watched) -> None:
    with file.path.open("a") as stream:
        stream.write("PAUSE")
    file.path.rename(file.path.with_name("writer.md.1"))
    assert file.settle() == ["PAUSE"]
    assert file.add("RESUME").settle() == ["PAUSE", "RESUME"]


def test_a_backup_that_an_editor_leaves_is_no_rotation(file: Watched) -> None:
    file.add("PAUSE").settle()
    text = file.path.read_text()
    file.path.rename(file.path.with_name("writer.md~"))
    file.path.write_text(text.replace("# directives", "# mine") + "RESUME\n")
    assert file.settle() == ["PAUSE", "RESUME"]


def test_copy_and_truncate_reads_what_only_the_copy_has(file: Watched) -> None:
    file.add("PAUSE").settle()
    file.add("RESUME")
    file.path.with_name("writer.md.1").write_bytes(file.path.read_bytes())
    file.path.write_text("")
    assert file.settle() == ["PAUSE", "RESUME"]
    assert file.add("PAUSE").settle() == ["PAUSE", "RESUME", "PAUSE"]


def test_what_was_put_aside_earlier_does_not_act_again_though_it_begins_alike(file: Watched) -> None:
    file.path.write_text("# directives\n")
    file.settle()
    file.add("PAUSE").settle()
    file.path.rename(file.path.with_name("writer.md.1"))
    file.path.write_text("# directives\n")
    assert file.settle() == ["PAUSE"]
    file.path.write_text("# changed in its place\nRESUME\n")
    assert file.settle() == ["PAUSE", "RESUME"]


def test_a_line_that_was_continued_does_not_act_when_the_file_is_saved(file: Watched) -> None:
    with file.path.open("a") as stream:
        stream.write("PAUSE")
        stream.flush()
        file.settle()
        stream.write(": because\n")
    file.settle()
    assert file.save("# new head\n" + file.path.read_text()).settle() == ["PAUSE"]


def test_a_file_that_is_emptied_begins_anew(file: Watched) -> None:
    file.add("PAUSE").settle()
    file.path.write_text("")
    file.settle()
    assert file.add("PAUSE").settle() == ["PAUSE", "PAUSE"]


def test_a_file_that_is_removed_and_made_again_begins_anew(file: Watched) -> None:
    file.add("PAUSE").settle()
    file.path.unlink()
    file.settle()
    assert file.add("PAUSE").settle() == ["PAUSE", "PAUSE"]


def test_a_folder_that_was_away_for_a_while_brings_nothing_new(file: Watched) -> None:
    """As with a volume that was not mounted, or a folder that was put in another's place and back."""
    file.add("PAUSE").settle()
    away = file.path.parent.rename(file.path.parent.with_name("away"))
    file.settle()
    away.rename(file.path.parent)
    assert file.settle() == ["PAUSE"]
    assert file.add("RESUME").settle() == ["PAUSE", "RESUME"]


@pytest.mark.parametrize("back", ["as it was", "as it was before that"])
def test_a_file_that_comes_back_brings_nothing_new(file: Watched, back: str) -> None:
    file.add("PAUSE")
    early = file.path.with_name("early.md")
    shutil.copy2(file.path, early)
    file.add("RESUME").settle()
    late = file.path.rename(file.path.with_name("late.md"))
    file.settle()
    (late if back == "as it was" else early).rename(file.path)
    assert file.settle() == ["PAUSE", "RESUME"]
    assert file.add("CANCEL").settle() == ["PAUSE", "RESUME", "CANCEL"]


def test_a_machine_that_has_not_the_file_does_not_make_its_lines_new(store: Store, tmp_path: Path) -> None:
    (tmp_path / "ops.md").write_text("CANCEL\n")
    file = Watched(store, tmp_path / "ops.md")
    file.registry.register(Registered(str(tmp_path), "ops.md", ANY_HOST, goal="g"))
    file.restart()
    file.add("PAUSE").settle()
    away = file.path.rename(tmp_path / "away.md")  # what the other machine sees
    file.restart()
    file.settle()
    away.rename(file.path)
    file.restart()
    assert file.add("RESUME").settle() == ["PAUSE", "RESUME"]


def test_a_file_that_was_not_there_yet_is_read_from_its_beginning(store: Store, tmp_path: Path) -> None:
    file = Watched(store, tmp_path / "later.md").register()
    file.settle()
    assert file.add("PAUSE").settle() == ["PAUSE"]


def test_an_editor_that_saves_without_a_change_does_nothing(file: Watched) -> None:
    file.add("PAUSE").settle()
    assert file.save(file.path.read_text()).settle() == ["PAUSE"]
    file.path.write_text(file.path.read_text())
    assert file.settle() == ["PAUSE"]


def test_an_editor_that_adds_a_line_at_the_end_gives_that_line(file: Watched) -> None:
    file.add("PAUSE").settle()
    assert file.save(file.path.read_text() + "RESUME\n").settle() == ["PAUSE", "RESUME"]


def test_an_editor_that_changes_the_middle_gives_what_is_new_there(file: Watched) -> None:
    file.add("PAUSE: a", "RESUME").settle()
    file.save("# new head\nRESUME\nPAUSE: b\nCANCEL: long ago\nPAUSE: a\n")
    assert file.settle() == ["PAUSE a", "RESUME", "PAUSE b"]
    assert file.add("PAUSE: c").settle()[3:] == ["PAUSE c"]


def test_a_line_that_an_editor_takes_out_may_be_written_again(file: Watched) -> None:
    file.add("PAUSE").settle()
    assert file.save("# empty\n").settle() == ["PAUSE"]
    assert file.save("# empty\nPAUSE\n").settle() == ["PAUSE", "PAUSE"]


def test_a_file_that_is_written_anew_in_its_place_is_not_believed_half_way(file: Watched) -> None:
    file.add("PAUSE: a", "RESUME").settle()
    text = file.path.read_text()
    with file.path.open("w") as stream:
        assert file.look() <= 1
        stream.write(text[:40])
        stream.flush()
        assert file.look() <= 1
        stream.write(text[40:] + "PAUSE: b\n")
    assert file.settle() == ["PAUSE a", "RESUME", "PAUSE b"]


def test_overwriting_with_another_line_gives_that_line(file: Watched) -> None:
    file.add("PAUSE").settle()
    for text in ("RESUME\n", "PAUSE\n", "RESUME\n"):
        file.path.write_text(text)
        file.settle()
    assert file.taken.words == ["PAUSE", "RESUME", "PAUSE", "RESUME"]


def test_two_readers_at_once_act_once_and_answer_once(file: Watched) -> None:
    file.restart(readers=3)
    for index in range(10):
        file.add(f"PAUSE: {index}")
        file.look()
    assert file.settle() == [f"PAUSE {index}" for index in range(10)]
    assert len(file.replies()) == 10
