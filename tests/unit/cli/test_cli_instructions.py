"""`chordal instructions`: templates that are valid, checks that tell everything."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from support.door import Run


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize(
    ("path", "files"),
    [
        ("INSTRUCTIONS.md", ["INSTRUCTIONS.md", "instructions/qa.1.md", "instructions/heartbeat/qa.1.md"]),
        ("instructions", ["instructions/INSTRUCTIONS.md", "instructions/qa.1.md", "instructions/heartbeat/qa.1.md"]),
        ("team/agents.yaml", ["team/agents.yaml", "team/instructions/qa.1.md", "team/instructions/heartbeat/qa.1.md"]),
        ("instructions/INSTRUCTIONS.yml", ["instructions/INSTRUCTIONS.yml", "instructions/qa.1.md", "instructions/heartbeat/qa.1.md"]),
    ],
)  # fmt: skip
def test_a_template_is_a_valid_declaration(chordal: Run, path: str, files: list[str]) -> None:
    result = chordal("instructions", "create", "--name", "qa.1", "--path", path, "--json")
    assert result.exit_code == 0, result.output
    assert json.loads(result.stdout)["written"] == files
    assert all(Path(file).is_file() for file in files)
    found = json.loads(chordal("instructions", "check", path, "--json").stdout)
    assert [(agent["name"], agent["goal"], agent["cadence_seconds"]) for agent in found["agents"]] == [
        ("qa.1", "goal-001", 5.0)
    ]
    assert found["agents"][0]["tasks"] == ["Say hello in one sentence"]
    assert found["instructions"].startswith("What is wanted")


def test_nothing_is_overwritten(chordal: Run) -> None:
    Path("instructions").mkdir()
    Path("instructions/qa.md").write_text("mine")
    result = chordal("instructions", "create", "--name", "qa")
    assert result.exit_code == 2
    assert "instructions/qa.md exists; it is not overwritten" in result.stderr
    Path("instructions/heartbeat").mkdir()
    Path("instructions/heartbeat/qa.md").touch()
    said = chordal("instructions", "create", "--name", "qa").stderr
    assert "instructions/qa.md and instructions/heartbeat/qa.md exist; they are not overwritten" in said
    assert not Path("INSTRUCTIONS.md").exists()
    Path("link.md").symlink_to("nowhere.md")
    assert chordal("instructions", "create", "--name", "b", "--path", "link.md").exit_code == 2
    assert not Path("nowhere.md").exists()


@pytest.mark.parametrize(
    "words", [("--name", ".."), ("--name", "a/b"), ("--name", "qa", "--path", "agents.txt"), ("--name", "../x")]
)
def test_what_cannot_be_written(chordal: Run, words: tuple[str, ...]) -> None:
    assert chordal("instructions", "create", *words).exit_code == 2
    assert list(Path().iterdir()) == []


def test_check_shows_the_agents(chordal: Run) -> None:
    text = "# Team\x1b[2J\n## Agents\n### a\n- Role: lead\n- Goal: g\n- Cadence: 5m\n- Tools: x, y\n- Instructions: Be kind.\n### b\n- [ ] one\n"
    Path("INSTRUCTIONS.md").write_text(text)
    result = chordal("instructions", "check", ".")
    assert result.exit_code == 0
    title, head, first, second, foot = result.stdout.splitlines()
    assert title == "Team\\x1b[2J"
    assert head.split() == ["AGENT", "ROLE", "GOAL", "MODEL", "TOOLS", "TASKS", "TURNS", "CADENCE", "INSTRUCTIONS"]
    assert first.split() == ["a", "lead", "g", "-", "x,", "y", "-", "10", "5", "min", "00", "s", "Be", "kind."]
    assert second.split()[:6] == ["b", "b", "-", "-", "-", "1"]
    assert foot.startswith("2 agents in 1 file, digest ")


def test_check_tells_all_faults_and_exits_with_2(chordal: Run) -> None:
    Path("INSTRUCTIONS.md").write_text("## Agents\n### a b\n- Instructions: gone.md\n")
    result = chordal("instructions", "check", "INSTRUCTIONS.md")
    assert result.exit_code == 2
    assert "2 faults" in result.stderr
    assert "INSTRUCTIONS.md:2: name" in result.stderr
    assert "INSTRUCTIONS.md:3: 'gone.md': there is no such file" in result.stderr
    faults = json.loads(chordal("instructions", "check", "INSTRUCTIONS.md", "--json").stdout)["error"]["faults"]
    assert [fault["place"] for fault in faults] == ["INSTRUCTIONS.md:2", "INSTRUCTIONS.md:3"]


def test_a_folder_without_a_declaration(chordal: Run) -> None:
    result = chordal("instructions", "check", ".")
    assert result.exit_code == 2
    assert "INSTRUCTIONS.md" in result.stderr
