"""The page of the benchmarks is made from results: what is committed fits its JSON, and bad news is on it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from support.house import ROOT

RESULTS = ROOT / "bench" / "results"
PAGE = ROOT / "docs" / "explanation" / "benchmarks.md"


def made(results: Path, docs: Path) -> str:
    """The page of these results."""
    command = [sys.executable, "-m", "bench", "--page", str(results), "--docs", str(docs)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    for plot in (docs / "benchmarks").glob("*.svg"):
        ElementTree.fromstring(plot.read_text("utf-8"))
    return (docs / "benchmarks.md").read_text("utf-8")


def results() -> Path:
    """What the committed page was made from, as it says itself."""
    name = PAGE.read_text("utf-8").partition("bench/results/")[2].partition(";")[0]
    return RESULTS / name


def test_the_committed_page_and_plots_are_as_its_results_would_write_them(tmp_path: Path) -> None:
    assert made(results(), tmp_path) == PAGE.read_text("utf-8"), "run `make bench ARGS=--page`"
    committed = {plot.name: plot.read_text("utf-8") for plot in (PAGE.parent / "benchmarks").glob("*.svg")}
    assert {plot.name: plot.read_text("utf-8") for plot in (tmp_path / "benchmarks").glob("*.svg")} == committed


def changed(document: dict[str, Any], tmp_path: Path) -> str:
    """The page of results that were altered."""
    path = tmp_path / "results.json"
    path.write_text(json.dumps(document))
    return made(path, tmp_path / "docs")


def test_a_peer_that_is_faster_is_named_by_the_page_itself(tmp_path: Path) -> None:
    document = json.loads(results().read_text("utf-8"))
    celery = next(row for row in document["rows"] if (row["row"], row["workload"]) == ("celery", "chain"))
    assert "(a) chain: **celery**" not in changed(document, tmp_path)
    celery["chordal_ratio"] = 0.5
    page = changed(document, tmp_path)
    assert "- (a) chain: **celery** is 2x as fast. No reason is written down yet." in page


def test_what_could_not_be_measured_is_on_the_page_with_the_reason(tmp_path: Path) -> None:
    document = json.loads(results().read_text("utf-8"))
    document["missing"] = {"ray": "ray could not be installed: no wheel\nand a long story"}
    page = changed(document, tmp_path)
    assert "## Not measured" in page
    assert "- ray: ray could not be installed: no wheel\n" in page
