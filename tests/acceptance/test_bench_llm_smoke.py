"""The benchmark of model calls runs: sections are measured, limits kept, nothing left behind. How fast is not its business."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from support.house import ROOT


@pytest.mark.timeout(120)
def test_sections_run_and_nothing_exceeds_a_limit(tmp_path: Path) -> None:
    out = tmp_path / "llm.json"
    command = [sys.executable, "-m", "bench.llm", "--smoke", "--seconds", "3.2", "--processes", "2", "--threads", "8"]
    command += ["--waiters", "1000", "--only", "fairness", "--only", "waiters", "--json", str(out)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=100, check=False)
    assert done.returncode == 0, done.stderr
    document = json.loads(out.read_text())
    fairness, waiters = document["sections"]
    assert all(count > 0 for count in fairness["data"]["counts"].values())
    assert [row["waiters"] for row in waiters["data"]["rows"]] == [10, 1000]
    assert all(value > 0 for row in waiters["data"]["rows"] for value in row.values())


@pytest.mark.timeout(120)
def test_a_load_is_recounted_from_what_was_called() -> None:
    code = (
        "from dataclasses import replace\n"
        "from bench.llm import windows\n"
        "from bench.llm.drive import drive\n"
        "from bench.llm.section import Options\n"
        "case = windows.cases(Options(seconds=1.6, threads=8, whole=False))[1]\n"
        "limits = {'tokens_per_minute': 6000, 'window_seconds': 0.5}\n"
        "case = replace(case, load=replace(case.load, limits=limits))\n"
        "seen = windows.see(case, drive(case.load, 2))\n"
        "assert 10 < seen.calls and 0 < seen.most <= 6000, seen\n"
        "assert seen.faults == 0 and seen.windows == 2 and seen.scripts > 0, seen\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=100, check=False
    )
    assert done.returncode == 0, done.stderr


def test_the_committed_page_is_as_its_results_would_write_it(tmp_path: Path) -> None:
    page = ROOT / "docs" / "explanation" / "llm-benchmarks.md"
    name = page.read_text("utf-8").partition("bench/results/")[2].partition(";")[0]
    command = [sys.executable, "-m", "bench.llm", "--page", str(ROOT / "bench" / "results" / name)]
    subprocess.run([*command, "--docs", str(tmp_path)], cwd=ROOT, check=True, timeout=60)
    assert (tmp_path / page.name).read_text("utf-8") == page.read_text("utf-8"), "run `make bench-llm ARGS=--page`"
