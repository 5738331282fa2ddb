"""The demo as people start it: a worker is killed halfway, the report is there, and it says what happened."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[2]
DEMO = PROJECT / "examples" / "audit" / "demo.py"


def demo(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, DEMO, *arguments], capture_output=True, text=True, timeout=110, check=False)


def test_the_demo_survives_the_kill_of_a_worker(tmp_path: Path) -> None:
    done = demo("--source", PROJECT / "orchestrator", "--out", tmp_path / "out", "--data-dir", tmp_path / "data")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "SIGKILL w" in done.stdout
    assert "nodes have exactly one accepted commit" in done.stdout
    assert "1,000 nodes DONE with 1,000 commits" in done.stdout
    assert done.stdout.rstrip().endswith("everything held")
    report = json.loads((tmp_path / "out" / "report.json").read_text())
    assert "orchestrator.domain.dag" in {module["name"] for module in report["modules"]}
    assert 'id="run"' in (tmp_path / "out" / "report.html").read_text()
    assert "workers killed: 1" in (tmp_path / "out" / "report.md").read_text()


def test_a_source_that_is_not_there_is_told(tmp_path: Path) -> None:
    done = demo("--source", tmp_path / "nowhere", "--out", tmp_path / "out")
    assert done.returncode == 2
    assert done.stderr == f"demo: source: there is no folder {tmp_path / 'nowhere'}\n"
