"""kill -9 at points of a turn repeats at most one call and loses nothing; `python -m chaos --agents` has every point."""

from __future__ import annotations

import sys
from typing import Any

import pytest

from chaos import turns
from chaos.turns import POINTS

SMOKE = ("after the answer came", "after the commit of a turn", "in a tool", "before the commit of a tool")


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the children of a process are found in /proc")
@pytest.mark.timeout(180)
def test_a_kill_repeats_at_most_one_call_and_no_entry() -> None:
    seeds = [at for at, point in enumerate(POINTS) if point.name in SMOKE]
    found = turns.run(seeds)
    assert len(found) == len(SMOKE)
    assert [one for one in found if one.faults] == [], turns.table(found)


def entries(*more: dict[str, Any]) -> list[dict[str, Any]]:
    asked = {"kind": "answer", "turn": 1, "calls": [{"id": "x"}, {"id": "y"}]}
    return [asked, *more, {"kind": "answer", "turn": 2, "final": True, "calls": []}]


def results(*ids: str, turn: int = 1) -> dict[str, Any]:
    return {"kind": "results", "turn": turn, "results": [{"id": one} for one in ids]}


def test_a_gap_or_a_double_in_a_transcript_is_found() -> None:
    whole = entries(results("x", "y"))
    assert list(turns.faults_of(whole)) == []
    assert "called ['x', 'y'] and got results of ['x']" in "".join(turns.faults_of(entries(results("x"))))
    assert "called" in "".join(turns.faults_of(entries()))
    assert "called" in "".join(turns.faults_of(entries(results("x", "y", "y"))))
    assert list(turns.faults_of(entries(results("x", "y"), results("x", "y")))) == [
        "the results of a turn stand there twice"
    ]
    assert list(turns.faults_of(whole[:-1])) == ["it has no final answer, or several"]
    assert "its turns are [1, 1, 2]" in "".join(turns.faults_of([whole[0], *whole]))
