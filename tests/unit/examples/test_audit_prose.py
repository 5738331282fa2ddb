"""A model's words in the report: what is asked, what is kept, and how it is shown."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from audit_calls import Call, Gauge, call_totals, changes
from audit_demo_model import choose_model
from audit_gauges import GaugeView, words_of
from audit_gauges_svg import gauges_svg
from audit_html import page
from audit_markdown import markdown
from audit_model import Audit, Passage, Prose
from audit_prose import checked, passage_of, subject_of, subjects_of
from audit_prose_html import NOTHING_KEPT
from audit_record import calls_of
from audit_verify import verify
from goal import goal
from orchestrator.cli.tally import Tally
from orchestrator.domain.dag import NodeKind
from orchestrator.domain.validate import read_goal
from orchestrator.embedded.errors import LocalModelMissing
from orchestrator.settings import Settings
from support.audit_samples import HOSTILE, audit_of, run_with_a_kill, write_tree
from support.door import make_event
from unit.examples.test_audit_chaos import Silent

FACTS = (
    "The audit of shop covers 12 modules with 1,400 lines of code. It found 2 warnings and 30 notes. "
    "97% of the public definitions have a docstring."
)


@pytest.mark.parametrize(
    ("said", "kept"),
    [
        (
            "The audit covers 12 modules with 1400 lines of code.",
            "The audit covers 12 modules with 1400 lines of code.",
        ),
        ("It found 3 warnings.", ""),  # no such figure
        ("It found 30 warnings.", ""),  # a figure of something else
        ("The modules have a mean of 97.", ""),
        ("The audit covers 12 modules. It is a powerful and flexible tool for teams.", "The audit covers 12 modules."),
        ("The audit covers 12 modules. It found 2 warnings and", "The audit covers 12 modules."),  # cut off
        ("The audit covers 12 modules. The audit covers 12 modules.", "The audit covers 12 modules."),
        ("The audit covers 12 modules, with 12 modules.", "The audit covers 12 modules."),
        ("", ""),
        ("12!", ""),
    ],
)
def test_a_sentence_stays_if_it_holds_against_the_facts(said: str, kept: str) -> None:
    assert checked(said, FACTS) == kept


def test_long_answers_are_trimmed_at_a_sentence() -> None:
    facts = "The audit found modules named " + " and ".join(f"alpha{chr(97 + place)}" for place in range(26)) + "."
    said = " ".join(f"The audit found modules named alpha{chr(97 + place)}." for place in range(26))
    kept = checked(said, facts)
    assert 500 < len(kept) <= 600
    assert kept.endswith(".")


@pytest.fixture
def audit(tmp_path: Path) -> Audit:
    return audit_of(
        write_tree(tmp_path / "shop", {"pkg/__init__.py": "", "pkg/a.py": "import os\n", "pkg/b.py": "x = 1\n"})
    )


def passage(subject: str, said: str = "The audit of shop covers 3 modules.", **more: Any) -> Passage:
    output = {
        "text": said, "model": "tiny", "account": "local", "usage": {"input_tokens": 50, "output_tokens": 10}, **more
    }  # fmt: skip
    return passage_of({"name": subject, "facts": f"The audit of {subject} covers 3 modules."}, output)


def test_the_worst_modules_come_first_and_stand_in_for_missing_ones(audit: Audit) -> None:
    found = subjects_of(audit["modules"], 4)
    assert [one["name"] for one in found] == ["pkg.a", "pkg.b", "pkg", "pkg.a"]
    assert "The audit found 1 error" in found[0]["facts"] or "note" in found[0]["facts"]
    assert subjects_of([], 4) == []


def test_the_facts_of_the_abstract_are_the_report_s_figures(audit: Audit) -> None:
    subject = subject_of(audit)
    assert subject["facts"].startswith("The audit of shop covers 3 modules with ")
    assert subject["facts"].endswith("There are no import cycles.")


def test_the_goal_calls_a_model_only_where_it_is_asked_to(tmp_path: Path) -> None:
    write_tree(tmp_path, {"a.py": "", "b.py": ""})
    plain = read_goal(goal(str(tmp_path)))
    assert not [node for node in plain.nodes if node.kind is NodeKind.LLM]
    made = read_goal(goal(str(tmp_path), calls=4, output_tokens="70", temperature=None))
    calls = [node for node in made.nodes if node.kind is NodeKind.LLM]
    assert [node.id for node in calls] == ["summary-1", "summary-2", "abstract"], "two modules: two calls"
    assert all(node.inputs and node.inputs["max_output_tokens"] == 70 for node in calls)
    assert all("temperature" not in (node.inputs or {}) for node in calls)
    assert made.budget is not None
    with pytest.raises(ValueError, match="calls: 'x' is not a number"):
        goal(str(tmp_path), calls="x")


def call(node: str, **more: Any) -> Call:
    return Call(**{
        "node": node, "account": "local", "model": "tiny", "input_tokens": 50, "output_tokens": 10, "micro_usd": 0,
        "attempts": 1, "waited": 0.5, "began": 2.0, "ended": 3.0, **more,
    })  # fmt: skip


GAUGES = (
    Gauge(0.5, 0, 2, 0, 0, 0),
    Gauge(2.0, 2, 2, 1, 2, 60),
    Gauge(2.1, 2, 2, 1, 2, 60),
    Gauge(7.0, 0, 2, 0, 2, 120),
)


def with_words(audit: Audit, said: str) -> Audit:
    prose = Prose(abstract=passage("shop", said), modules=[passage("pkg.a", said)])
    return {**audit, "prose": prose}


def test_the_page_shows_words_facts_calls_and_gauges(audit: Audit) -> None:
    run = replace(run_with_a_kill(), calls=[call("abstract"), call("summary-1")], gauges=GAUGES)
    told = with_words(audit, "The audit of shop covers 3 modules. It is lovely.")
    html, text = page(told, run), markdown(told, run)
    assert "The audit of shop covers 3 modules.</p>" in html
    assert "lovely" not in html + text
    assert "the language model tiny (account local)" in html
    assert "2 of 2" in html
    assert 'id="calls"' in html
    assert "> The audit of shop covers 3 modules." in text
    assert "- 100 tokens in, 20 out" in text
    assert "| 2.0 s | 2 | 2 | 1 | 2 | 60 |" in text.replace("1.9 s", "2.0 s")
    silent = page(with_words(audit, HOSTILE), run)
    assert NOTHING_KEPT.replace("'", "&#x27;") in silent
    assert HOSTILE not in silent
    assert 'id="calls"' not in page(audit, run_with_a_kill())
    assert 'id="words"' not in page(audit, run_with_a_kill())


def test_the_drawing_of_the_gauges_is_well_formed() -> None:
    assert ElementTree.fromstring(gauges_svg(GAUGES, 0.0, 8.0)).attrib["role"] == "img"
    assert ElementTree.fromstring(gauges_svg([], 0.0, 0.0)).attrib["role"] == "img"


def test_totals_and_changes() -> None:
    sums = call_totals([call("a"), call("b", model="big", waited=4.0)], GAUGES)
    assert (sums.tokens, sums.models, sums.used, sums.most_waiting, sums.longest_wait) == (
        120,
        "tiny, big",
        "2 of 2",
        1,
        4.0,
    )
    assert [gauge.at for gauge in changes(GAUGES)] == [0.5, 2.0, 7.0]
    assert call_totals([], ()).used == "0"


@pytest.mark.parametrize(
    ("last", "ok"),
    [
        (Gauge(7.0, 0, 2, 0, 2, 120), [True, True, True]),
        (Gauge(7.0, 1, 2, 0, 2, 120), [True, False, True]),
        (Gauge(7.0, 0, 2, 0, 2, 121), [True, False, True]),
        (Gauge(7.0, 3, 2, 0, 2, 120), [True, False, False]),
    ],
)
def test_the_books_must_balance(audit: Audit, last: Gauge, ok: list[bool]) -> None:
    told = with_words(audit, "The audit of shop covers 3 modules.")
    run = replace(run_with_a_kill(), calls=[call("abstract"), call("summary-1")], gauges=[*GAUGES, last])
    scan: Any = {"source": "", "modules": audit["modules"], "skipped": [], "findings": []}
    checks = [check for check in verify(run, scan, told) if "call" in check.text or "books" in check.text]
    assert [check.ok for check in checks] == ok
    missing = replace(run, calls=[call("abstract")])
    assert any(check.ok is False and "model call" in check.text for check in verify(missing, scan, told))


def test_calls_are_read_off_the_events() -> None:
    said = {
        "account": "local", "model": "tiny", "source": "provider", "attempts": 2, "input_tokens": 5, "output_tokens": 6,
        "micro_usd": 7, "waited_seconds": 0.25,
    }  # fmt: skip
    events = [
        make_event(1, "node.claimed", "a"),
        make_event(2, "node.waiting", "a", reason="llm:local"),
        make_event(3, "node.claimed", "a"),
        make_event(4, "node.done", "a", llm=said),
        make_event(5, "node.done", "b"),
    ]
    (found,) = calls_of(events)
    assert (found.node, found.attempts, found.input_tokens, found.output_tokens, found.waited) == ("a", 2, 5, 6, 0.25)
    assert (found.began, found.ended) == (events[2].at, events[3].at)


def test_the_progress_samples_and_says_what_changed(capsys: pytest.CaptureFixture[str]) -> None:
    view = GaugeView(Silent(), lambda goal: GAUGES[1] if goal == "g1" else GAUGES[0])
    view.draw(Tally("g1"), [], 0.0)
    view.note("hello")
    view.close()
    assert view.gauges == [GAUGES[1]]
    assert capsys.readouterr().out == words_of(GAUGES[1]) + "\n"
    assert words_of(GAUGES[1]).startswith("model calls: 2 of 2 in flight, 1 waiting")
    idle = GaugeView(Silent(), lambda _: GAUGES[0])
    idle.draw(Tally("g1"), [], 0.0)
    assert capsys.readouterr().out == ""


def test_the_model_is_the_one_that_is_named_else_the_local_one(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("OPENAI_API_KEY", "OPENAI_BASE_URL", "CHORDAL_LLM_FILE"):
        monkeypatch.delenv(name, raising=False)
    assert choose_model(Settings(), 0).calls == 0
    monkeypatch.setattr("audit_demo_model.check_installed", lambda: None)
    assert choose_model(Settings(), 4).local
    monkeypatch.setenv("OPENAI_BASE_URL", "http://127.0.0.1:9/v1")
    named = choose_model(Settings(), 4)
    assert (named.calls, named.local, named.temperature) == (4, False, None)
    monkeypatch.delenv("OPENAI_BASE_URL")

    def missing() -> None:
        raise LocalModelMissing(["xllamacpp"])

    monkeypatch.setattr("audit_demo_model.check_installed", missing)
    without = choose_model(Settings(), 4)
    assert without.calls == 0
    assert "chordal[local]" in without.said
