"""The support desk, from start to end with its scripted model: processes, tools, approval, carrier, steering."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

from orchestrator.embedded.records import running
from orchestrator.settings import Settings
from orchestrator.wiring import connect
from support.house import ROOT
from support.servers import until

EXAMPLE = ROOT / "examples/support/support_desk.py"


def environment(folder: Path) -> dict[str, str]:
    """Without a model, with places of its own."""
    clean = {
        name: value for name, value in os.environ.items() if not name.startswith(("CHORDAL_", "REDIS_", "OPENAI_"))
    }
    places = {"CHORDAL_DATA_DIR": str(folder / "data"), "SUPPORT_DESK_DIR": str(folder / "desk")}
    return {**clean, **places, "PYTHONUNBUFFERED": "1"}


def test_the_demo_settles_a_case(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, str(EXAMPLE), "demo"], cwd=tmp_path, env=environment(tmp_path), capture_output=True, text=True,
        timeout=90, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    *lines, last = done.stdout.splitlines()
    assert json.loads(last) == {
        "status": "completed",
        "output": {"text": "The carrier lost your lamp. 49.00 are on their way back to you.", "refunded_cents": 4900},
        "error": None,
    }
    story = [line.split()[1] for line in lines if not line.startswith(" ")]
    for kind in (
        "task_pending_child_task_results", "task_pending_tool_call_results", "run_steering_applied", "agent_output",
    ):  # fmt: skip
        assert kind in story, story
    assert story[-1] == "run_completed"
    (ledger,) = (tmp_path / "desk").glob("refund-*.json")
    assert json.loads(ledger.read_text())["amount_cents"] == 4900
    assert not list((tmp_path / "desk").glob("letter-*.json")), "the carrier has answered"


def test_it_serves_until_it_is_told_to_stop(tmp_path: Path) -> None:
    data = tmp_path / "data"
    with subprocess.Popen([sys.executable, str(EXAMPLE), "serve"], cwd=tmp_path, env=environment(tmp_path)) as process:
        try:
            until(lambda: (info := running(data)) is not None and info.ready, 60, "the desk is ready")
            chordal = connect(Settings(data_dir=data))
            # The workers have imported the script: they know its agents by name.
            node = {"id": "ask", "kind": "agent", "agent": "policy", "inputs": {"task": "What are the rules?"}}
            goal = chordal.submit({"nodes": [node]})
            until(lambda: chordal.summary(goal).terminal, 30, "the end of the goal")
            assert "paid back in full" in chordal.output(goal, "ask")["output"]
            chordal.store.close()
        finally:
            process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 0
    assert running(data) is None
