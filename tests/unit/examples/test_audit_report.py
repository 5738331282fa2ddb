"""The written report: self-contained, and safe whatever the audited sources hold."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from html.parser import HTMLParser
from pathlib import Path
from xml.etree import ElementTree

import pytest

from audit_gantt_svg import gantt_svg
from audit_graph_svg import MAX_MODULES, graph_svg
from audit_html import MAX_FINDINGS, page
from audit_markdown import markdown
from audit_markup import Markup, plain_markdown, tag
from audit_model import Audit, Finding
from audit_report import read_audit, write_report
from support.audit_samples import HOSTILE, audit_of, run_with_a_kill, write_tree

TREE = {
    "pkg/__init__.py": f'"""{HOSTILE} & "quotes" \' here."""\nfrom pkg import a\n',
    "pkg/a.py": "import os\nimport pkg.b\n\n\ndef f():\n    return nowhere\n",
    "pkg/b.py": "from pkg import a\n",
    "pkg/caf\N{LATIN SMALL LETTER E WITH ACUTE}.py": '"""\\ud800"""\n',
    "pkg/br|oken `x` <b>.py": "def (:\n",
    f"pkg/{HOSTILE.replace('/', '')}.py": "x = 1 if\n",
}


@pytest.fixture
def audit(tmp_path: Path) -> Audit:
    return audit_of(write_tree(tmp_path / "<img src=x onerror=alert(1)>", TREE))


class _Reader(HTMLParser):
    """Collects elements and their attributes, and that open and close match."""

    def __init__(self) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in ("meta", "input", "wbr"):
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def read(html: str) -> _Reader:
    reader = _Reader()
    reader.feed(html)
    reader.close()
    assert reader.open == []
    return reader


def test_hostile_names_are_text(audit: Audit) -> None:
    html = page(audit, run_with_a_kill())
    elements = read(html).elements
    assert [name for name, _ in elements].count("script") == 2  # the page's own, and the numbers of the graph
    assert not [name for name, _ in elements if name in ("img", "b.py", "iframe")]
    assert not [key for _, attributes in elements for key in attributes if key.startswith("on")]
    assert "alert(" in html  # it is shown, as text
    assert "<script>alert" not in html


def test_nothing_is_loaded_from_elsewhere(audit: Audit) -> None:
    html = page(audit, run_with_a_kill())
    elements = read(html).elements
    assert not [attributes for name, attributes in elements if name == "link" or "src" in attributes]
    assert all((attributes.get("href") or "#").startswith("#") for _, attributes in elements)
    assert not re.search(r"url\((?!#hatch\))|@import", html)


def test_the_policy_allows_the_one_script_by_its_hash(audit: Audit) -> None:
    html = page(audit, None)
    script = re.findall(r"<script>(.*?)</script>", html, re.DOTALL)
    assert len(script) == 1
    digest = base64.b64encode(hashlib.sha256(script[0].encode()).digest()).decode()
    policy = next(a["content"] for name, a in read(html).elements if a.get("http-equiv") == "Content-Security-Policy")
    assert policy == f"default-src 'none'; style-src 'unsafe-inline'; script-src 'sha256-{digest}'; base-uri 'none'"


def test_the_drawings_are_well_formed(audit: Audit) -> None:
    for picture in (graph_svg(audit), gantt_svg(run_with_a_kill())):
        assert ElementTree.fromstring(picture).attrib["role"] == "img"


def test_every_edge_of_the_script_names_a_drawn_module(audit: Audit) -> None:
    html = page(audit, None)
    found = re.search(r'<script type="application/json" id="edges">(.*?)</script>', html)
    assert found
    edges = json.loads(found[1])
    chips = {int(number) for number in re.findall(r'data-m="(\d+)"', html)}
    assert edges
    assert all(source in chips and target in chips for source, target, _ in edges)


def test_the_page_shows_the_run_only_when_there_is_one(audit: Audit) -> None:
    assert 'id="run"' not in page(audit, None)
    html = page(audit, run_with_a_kill())
    assert 'id="run"' in html
    assert "SIGKILL w1" in html
    assert "lost with its worker, run again" in html


def test_an_empty_tree_has_a_report(tmp_path: Path) -> None:
    empty = audit_of(tmp_path)
    read(page(empty, None))
    assert "0 modules in 0 packages" in markdown(empty, None)


def test_very_many_findings_and_modules_are_capped_and_it_says_so(audit: Audit) -> None:
    finding = Finding(severity="note", rule="r", path="p", line=1, message="m")
    module = audit["modules"][0]
    many = Audit(
        **{
            **audit,
            "findings": [finding] * (MAX_FINDINGS + 5),
            "modules": [{**module, "name": f"pkg.m{n}"} for n in range(MAX_MODULES + 7)],
        }
    )
    html = page(many, None)
    assert html.count('<tr data-severity="note">') == MAX_FINDINGS
    assert "The first 1,000 are shown" in html
    assert f"the {MAX_MODULES} best connected of {MAX_MODULES + 7} modules" in html
    assert "805 more are in report.json" in markdown(many, None)


def test_markdown_tables_hold_together_with_hostile_names(audit: Audit) -> None:
    document = markdown(audit, run_with_a_kill())
    assert "<script>" not in document
    for block in re.findall(r"(?:^\|.*\n)+", document, re.MULTILINE):
        columns = {len(re.findall(r"(?<!\\)\|", line)) for line in block.splitlines()}
        assert len(columns) == 1, block


@pytest.mark.parametrize(
    ("given", "shown"),
    [("a|b", "a\\|b"), ("<b>", "&lt;b&gt;"), ("a\nb", "a b"), ("__x__", "\\_\\_x\\_\\_"), ("é", "é")],
)
def test_markdown_text_is_plain(given: str, shown: str) -> None:
    assert plain_markdown(given) == shown


def test_markup_escapes_everything_but_markup() -> None:
    made = tag("a", "<b>", ["&", 1, None, Markup("<i></i>")], class_="x\"'><", data_v=1.0, hidden=False, open=True)
    assert made == '<a class="x&quot;&#x27;&gt;&lt;" data-v="1" open>&lt;b&gt;&amp;1<i></i></a>'
    assert tag("b", "\x00\x1b[31m\ud800") == "<b>\ufffd\ufffd[31m?</b>"


def test_the_report_is_written_whole_and_read_back(tmp_path: Path, audit: Audit) -> None:
    out = tmp_path / "deep" / "out"
    written = write_report(audit, run_with_a_kill(), out)
    assert sorted(path.name for path in out.iterdir()) == ["report.html", "report.json", "report.md"]
    assert written["modules"] == len(TREE)
    assert read_audit(out) == audit
    again = write_report(read_audit(out), None, out)
    assert again == written


def test_a_report_that_cannot_be_written_leaves_the_old_one(
    tmp_path: Path, audit: Audit, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_report(audit, None, tmp_path)
    before = (tmp_path / "report.html").read_bytes()

    def refuse(self: Path, target: Path) -> Path:
        raise OSError(28, f"No space left on device: {self} {target}")

    monkeypatch.setattr(Path, "replace", refuse)
    with pytest.raises(OSError, match="No space left"):
        write_report(audit, run_with_a_kill(), tmp_path)
    assert (tmp_path / "report.html").read_bytes() == before
    assert sorted(path.name for path in tmp_path.glob(".*")) == []
