"""`agents`, `steer`, `transcript`, `complete` and `ask`: arguments, what is shown, and what is never shown raw."""

from __future__ import annotations

import io
import json
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import click
import pytest
from click.testing import CliRunner

from orchestrator.agents.desk import BadToken
from orchestrator.cli.ask import _document, _queued
from orchestrator.cli.context import text_of
from orchestrator.cli.main import chordal as chordal_group
from orchestrator.domain.errors import IllegalTransition
from orchestrator.domain.validate import read_goal
from orchestrator.settings import Settings
from support.door import Door, Run, answered

ANSWER = {
    "kind": "answer", "turn": 1, "text": "I look.\n\x1b[2Jhidden", "model": "small", "input_tokens": 1200,
    "output_tokens": 7, "micro_usd": 3100, "final": False,
    "calls": [
        {"id": "c1", "name": "look_up", "arguments": '{"order": "A\x1b]0;x"}', "node": "task.t1.0", "fault": "", "token": ""},
        {"id": "c2", "name": "rm", "arguments": "{}", "node": "", "fault": "there is no tool 'rm'", "token": ""},
    ],
}  # fmt: skip
RESULTS = {"kind": "results", "turn": 1, "results": [{"id": "c1", "text": "x\n" * 60, "failed": False}]}
STEERED = {"kind": "steered", "id": "m1", "speaker": "user", "text": "Be brief."}
TOLD = {"kind": "told", "why": "fault", "text": "the answer cannot be used", "node": ""}
WAITS = {"kind": "steered", "id": "m2", "speaker": "system", "text": "And kind.", "waiting": True}


class Desk:
    """What the commands ask of `Chordal.agents`."""

    def __init__(self) -> None:
        self.calls: list[tuple[Any, ...]] = []
        self.said: list[dict[str, Any]] = []
        self.raises: Exception | None = None

    def complete_deferred(self, token: str, result: Any = None, *, error: str | None = None) -> str:
        self._note("complete", token, result, error)
        return "completed"

    def transcript(self, goal: str, node: str) -> list[dict[str, Any]]:
        self._note("transcript", goal, node)
        return self.said

    def _note(self, *what: Any) -> None:
        self.calls.append(what)
        if self.raises:
            raise self.raises


@pytest.fixture
def desk(door: Door) -> Desk:
    made = Desk()
    door.agents = made  # type: ignore[attr-defined]
    return made


def test_steer_hands_the_message_on(door: Door, chordal: Run) -> None:
    door.commands.says["STEER"] = lambda command: answered(command, "steered")
    result = chordal("steer", "g1", "write", "Keep it short.")
    assert (result.exit_code, result.stdout) == (0, "node write of goal g1 will read it with its next turn\n")
    chordal("steer", "g1", "write", "-", "--as", "system", "--id", "m7", text="From a file.")
    assert "agent writer of goal g1" in chordal("steer", "g1", "--agent", "writer", "All of you.").stdout
    assert [(one.node or one.agent, one.id, one.arguments.message) for one in door.commands.given] == [
        ("write", "", [{"role": "user", "content": "Keep it short."}]),
        ("write", "m7", [{"role": "system", "content": "From a file."}]),
        ("writer", "", [{"role": "user", "content": "All of you."}]),
    ]
    assert json.loads(chordal("steer", "g1", "write", "x", "--json").stdout)["outcome"] == "steered"


def test_a_text_without_quotes_is_no_message(door: Door, chordal: Run) -> None:
    result = chordal("steer", "g1", "write", "Keep", "it", "short")
    assert (result.exit_code, "quotes" in result.stderr, door.commands.given) == (2, True, [])


def test_steering_what_has_ended_exits_with_2(door: Door, chordal: Run) -> None:
    door.raises = IllegalTransition("node 'write' is DONE; nobody would read the message")
    result = chordal("steer", "g1", "write", "x")
    assert (result.exit_code, "nobody would read" in result.stderr) == (2, True)


def test_complete_takes_json_a_file_or_an_error(desk: Desk, chordal: Run) -> None:
    token = "g1:task.t1.0:5f3a"
    assert "task.t1.0 of goal g1" in chordal("complete", token, '{"arrived": true}').stdout
    chordal("complete", token, "-", text="[1]")
    chordal("complete", token)
    chordal("complete", token, "--error", "lost")
    assert [call[2:] for call in desk.calls] == [({"arrived": True}, None), ([1], None), (None, None), (None, "lost")]
    assert chordal("complete", token, "nope").exit_code == 2
    assert chordal("complete", token, "1", "--error", "lost").exit_code == 2
    said = chordal("complete", token, "1", "--json").stdout
    assert json.loads(said) == {"goal_id": "g1", "node": "task.t1.0", "outcome": "completed"}
    assert "5f3a" not in said
    desk.raises = BadToken("no tool call waits for it")
    assert chordal("complete", token, "1").exit_code == 2


