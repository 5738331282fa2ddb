"""One module's figures and findings, also where the file is broken."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import audit_lint
import audit_metrics
import audit_module
from audit_model import ModuleRef, ModuleReport
from support.audit_samples import reports, write_tree

SAMPLE = '''"""Does a thing.

More on it.
"""

import os


class Thing:
    """A thing."""

    def run(self, x):
        """Run it."""
        if x and os.name:
            return 1
        for y in x:
            print(y)
        return 0

    def _hidden(self):
        return 2


# a comment

def bare():
    def inner():
        return 1
    return inner
'''


def analyse(root: Path, content: str | bytes) -> ModuleReport:
    write_tree(root, {"sample.py": content})
    return reports(root)["sample"]


def test_figures_of_a_module(tmp_path: Path) -> None:
    report = analyse(tmp_path, SAMPLE)
    assert report["summary"] == "Does a thing."
    assert (report["functions"], report["classes"]) == (4, 1)
    assert (report["documented"], report["documentable"]) == (3, 4)  # the module, Thing, run; not bare
    assert report["most_complex"] == {"name": "Thing.run", "line": 12, "value": 4}
    assert report["longest"] == {"name": "Thing.run", "line": 12, "value": 7}
    assert report["code_lines"] == 19
    assert report["maintainability"] is not None
    assert report["maintainability"] > 50
    assert report["missing_tools"] == []


def test_without_radon_the_complexity_is_counted_here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with_radon = analyse(tmp_path, SAMPLE)
    monkeypatch.setattr(audit_metrics, "cc_visit_ast", None)
    monkeypatch.setattr(audit_metrics, "mi_visit", None)
    monkeypatch.setattr(audit_metrics, "HAS_RADON", False)
    report = analyse(tmp_path, SAMPLE)
    assert report["most_complex"] == with_radon["most_complex"]
    assert report["maintainability"] is None
    assert report["missing_tools"] == ["radon"]


def test_without_ruff_the_report_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(audit_lint, "find_ruff", lambda: None)
    report = analyse(tmp_path, "import os\n")
    assert report["missing_tools"] == ["ruff"]
    assert report["findings"] == []


def test_ruff_findings_have_places_and_severities(tmp_path: Path) -> None:
    report = analyse(tmp_path, "import os\n\n\ndef f(x=[]):\n    return unknown\n")
    found = [(item["severity"], item["rule"], item["line"]) for item in report["findings"]]
    assert found == [("error", "F821", 5), ("warning", "B006", 4), ("note", "F401", 1)]
    assert {item["path"] for item in report["findings"]} == {"sample.py"}


def test_the_trees_own_ruff_configuration_is_not_read(tmp_path: Path) -> None:
    write_tree(tmp_path, {"pyproject.toml": '[tool.ruff]\nlint.ignore = ["F401"]\nrequired-version = "0.0.1"\n'})
    assert [item["rule"] for item in analyse(tmp_path, "import os\n")["findings"]] == ["F401"]


@pytest.mark.parametrize(
    ("script", "words"),
    [("echo broken >&2; exit 2", "failed: broken"), ("echo '[{'", "failed"), ("echo '{\"a\": 1}' | tr -d 1", "failed")],
)
def test_a_ruff_that_fails_is_a_finding(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: str, words: str
) -> None:
    fake = tmp_path / "ruff"
    fake.write_text(f"#!/bin/sh\n{script}\n")
    fake.chmod(0o755)
    monkeypatch.setattr(audit_lint, "find_ruff", lambda: str(fake))
    (finding,) = analyse(tmp_path, "x = 1\n")["findings"]
    assert finding["severity"] == "note"
    assert words in finding["message"]


@pytest.mark.parametrize(
    ("content", "rule", "words"),
    [
        (b"def f(:\n", "syntax", "does not parse"),
        (b"x = 1\nif x\n", "syntax", "expected ':'"),
        (b"x = '\x00'\n", "syntax", "null"),
        (b"x = 'caf\xe9'\n", "encoding", "missing encoding declaration"),
        (b"# coding: klingon\n", "encoding", "klingon"),
        (b"# coding: latin-1\nx = 'caf\xe9'\n", "", ""),
        (b"\xef\xbb\xbfx = 1\n", "", ""),
        (b"x = " + b"(" * 5000 + b")" * 5000, "syntax", "does not parse"),
        (b"x = " + b"-" * 50_000 + b"1", "syntax", "does not parse"),
        (b"", "", ""),
    ],
    ids=["syntax", "syntax line", "nul", "not utf-8", "cookie", "latin-1", "bom", "parentheses", "minuses", "empty"],
)
def test_a_broken_file_is_a_finding_and_not_an_error(tmp_path: Path, content: bytes, rule: str, words: str) -> None:
    report = analyse(tmp_path, content)
    assert [item["rule"] for item in report["findings"]] == ([rule] if rule else [])
    if rule:
        assert report["findings"][0]["severity"] == "error"
        assert words in report["findings"][0]["message"].lower()


def test_a_syntax_error_keeps_its_line(tmp_path: Path) -> None:
    assert analyse(tmp_path, "x = 1\n\nif x\n")["findings"][0]["line"] == 3


def test_a_file_that_is_gone_is_a_finding(tmp_path: Path) -> None:
    ref = ModuleRef(path="gone.py", name="gone", package="(top level)", regular=False)
    (finding,) = audit_module.analyse_module(ref, tmp_path)["findings"]
    assert (finding["rule"], finding["message"]) == ("unreadable", "cannot be read: No such file or directory")


def test_deep_nesting_that_still_parses_is_measured(tmp_path: Path) -> None:
    source = "".join(f"{' ' * depth}if x:\n" for depth in range(90)) + " " * 90 + "pass\n"
    assert analyse(tmp_path, source)["lines"] == 91


def test_a_very_long_table_costs_no_index_and_no_time(tmp_path: Path) -> None:
    report = analyse(tmp_path, "x = [\n" + "    1,\n" * 20_000 + "]\n")
    assert report["maintainability"] is None
    assert report["lines"] == 20_002


def test_long_and_tangled_functions_are_found(tmp_path: Path) -> None:
    branches = "".join(f"    if x == {n}:\n        return {n}\n" for n in range(70))
    found = analyse(tmp_path, f"def long(x):\n{branches}    return 0\n")["findings"]
    by_rule: dict[str, Any] = {item["rule"]: item for item in found}
    assert by_rule["complex"]["severity"] == "warning"
    assert by_rule["complex"]["message"] == "long has a cyclomatic complexity of 71"
    assert by_rule["long-function"]["message"] == "long is 142 lines long"


@pytest.mark.parametrize("docstring", [r"\ud800 lone surrogate", r"bell \x07 inside", "x" * 500])
def test_a_summary_can_always_be_printed(tmp_path: Path, docstring: str) -> None:
    summary = analyse(tmp_path, f'"""{docstring}"""\n')["summary"]
    assert summary.isprintable()
    assert summary.encode()
    assert len(summary) <= 160
