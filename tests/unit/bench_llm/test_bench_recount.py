"""Windows, shares and waits are recounted as they should be, and the page says what was missed."""

from __future__ import annotations

import json
from pathlib import Path

from bench.llm import show
from bench.llm.load import Load
from bench.llm.recount import most_in_window, quantile, used_up
from bench.llm.results import Results, read
from bench.llm.section import Options, Section, Table, Target, number


def test_the_fullest_window_is_found_wherever_it_lies() -> None:
    calls = [(0.0, 5), (0.9, 7), (1.0, 20), (1.8, 1), (5.0, 9)]
    assert most_in_window(calls, 1.0) == (3, 28)
    assert most_in_window(calls, 0.5) == (2, 27)
    assert most_in_window([], 1.0) == (0, 0)


def test_what_whole_windows_held() -> None:
    calls = [(0.5, 99), (1.0, 10), (1.9, 10), (2.5, 20), (3.0, 99), (3.2, 99)]
    assert used_up(calls, 1.0, 3.9, 1.0) == (1.5, 20.0, 2)
    assert used_up(calls, 1.0, 1.5, 1.0) == (0.0, 0.0, 0)


def test_quantiles_are_values_that_were_there() -> None:
    assert [quantile(list(range(1, 101)), share) for share in (0.5, 0.99, 1.0)] == [50, 99, 100]
    assert quantile([], 0.5) == 0.0


def test_a_load_is_read_as_it_was_written(tmp_path: Path) -> None:
    load = Load({"concurrency": 3}, 2.0, 4, ("a", "b"), latency=(0.1, 0.2))
    load.write(tmp_path / "load.json")
    assert Load.read(tmp_path / "load.json") == load


def test_results_are_read_as_they_were_written_and_misses_are_on_the_page(tmp_path: Path) -> None:
    machine = {"cpus": 2, "cpu": "x", "python": "3", "server": "valkey"}
    results = Results.begun("2026-01-01T0000", machine, Options())
    section = Section("a", "Title", "How.", [Table("", ("x", "y"), [["a|b", 1234.5], ["c", None]])])
    section.targets = [Target.most("waits", 3.0, 2.0, " s"), Target.least("share", 0.9, 0.5)]
    section.missing = {"b": "it was not there"}
    results.sections.append(section)
    results.write(tmp_path / "one.json")
    assert (
        read(tmp_path / "one.json").sections[0].as_json()
        == json.loads((tmp_path / "one.json").read_text())["sections"][0]
    )
    page = show.text(results, "one.json")
    assert "1 of 2 targets were missed" in page
    assert "| waits | <= 2 s | 3 s | **no** |" in page
    assert "| a\\|b | 1,234 |" in page
    assert "| c | - |" in page
    assert "- b: it was not there" in page


def test_numbers_are_rounded_for_people() -> None:
    assert [number(value) for value in (3, 3.0, 0.12345, 12.346, 99999, "text")] == [
        "3", "3", "0.123", "12.35", "99,999", "text",
    ]  # fmt: skip
