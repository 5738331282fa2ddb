"""`plan`: every format, to stdout or a file, with no Redis in sight."""

from __future__ import annotations

import json
import xml.etree.ElementTree as xml
from pathlib import Path

import pytest

from orchestrator.cli.plan import FORMATS
from orchestrator.compile.render import FORMATS as RENDERED
from support.door import Run


@pytest.fixture
def goal_file(tmp_path: Path) -> str:
    """A chord with two headers; one title would like to steer the terminal."""
    file = tmp_path / "goal.json"
    nodes = [{"id": "a", "title": "\x1b[2Jstart"}, {"id": "b"}, {"id": "c"}]
    edges = [{"source": "a", "target": "c"}, {"source": "b", "target": "c"}]
    file.write_text(json.dumps({"title": "\x9b31m", "nodes": nodes, "edges": edges}))
    return str(file)


def test_the_command_offers_what_can_be_rendered() -> None:
    assert tuple(RENDERED) == FORMATS


@pytest.mark.parametrize("form", FORMATS)
def test_each_format_is_printed_and_cannot_steer_the_terminal(chordal: Run, goal_file: str, form: str) -> None:
    result = chordal("plan", goal_file, "--format", form)
    assert result.exit_code == 0
    assert result.stdout.endswith("\n")
    assert not set(result.stdout) & {"\x1b", "\x9b"}
    assert form != "json" or json.loads(result.stdout)["title"] == "\x9b31m"


def test_json_has_a_short_form(chordal: Run, goal_file: str) -> None:
    assert json.loads(chordal("plan", goal_file, "--json").stdout) == json.loads(
        chordal("plan", goal_file, "--format", "json").stdout
    )


def test_a_plan_is_written_to_a_file(chordal: Run, goal_file: str, tmp_path: Path) -> None:
    out = tmp_path / "plan.svg"
    result = chordal("plan", goal_file, "--format", "svg", "-o", str(out))
    assert (result.exit_code, result.stdout) == (0, "")
    assert xml.parse(out).getroot().tag.endswith("svg")


def test_a_place_that_cannot_be_written_is_an_error(chordal: Run, goal_file: str, tmp_path: Path) -> None:
    result = chordal("plan", goal_file, "-o", str(tmp_path / "no" / "plan"))
    assert result.exit_code == 2
    assert "No such file" in result.stderr


def test_a_faulty_goal_has_no_plan(chordal: Run, tmp_path: Path) -> None:
    (tmp_path / "goal.json").write_text('{"nodes": [{"id": "a"}], "edges": [{"source": "a", "target": "a"}]}')
    result = chordal("plan", str(tmp_path))
    assert result.exit_code == 2
    assert "wait for itself" in result.stderr
