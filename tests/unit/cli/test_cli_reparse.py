"""Instructions that change while their goal runs are handed over, and faults in them change nothing."""

from __future__ import annotations

import errno
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from orchestrator.agents.declare.instructions import read_instructions
from orchestrator.agents.plan.planner import planner_of
from orchestrator.cli.reparse import Watch
from orchestrator.domain.agent import AgentCard
from orchestrator.domain.command import Answer, Command, Denied
from orchestrator.domain.errors import ChordalError, GoalNotFound, IllegalTransition, RedisNotReachable
from orchestrator.domain.verbs import Reparse
from support.door import Door, Run, answered

TEXT = "## Agents\n### a\n- Instructions: a.md\n### b\n- Role: planner\n- Goal: g\n### c\n- Goal: other\n"


class Desk:
    """Keeps cards, and what was handed over."""

    def __init__(self, *cards: AgentCard) -> None:
        self.stored = {card.name: card for card in cards}
        self.given: list[tuple[str, list[str], str]] = []
        self.away = False
        self.raises: Exception | None = None

    def cards(self, goal: str) -> dict[str, AgentCard]:
        if self.away:
            raise RedisNotReachable(goal)
        if self.raises:
            raise self.raises
        return self.stored

    def act(self, command: Command) -> Answer:
        given: Reparse = command.arguments
        self.cards(command.goal or "")
        self.given.append((command.goal or "", [card.name for card in given.agents], given.source))
        changed = [card.name for card in given.agents if self.stored.get(card.name) != card]
        self.stored |= {card.name: card for card in given.agents}
        changed += [name for name in given.removed if self.stored.pop(name, None)]
        return answered(command, "reparsed", **({"changed": ", ".join(changed)} if changed else {}))

    carry_out = act

    @contextmanager
    def reachable(self) -> Iterator[None]:
        yield


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A declaration of two agents of goal g."""
    (tmp_path / "a.md").write_text("Be kind.")
    (tmp_path / "INSTRUCTIONS.md").write_text(TEXT)
    return tmp_path / "INSTRUCTIONS.md"


@pytest.fixture
def desk(path: Path) -> Desk:
    """The desk of a goal that was made from it."""
    return Desk(*read_instructions(path).for_goal("g").cards)


@pytest.fixture
def watch(path: Path, desk: Desk) -> Watch:
    """What looks at it for goal g."""
    door: Any = SimpleNamespace(agents=desk, commands=desk, reachable=desk.reachable)
    return Watch(door, "g", read_instructions(path).for_goal("g"))


def test_a_change_of_an_agents_file_is_handed_over_once(path: Path, desk: Desk, watch: Watch) -> None:
    assert watch.look() == ""
    (path.parent / "a.md").write_text("Be very kind.")
    assert watch.look() == "instructions of a changed; they hold from the next turn on"
    assert watch.look() == ""
    assert desk.given == [("g", ["a"], f"INSTRUCTIONS.md {read_instructions(path).digest}")]
    assert desk.stored["a"].instructions == "Be very kind."


def test_touching_a_file_or_changing_other_goals_agents_is_no_change(path: Path, desk: Desk, watch: Watch) -> None:
    path.write_text(TEXT + "- Role: x\n")
    assert watch.look() == ""
    assert desk.given == []


def test_faults_are_told_once_and_mending_them_is_seen(path: Path, desk: Desk, watch: Watch) -> None:
    path.write_text(TEXT + "- Nope: 1\n")
    assert "INSTRUCTIONS.md:9: there is no field 'Nope'" in watch.look()
    assert watch.look() == ""
    path.write_text(TEXT + "- Nope: 1\n\n")
    assert watch.look() == ""
    (path.parent / "a.md").unlink()
    assert "there is no such file" in watch.look()
    assert desk.given == []
    path.write_text(TEXT.replace("a.md", "new.md"))
    (path.parent / "new.md").write_text("Be new.")
    assert "instructions of a changed" in watch.look()
    (path.parent / "new.md").write_text("Be newer still.")
    assert "instructions of a changed" in watch.look()


def test_a_change_while_the_stack_starts_is_seen(path: Path, desk: Desk, watch: Watch) -> None:
    (path.parent / "a.md").write_text("Be very kind.")
    assert "instructions of a changed" in watch.look()
    assert desk.stored["a"].instructions == "Be very kind."


def test_a_file_that_was_missing_is_found_when_it_comes(path: Path, watch: Watch) -> None:
    path.write_text(TEXT.replace("a.md", "new.md"))
    assert "there is no such file" in watch.look()
    (path.parent / "new.md").write_text("Be new.")
    assert "instructions of a changed" in watch.look()


def test_an_agent_that_is_taken_out_is_told(path: Path, desk: Desk, watch: Watch) -> None:
    path.write_text(TEXT.replace("### b\n", "### d\n"))
    assert watch.look() == (
        "instructions of d changed; they hold from the next turn on; b declared no more; their next turns fail"
    )
    assert watch.look() == ""
    assert list(desk.stored) == ["a", "d"]


def test_what_redis_did_not_take_is_tried_again(path: Path, desk: Desk, watch: Watch) -> None:
    (path.parent / "a.md").write_text("Be very kind.")
    desk.away = True
    with pytest.raises(RedisNotReachable):
        watch.look()
    desk.away = False
    assert "instructions of a changed" in watch.look()


def test_the_command(door: Door, chordal: Run, path: Path, desk: Desk) -> None:
    door.agents = door.commands = desk  # type: ignore[assignment, attr-defined]
    assert chordal("reparse", "g", str(path)).stdout == "nothing changed\n"
    (path.parent / "a.md").write_text("Be very kind.")
    assert chordal("reparse", "g", str(path.parent)).stdout == "changed: a\n"
    (path.parent / "a.md").write_text("Be kind again.")
    found = json.loads(chordal("reparse", "g", str(path), "--json").stdout)
    assert (found["goal_id"], found["changed"], found["outcome"]) == ("g", ["a"], "reparsed")
    path.write_text("")
    assert chordal("reparse", "g", str(path)).exit_code == 2


def test_agents_that_are_declared_no_more_are_removed_and_others_stay(
    door: Door, chordal: Run, path: Path, desk: Desk
) -> None:
    door.agents = door.commands = desk  # type: ignore[assignment, attr-defined]
    desk.stored |= {name: AgentCard(name=name) for name in ("own", "gone")}
    ours = planner_of({"a": AgentCard(name="a")})
    desk.stored[ours.name] = ours
    goal_py = path.parent / "goal.py"
    goal_py.write_text("raise SystemExit\n")
    result = chordal("reparse", "g", str(path))
    assert (result.stdout, result.stderr) == (
        "nothing changed\n", "not declared, but goal.py may have brought them along, so they stay: gone, own\n",
    )  # fmt: skip
    goal_py.unlink()
    (path.parent / "goal.json").write_text(json.dumps({"agents": [{"name": "own"}], "nodes": []}))
    assert chordal("reparse", "g", str(path)).stdout == "changed: gone\n"
    assert set(desk.stored) == {"a", "b", "own", ours.name}


def test_a_goal_that_a_file_of_several_goals_does_not_name_is_refused(
    door: Door, chordal: Run, path: Path, desk: Desk
) -> None:
    door.agents = door.commands = desk  # type: ignore[assignment, attr-defined]
    result = chordal("reparse", "nobody", str(path))
    assert result.exit_code == 2
    assert "of the goals g, other, not of nobody" in result.stderr
    assert desk.given == []


@pytest.mark.parametrize("trouble", [ChordalError("no room"), OSError("no room")])
def test_trouble_is_told_once_and_tried_again(path: Path, desk: Desk, watch: Watch, trouble: Exception) -> None:
    assert watch.look() == ""
    (path.parent / "a.md").write_text("Be very kind.")
    desk.raises = trouble
    assert watch.look() == "the agents stay as they are: no room"
    assert watch.look() == ""
    desk.raises = None
    assert "instructions of a changed" in watch.look()


@pytest.mark.parametrize("over", [IllegalTransition("goal 'g' is DONE"), GoalNotFound("there is no goal 'g'")])
def test_a_goal_that_ends_meanwhile_is_no_trouble(path: Path, desk: Desk, watch: Watch, over: Exception) -> None:
    (path.parent / "a.md").write_text("Be very kind.")
    desk.raises = over
    assert watch.look() == ""


def test_a_folder_that_cannot_be_opened_is_told_once(path: Path, watch: Watch, monkeypatch: pytest.MonkeyPatch) -> None:
    assert watch.look() == ""
    path.write_text(TEXT + "- Role: x\n")

    def full(*_: object, **__: object) -> int:
        raise OSError(errno.EMFILE, "Too many open files")

    with monkeypatch.context() as patch:
        patch.setattr("os.open", full)
        assert "it cannot be opened: Too many open files" in watch.look()
        assert watch.look() == ""
    assert watch.look() == ""


def test_who_may_not_is_told_once_and_does_not_ask_again(path: Path, desk: Desk, watch: Watch) -> None:
    assert watch.look() == ""
    (path.parent / "a.md").write_text("Be very kind.")
    desk.raises = Denied("cli:ann@h may not REPARSE")
    assert "may not REPARSE" in watch.look()
    desk.raises = AssertionError("it asked again")
    assert watch.look() == ""
