"""The benchmark of agents runs: agents wait and hold nothing, others are driven to their ends. How fast is not its business."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from support.house import ROOT


@pytest.mark.timeout(120)
def test_sections_run_and_agents_that_wait_hold_nothing(tmp_path: Path) -> None:
    out = tmp_path / "agents.json"
    command = [sys.executable, "-m", "bench.agents", "--smoke", "--json", str(out)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=100, check=False)
    assert done.returncode == 0, done.stderr
    waiting, turns = json.loads(out.read_text())["sections"]
    assert waiting["data"]["agents"] == 50
    # The server's memory as a whole moves by more than fifty agents; their keys do not.
    assert waiting["data"]["families"]["task:{goal}:<node>"][0] >= 50
    assert sum(size for _, size in waiting["data"]["families"].values()) > 50 * 200
    assert set(waiting["data"]["held"].values()) == {0}
    driven = {one["who"]: one for one in turns["data"]["200 ms"]}
    assert set(driven) == {"Chordal, threads", "openai SDK, asyncio"}
    assert all((one["ended"], one["agents"]) == (10, 10) for one in driven.values())


def test_the_committed_page_is_as_its_results_would_write_it(tmp_path: Path) -> None:
    page = ROOT / "docs" / "explanation" / "agents-benchmarks.md"
    name = page.read_text("utf-8").partition("bench/results/")[2].partition(";")[0]
    command = [sys.executable, "-m", "bench.agents", "--page", str(ROOT / "bench" / "results" / name)]
    subprocess.run([*command, "--docs", str(tmp_path)], cwd=ROOT, check=True, timeout=60)
    assert (tmp_path / page.name).read_text("utf-8") == page.read_text("utf-8"), "run `make bench-agents ARGS=--page`"
