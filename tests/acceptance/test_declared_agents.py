"""Declared agents from the command line to the end: a plan by a (scripted) model, and instructions that change meanwhile."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

EXAMPLE = Path(__file__).resolve().parents[2] / "examples" / "porki"
CHORDAL = str(Path(sys.executable).with_name("chordal"))


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    """The environment without settings, and with a data directory of the test's own."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("CHORDAL_", "OPENAI_", "PORKI_"))}
    kept.pop("REDIS_URL", None)
    return {**kept, "CHORDAL_DATA_DIR": str(tmp_path / "data")}


def run(environment: dict[str, str], *words: str) -> subprocess.Popen[str]:
    """`chordal run` with these words; its events are lines of stderr, its end is a line of stdout."""
    line = [CHORDAL, "run", *words, "--json", "--progress", "json", "--workers", "1"]
    return subprocess.Popen(line, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def test_the_files_of_porki_are_planned_and_carried_out(environment: dict[str, str]) -> None:
    out, told = run(environment, str(EXAMPLE)).communicate(timeout=120)
    found = json.loads(out.splitlines()[-1])
    assert (found["goal_id"], found["state"]) == ("goal-001", "DONE"), told
    assert set(found["nodes"]) == {"plan", "apply-plan", "broker-facts", "engine-facts", "page", "check"}
    assert found["nodes"]["check"]["output"]["output"] == "It passes."


def test_the_role_workflow_on_request_in_a_goal_of_its_own(environment: dict[str, str]) -> None:
    out, told = run(environment, str(EXAMPLE), "--workflow", "--goal-id", "goal-002").communicate(timeout=120)
    found = json.loads(out.splitlines()[-1])
    assert (found["goal_id"], found["state"]) == ("goal-002", "DONE"), told
    assert {"page__qa", "page__verdict", "page__integrate"} <= set(found["nodes"])


def test_instructions_that_change_hold_from_the_next_turn_on(environment: dict[str, str], tmp_path: Path) -> None:
    folder = tmp_path / "porki"
    shutil.copytree(EXAMPLE, folder)
    answers = folder / "answers.yaml"
    strict = "- {role: qa, contains: Be strict., times: null, text: It passes strictly.}\n"
    answers.write_text(strict + answers.read_text().replace("- role: writer\n", "- role: writer\n  delay_seconds: 6\n"))
    process = run(environment, str(folder))
    assert process.stderr is not None
    events: list[dict[str, Any]] = []
    for line in process.stderr:
        events.append(json.loads(line))
        if events[-1].get("node") == "page" and events[-1]["type"] == "node.waiting":
            (folder / "instructions" / "QA.md").write_text("Be strict.\n")
    out, _ = process.communicate(timeout=60)
    found = json.loads(out.splitlines()[-1])
    assert found["nodes"]["check"]["output"]["output"] == "It passes strictly.", events
    changed = [event["data"] for event in events if event["type"] == "goal.reparsed"]
    assert [sorted(one["changed"]) for one in changed] == [["qa_agent"]]
    assert changed[0]["source"].startswith("INSTRUCTIONS.md ")
    notes = [event["message"] for event in events if event["type"] == "cli.note"]
    assert notes == [
        "reads the heartbeat files heartbeat/OWNER.md, heartbeat/research.md, heartbeat/writer.md, heartbeat/qa.md",
        "instructions of qa_agent changed; they hold from the next turn on",
    ]


TASKS = """# Two steps

## Agents
### worker
- Queue: slow
- Instructions: Do what you are told.

- [x] Already done
- [ ] First step
- [ ] Second step
  with what the first one gave
"""
ANSWERS = """
- {role: worker, last_contains: "with what the first one gave", contains: "One.", times: null, text: "Two, after one."}
- {role: worker, last_contains: First step, times: null, text: One.}
"""


def test_task_lists_need_no_planner_and_queues_of_agents_are_served(
    environment: dict[str, str], tmp_path: Path
) -> None:
    (tmp_path / "INSTRUCTIONS.md").write_text(TASKS)
    (tmp_path / "llm.yaml").write_text((EXAMPLE / "llm.yaml").read_text())
    (tmp_path / "answers.yaml").write_text(ANSWERS)
    out, told = run(environment, str(tmp_path)).communicate(timeout=120)
    found = json.loads(out.splitlines()[-1])
    assert found["state"] == "DONE", told
    texts = {name: node["output"]["output"] for name, node in found["nodes"].items()}
    assert texts == {"worker-first-step": "One.", "worker-second-step": "Two, after one."}


def test_a_run_that_was_let_go_goes_on_as_it_says(environment: dict[str, str], tmp_path: Path) -> None:
    folder = tmp_path / "research"
    shutil.copytree(EXAMPLE.with_name("research"), folder)
    environment["PATH"] = f"{Path(CHORDAL).parent}{os.pathsep}{environment['PATH']}"
    process = run(environment, str(folder))
    assert process.stderr is not None
    for line in process.stderr:
        if json.loads(line)["type"] == "node.waiting" and json.loads(line)["node"] == "approve-plan":
            process.send_signal(signal.SIGINT)
            break
    _, told = process.communicate(timeout=60)
    assert process.returncode == 130
    up, watch = (line.strip() for line in told.splitlines() if line.startswith("  "))

    def shell(line: str) -> str:
        return subprocess.run(
            ["bash", "-c", line], env=environment, stdout=subprocess.PIPE, check=True, timeout=100
        ).stdout.decode()

    with subprocess.Popen(
        ["bash", "-c", f"{up} --json"], env=environment, stdout=subprocess.PIPE, cwd=tmp_path
    ) as stack:
        try:
            assert stack.stdout is not None
            assert json.loads(stack.stdout.readline())["ready"]
            shell(f"chordal approve {watch.split()[-1]} approve-plan")
            assert json.loads(shell(f"{watch} --timeout 90 --json"))["state"] == "DONE"
        finally:
            shell("chordal down")
    assert (tmp_path / "report.md").is_file()
