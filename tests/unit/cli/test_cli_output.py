"""Text from goals cannot steer the terminal; numbers read as people write them."""

from __future__ import annotations

import json
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.cli import output
from orchestrator.domain.states import NodeState


@given(st.text())
def test_safe_text_has_nothing_that_a_terminal_obeys(text: str) -> None:
    made = output.safe(text)
    assert not any((ord(letter) < 32 and letter not in "\n\t") or 127 <= ord(letter) < 160 for letter in made)
    assert not any(letter in "\u202e\u2066\u200f" for letter in made)
    made.encode()


@given(st.text(max_size=50))
def test_one_line_is_one_line_and_keeps_its_limit(text: str) -> None:
    made = output.one_line(text, 10)
    assert len(made.splitlines()) <= 1
    assert len(made) <= 10


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (None, "-"),
        (0.424, "0.42 s"),
        (12.34, "12.3 s"),
        (245, "4 min 05 s"),
        (3599.9, "1 h 00 min"),
        (11_220, "3 h 07 min"),
    ],
)
def test_durations(seconds: float | None, text: str) -> None:
    assert output.duration(seconds) == text


def test_counts_come_in_the_order_of_the_states() -> None:
    assert output.counted({NodeState.FAILED: 1, NodeState.DONE: 1200, NodeState.READY: 0}) == "1,200 DONE, 1 FAILED"
    assert output.counted({}) == "no nodes"


def test_clock_is_local_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "UTC")
    time.tzset()
    assert output.clock(0) == "1970-01-01 00:00:00"


def test_columns_align_and_are_whole_in_a_pipe(capsys: pytest.CaptureFixture[str]) -> None:
    output.columns(("a", "b"), [("long name", "x" * 300), ("y", "z")])
    lines = capsys.readouterr().out.splitlines()
    assert lines[1] == "long name  " + "x" * 300
    assert lines[2] == "y          z"


def test_json_lines_are_ascii(capsys: pytest.CaptureFixture[str]) -> None:
    output.json_line({"title": "\x9b31m \u202e ü"})
    text = capsys.readouterr().out
    assert text.isascii()
    assert json.loads(text) == {"title": "\x9b31m \u202e ü"}
