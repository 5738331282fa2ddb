"""The published failure matrix says what the faults say of themselves, and shows the figures of a run."""

from __future__ import annotations

import re

from chaos import matrix, report
from chaos.catalogue import EVERY
from chaos.fault import Record
from chaos.matrix import PAGE, PUBLISHED
from support.house import ROOT


def test_the_rows_are_the_catalogue() -> None:
    names = re.findall(r"^\| (?!fault )([^|]+?) \|", PAGE.read_text("utf-8"), re.MULTILINE)
    assert names == [fault.name for fault in EVERY]


def test_the_page_is_as_the_published_figures_make_it() -> None:
    assert PAGE.read_text("utf-8") == matrix.page(report.read(PUBLISHED)), "run `make docs`"


def test_the_published_run_had_no_violation() -> None:
    found = report.read(PUBLISHED)
    assert found["violations"] == []
    assert all(row["count"] > 0 or row["skipped"] for row in found["faults"])
    assert {row["name"] for row in found["faults"]} == {fault.name for fault in EVERY}


def test_the_index_leads_to_it() -> None:
    assert "(explanation/failure-matrix.md)" in (ROOT / "docs/index.md").read_text("utf-8")


def test_a_row_that_was_not_run_says_why() -> None:
    found = report.read(PUBLISHED)
    found["faults"] = [report.figures(Record(EVERY[0].name, skipped="needs root"))]
    assert f"{EVERY[0].loses} | not run: needs root |" in matrix.page(found)