def test_a_transcript_is_readable_and_cannot_steer_the_terminal(desk: Desk, chordal: Run) -> None:
    desk.said = [ANSWER, RESULTS, STEERED, TOLD, {**ANSWER, "turn": 2, "calls": [], "final": True}, WAITS]
    out = chordal("transcript", "g1", "task").stdout
    assert "\x1b" not in out
    lines = out.splitlines()
    assert lines[0] == "turn 1  small, 1,200 tokens in, 7 out, 0.003100 $"
    assert "  \\x1b[2Jhidden" in lines
    assert '  calls look_up {"order": "A\\x1b]0;x"}  [task.t1.0]' in lines
    assert "    refused: there is no tool 'rm'" in lines
    assert "  look_up gave:" in lines
    assert "... and 20 more lines" in out
    assert "turn 2, final" in out
    assert lines[-2:] == ["system said (message m2, not read yet)", "  And kind."]
    assert "more lines" not in chordal("transcript", "g1", "task", "--all").stdout


def test_a_transcript_as_json_is_one_entry_a_line(desk: Desk, chordal: Run) -> None:
    desk.said = [ANSWER, WAITS]
    out = chordal("transcript", "g1", "task", "--json").stdout
    assert "\x1b" not in out
    assert [json.loads(line) for line in out.splitlines()] == [ANSWER, WAITS]


def test_following_goes_on_to_the_end_of_the_node(desk: Desk, door: Door, chordal: Run) -> None:
    states = iter(["RUNNING", "RUNNING", "DONE"])

    def look(_goal: str, _nodes: list[str]) -> list[dict[str, str]]:
        desk.said.append({**STEERED, "id": f"m{len(desk.said)}"})
        return [{"state": next(states)}]

    door.store = SimpleNamespace(nodes=SimpleNamespace(states=look))
    out = chordal("transcript", "g1", "task", "--follow", "--json").stdout
    assert [json.loads(line)["id"] for line in out.splitlines()] == ["m0", "m1", "m2"]


def test_a_question_is_a_goal_of_one_node() -> None:
    call = read_goal(_document("Why?\nReally.", None, "small", "Be brief."))
    assert call.title == "Why? Really."
    assert (call.nodes[0].kind, call.nodes[0].inputs) == (
        "llm", {"prompt": "Why?\nReally.", "system": "Be brief.", "model": "small"},
    )  # fmt: skip
    turn = read_goal(_document("Why?", "ada", None, None))
    assert (turn.nodes[0].kind, turn.nodes[0].agent, turn.nodes[0].inputs) == ("agent", "ada", {"task": "Why?"})


@pytest.mark.parametrize("words", [("",), ("x", "--agent", "ada", "--model", "m"), ("x", "--agent", "a b")])
@pytest.mark.usefixtures("door")
def test_a_question_that_cannot_be_asked_exits_with_2(chordal: Run, words: tuple[str, ...]) -> None:
    assert chordal("ask", *words).exit_code == 2


@pytest.mark.parametrize(
    ("words", "name"),
    [
        (("steer", "g1", "write", "a\udcff"), "TEXT"),
        (("steer", "g1", "write", "-"), "TEXT"),
        (("ask", "-"), "QUESTION"),
        (("ask", "a\udcff"), "QUESTION"),
        (("ask", "x", "--system", "\udcff"), "--system"),
        (("complete", "g1:n:s", "-"), "JSON"),
    ],
)
def test_what_is_not_utf_8_is_refused_by_name(desk: Desk, door: Door, words: tuple[str, ...], name: str) -> None:
    for stdin in (b"a\xff", "a\udcff".encode("utf-8", "surrogatepass")):
        result = CliRunner().invoke(chordal_group, words, input=stdin, prog_name="chordal")
        assert (result.exit_code, "not UTF-8 text" in result.stderr, name in result.stderr) == (2, True, True)
    assert (desk.calls, door.calls) == ([], [])


def test_bytes_that_the_locale_hands_over_raw_are_refused_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO("a\udcff"))
    with pytest.raises(click.BadParameter, match="not UTF-8"):
        text_of("-", "TEXT")


def test_an_agent_that_nobody_declares_is_refused_before_anything_starts(
    door: Door, chordal: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("orchestrator.cli.ground.ground", lambda *_, **__: pytest.fail("a stack was looked for"))
    result = chordal("ask", "x", "--agent", "nobody")
    assert result.exit_code == 2
    assert "declares an agent 'nobody'" in result.stderr
    assert door.calls == []


def test_modules_are_looked_for_where_workers_look_and_may_be_elsewhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.path", list(sys.path))
    Path("shop_agents_here.py").write_text(
        "from orchestrator import Agent\nAgent('shop-clerk', 'Sell.', queue='shop')\n"
    )
    goal = read_goal(_document("Why?", "shop-clerk", None, None))
    assert _queued(Settings(imports=("shop_agents_here",)), goal).nodes[0].queue == "shop"
    other = read_goal(_document("Why?", "nobody", None, None))
    assert _queued(Settings(imports=("not_installed_here",)), other) is other, "the workers may have it"
