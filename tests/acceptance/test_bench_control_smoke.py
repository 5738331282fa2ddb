"""The benchmark of control runs: what is written acts, and nothing is claimed behind a pause. How fast is not its business."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from support.house import ROOT


@pytest.mark.timeout(120)
def test_a_pause_that_is_written_is_measured(tmp_path: Path) -> None:
    out = tmp_path / "control.json"
    command = [sys.executable, "-m", "bench.control", "--smoke", "--only", "pause", "--json", str(out)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=100, check=False)
    assert done.returncode == 0, done.stderr
    (section,) = json.loads(out.read_text())["sections"]
    assert [0 < seconds < 20 for seconds in section["data"]["told"]] == [True] * 3
    (late,) = [target for target in section["targets"] if target["what"] == "claims behind the pause, told"]
    assert late["met"]


def test_the_committed_page_is_as_its_results_would_write_it(tmp_path: Path) -> None:
    page = ROOT / "docs" / "explanation" / "control-benchmarks.md"
    name = page.read_text("utf-8").partition("bench/results/")[2].partition(";")[0]
    command = [sys.executable, "-m", "bench.control", "--page", str(ROOT / "bench" / "results" / name)]
    subprocess.run([*command, "--docs", str(tmp_path)], cwd=ROOT, check=True, timeout=60)
    assert (tmp_path / page.name).read_text("utf-8") == page.read_text("utf-8"), "run `make bench-control ARGS=--page`"
