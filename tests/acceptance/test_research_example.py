"""`examples/research` from its words to its report, by the commands of its README, with the scripted answers."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import pytest
import yaml

from support.servers import until

PROJECT: Final = Path(__file__).resolve().parents[2]
EXAMPLE: Final = PROJECT / "examples" / "research"
Chordal = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("CHORDAL_", "OPENAI_"))}
    return kept | {"CHORDAL_DATA_DIR": str(tmp_path / "data"), "PYTHONUNBUFFERED": "1"}


def command(*words: str) -> list[str]:
    return [str(Path(sys.executable).with_name("chordal")), *words]


@pytest.fixture
def chordal(environment: dict[str, str], tmp_path: Path) -> Chordal:
    """Runs a command of the CLI to its end."""

    def run(*words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            command(*words), cwd=tmp_path, env=environment, capture_output=True, text=True, check=False, timeout=100
        )

    return run


@contextmanager
def running(environment: dict[str, str], folder: Path, *words: str) -> Iterator[subprocess.Popen[str]]:
    """A run that goes on meanwhile; what it says is in `run.log`."""
    with (folder / "run.log").open("w") as log:
        process = subprocess.Popen(command(*words), cwd=folder, env=environment, stdout=log, stderr=log, text=True)
        try:
            yield process
        finally:
            process.terminate()
            process.wait(30)


def waiting_goal(folder: Path) -> str | None:
    """The goal whose plan waits for approval, from what the run said."""
    found = re.search(r"approve (g-[0-9a-f]+) approve-plan", (folder / "run.log").read_text())
    return found[1] if found else None


def test_without_approval_the_words_become_a_report(chordal: Chordal, tmp_path: Path) -> None:
    run = chordal("run", str(EXAMPLE), "--no-approve-plan", "--json")
    assert run.returncode == 0, run.stderr
    status: dict[str, Any] = json.loads(run.stdout.splitlines()[-1])
    nodes = status["nodes"]
    assert {node["state"] for node in nodes.values()} == {"DONE"}
    assert nodes["apply-plan"]["output"] == {"planned": ["costs", "practice", "report"], "nodes": 12, "dropped": []}
    assert [nodes[name]["output"]["passed"] for name in ("report__verdict", "report__verdict2")] == [False, True]
    assert "47,200" in nodes["report__verdict"]["output"]["findings"][0]
    assert nodes["costs.t2.0"]["output"].startswith("Costs, from the offers of May")
    report = (tmp_path / "report.md").read_text()
    assert report.startswith("# Heating the school of Hollin\n")
    assert "We recommend the heat pump." in report


def test_a_person_looks_at_the_plan_edits_it_and_it_is_carried_out(
    chordal: Chordal, environment: dict[str, str], tmp_path: Path
) -> None:
    with running(environment, tmp_path, "run", str(EXAMPLE), "--progress", "plain") as run:
        goal = str(until(lambda: waiting_goal(tmp_path), 60, "a plan that waits"))
        shown = chordal("plans", goal)
        assert shown.returncode == 0, shown.stderr
        assert f"approve {goal} approve-plan --plan FILE" in shown.stdout
        plan = yaml.safe_load(shown.stdout)
        assert [node["id"] for node in plan["nodes"]] == ["costs", "practice", "report"]

        edited = tmp_path / "plan.yaml"
        plan["nodes"][2] |= {"depends_on": ["costs", "nobody"], "agent": "stranger", "required_role": ""}
        edited.write_text(yaml.safe_dump(plan))
        refused = chordal("approve", goal, "approve-plan", "--plan", str(edited))
        assert refused.returncode == 2
        assert "depends_on 'nobody': there is no node 'nobody'" in refused.stderr
        assert "there is no agent 'stranger'; there are: researcher, writer, reviewer, editor" in refused.stderr

        edited.write_text(shown.stdout.replace("title: The report", "title: The report to the council"))
        accepted = chordal("approve", goal, "approve-plan", "--plan", str(edited))
        assert accepted.returncode == 0, accepted.stderr
        assert "-  title: The report\n+  title: The report to the council\n" in accepted.stdout
        assert run.wait(60) == 0, (tmp_path / "run.log").read_text()
    log = (tmp_path / "run.log").read_text()
    assert "report__integrate: Saved as report.md" in log, "the run ends with the result"
    assert (tmp_path / "report.md").is_file()


def test_the_plan_is_shown_without_carrying_it_out(chordal: Chordal, tmp_path: Path) -> None:
    shown = chordal("plan", "--llm", str(EXAMPLE))
    assert shown.returncode == 0, shown.stderr
    assert [node["id"] for node in yaml.safe_load(shown.stdout)["nodes"]] == ["costs", "practice", "report"]
    assert not (tmp_path / "report.md").exists()
    drawn = chordal("plan", "--llm", str(EXAMPLE), "--format", "mermaid")
    assert "Integrate: The report" in drawn.stdout
    assert json.loads(chordal("plan", "--llm", str(EXAMPLE), "--json").stdout)["nodes"]


def test_without_a_model_it_says_what_it_would_do(chordal: Chordal) -> None:
    shown = chordal("plan", str(EXAMPLE))
    assert "plan -> approve-plan -> apply-plan" in shown.stdout


def test_the_tools_open_notes_and_nothing_else() -> None:
    sys.path.insert(0, str(EXAMPLE))
    try:
        import research_tools
    finally:
        sys.path.remove(str(EXAMPLE))
    assert {hit["note"] for hit in research_tools.search_notes("decibels")} == {"noise"}
    for name in ("../README", "/etc/passwd", "costs.txt", ""):
        with pytest.raises(ValueError, match="there are: costs, grants, noise, winter"):
            research_tools.read_note(name)
