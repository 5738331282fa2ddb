"""The report as one HTML file: no script, style, font or picture from anywhere else, and a policy that forbids them."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from audit_graph_svg import MAX_MODULES, drawn_modules, edge_list, graph_svg
from audit_html_parts import cell, mark_of, section, table, tiles
from audit_html_run import run_section
from audit_markup import Markup, name_of, tag
from audit_model import SEVERITIES, WEIGHT, Audit, Block, Count, Finding, ModuleReport, PackageReport, count, score
from audit_packages import worst_modules
from audit_prose_html import abstract_of, calls_section, words_section
from audit_run import RunRecord
from audit_totals import figure, plural, share, totals

MAX_FINDINGS: Final = 1000
_HERE: Final = Path(__file__).parent


def page(audit: Audit, run: RunRecord | None) -> str:
    """The whole document. Everything that comes from the source tree is a text node or an escaped attribute."""
    style = Markup((_HERE / "report.css").read_text(encoding="utf-8"))
    script = Markup((_HERE / "report.js").read_text(encoding="utf-8"))
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    policy = f"default-src 'none'; style-src 'unsafe-inline'; script-src 'sha256-{digest}'; base-uri 'none'"
    head = tag(
        "head",
        tag("meta", charset="utf-8"),
        tag("meta", http_equiv="Content-Security-Policy", content=policy),
        tag("meta", name="viewport", content="width=device-width, initial-scale=1"),
        tag("meta", name="color-scheme", content="light dark"),
        tag("title", f"Audit of {audit['name']}"),
        tag("style", style),
    )
    prose = audit.get("prose")
    sections = [
        _worst(audit), words_section(prose) if prose else None, _findings(audit), _packages(audit), _imports(audit),
        run_section(run) if run else None, calls_section(run) if run and run.calls else None,
    ]  # fmt: skip
    main = tag("main", abstract_of(prose) if prose else None, _tiles(audit), sections, id="main")
    body = tag("body", tag("div", _header(audit, run), main, _footer(audit), class_="page"), tag("script", script))
    return f"<!DOCTYPE html>\n{tag('html', head, body, lang='en')}\n"


def _header(audit: Audit, run: RunRecord | None) -> Markup:
    links = [("first", "Look here first"), ("findings", "Findings"), ("packages", "Packages"), ("imports", "Imports")]
    if "prose" in audit:
        links.insert(1, ("words", "In words"))
    if run:
        links.append(("run", "The run"))
    if run and run.calls:
        links.append(("calls", "Model calls"))
    when = audit["made_at"].replace("T", " ").replace("+00:00", " UTC")
    return tag(
        "header",
        tag("p", "Source audit", class_="eyebrow"),
        tag("h1", audit["name"]),
        tag("p", tag("code", audit["source"]), tag("span", when), class_="meta"),
        tag("nav", [tag("a", name, href=f"#{place}") for place, name in links], aria_label="Sections"),
    )


def _tiles(audit: Audit) -> Markup:
    sums = totals(audit)
    items: list[tuple[str, str, str]] = [
        ("Modules", f"{sums.modules:,}", f"in {plural(sums.packages, 'package')}"),
        (
            "Lines of code",
            f"{sums.code_lines:,}",
            f"{plural(sums.functions, 'function')}, {plural(sums.classes, 'class', 'classes')}",
        ),
        (
            "Findings",
            f"{sum(sums.findings.values()):,}",
            ", ".join(plural(sums.findings[severity], severity) for severity in SEVERITIES),
        ),
        ("Complexity", figure(sums.complexity_mean), f"mean a function, {sums.complexity_max} at most"),
        ("Docstrings", share(sums.documented), "of public definitions"),
        ("Import cycles", str(sums.cycles), f"among {plural(len(audit['graph']['edges']), 'import')}"),
    ]
    return tiles(items)


def _worst(audit: Audit) -> Markup:
    rows = worst_modules(audit["modules"], 12)
    weights = ", ".join(f"{plural(WEIGHT[severity], 'point')} for {_article(severity)}" for severity in SEVERITIES)
    lead = f"Modules by score: {weights}."
    if not rows:
        return section("first", "Look here first", lead, tag("p", "No module has a finding.", class_="empty"))
    most = score(rows[0]["findings"])
    heads = [
        ("Module", ""),
        ("Score", "n"),
        ("Most complex function", ""),
        ("Longest function", ""),
        ("Maintainability", "n"),
    ]
    body = table("Modules with the highest score", heads, [_worst_row(row, most) for row in rows])
    return section("first", "Look here first", lead, body)


def _article(severity: str) -> str:
    return f"an {severity}" if severity == "error" else f"a {severity}"


def _worst_row(module: ModuleReport, most: int) -> Markup:
    total = score(module["findings"])
    parts = [(severity, count(module["findings"], severity)) for severity in SEVERITIES]
    bar = [
        tag("i", class_=f"part {severity}", style=f"width:{100 * WEIGHT[severity] * number / most:.1f}%")
        for severity, number in parts
        if number
    ]
    words = ", ".join(plural(number, severity) for severity, number in parts if number)
    return tag(
        "tr",
        tag("th", name_of(module["name"]), tag("small", module["summary"]) if module["summary"] else None, scope="row"),
        cell([tag("b", total), tag("span", bar, class_="meter", title=words)], total, "n score"),
        _block(module["most_complex"], ""),
        _block(module["longest"], " lines"),
        cell(figure(module["maintainability"], 0), module["maintainability"] or 0, "n"),
    )


def _block(block: Block | None, unit: str) -> Markup:
    if block is None:
        return cell("–", 0, "fn")
    return cell([tag("b", f"{block['value']}{unit}"), name_of(block["name"])], block["value"], "fn")


def _findings(audit: Audit) -> Markup:
    found = audit["findings"]
    if not found:
        return section("findings", "Findings", "Ruff and the audit's own rules found nothing.")
    buttons = [
        tag("button", mark_of(severity), f"{severity}s {count(found, severity):,}", type="button", data_severity=severity,
            aria_pressed="true")
        for severity in SEVERITIES
    ]  # fmt: skip
    box = tag("input", type="search", placeholder="Filter by rule, place or words", aria_label="Filter findings")
    tools = tag("div", buttons, box, tag("output", aria_live="polite"), class_="tools")
    heads = [("Severity", ""), ("Rule", ""), ("Place", ""), ("Message", "")]
    body = table("Findings", heads, [_finding_row(item) for item in found[:MAX_FINDINGS]], id="findings-table")
    more = f" The first {MAX_FINDINGS:,} are shown, all are in report.json." if len(found) > MAX_FINDINGS else ""
    return section("findings", "Findings", f"From ruff and the audit's own rules, the worst first.{more}", tools, body)


def _finding_row(item: Finding) -> Markup:
    severity = item["severity"]
    return tag(
        "tr",
        cell([mark_of(severity), severity], SEVERITIES.index(severity), "sev"),
        cell(tag("code", item["rule"]), kind="rule"),
        cell(name_of(f"{item['path']}:{item['line']}"), kind="place"),
        cell(item["message"], kind="wide"),
        data_severity=severity,
    )


def _packages(audit: Audit) -> Markup:
    heads = [
        ("Package", ""), ("Modules", "n"), ("Lines of code", "n"), ("Functions", "n"), ("Complexity", "n"),
        ("Maintainability", "n"), ("Docstrings", "n"), ("Errors", "n"), ("Warnings", "n"), ("Notes", "n"),
    ]  # fmt: skip
    most = max((package["code_lines"] for package in audit["packages"]), default=0) or 1
    rows = [_package_row(package, most) for package in audit["packages"]]
    lead = "Each package's own modules, without those of the packages inside it."
    return section("packages", "Packages", lead, table("Packages", heads, rows))


def _package_row(package: PackageReport, most: int) -> Markup:
    documented = package["documented"] / package["documentable"] if package["documentable"] else None
    meter = tag(
        "span", tag("i", class_="part size", style=f"width:{100 * package['code_lines'] / most:.1f}%"), class_="meter"
    )
    return tag(
        "tr",
        tag("th", name_of(package["name"]), scope="row"),
        cell(f"{package['modules']:,}", package["modules"], "n"),
        cell([f"{package['code_lines']:,}", meter], package["code_lines"], "n"),
        cell(f"{package['functions']:,}", package["functions"], "n"),
        cell(figure(package["complexity_mean"]), package["complexity_mean"], "n"),
        cell(figure(package["maintainability"], 0), package["maintainability"] or 0, "n"),
        cell(share(documented), documented or 0, "n"),
        *(cell(package[kind] or tag("span", "0", class_="dim"), package[kind], "n") for kind in _KINDS),
    )


_KINDS: Final = ("errors", "warnings", "notes")


def _imports(audit: Audit) -> Markup:
    drawn = drawn_modules(audit)
    lead = (
        "Importers stand above what they import at import time; a ribbon is as thick as its imports are many, a dashed "
        "one runs against that order. Point at a module, or choose one, to see its own imports."
    )
    if not drawn:
        return section("imports", "Imports", "There are no modules to draw.")
    options = [
        tag("option", "Choose a module", value=""),
        *(tag("option", m["name"], value=i) for i, m in enumerate(drawn)),
    ]
    chooser = tag("label", "Module ", tag("select", options, id="module"))
    words = tag("output", id="links", aria_live="polite")
    data = tag("script", Markup(json.dumps(edge_list(audit))), type="application/json", id="edges")
    note = None
    if len(drawn) < len(audit["modules"]):
        words_cut = f"Drawn: the {MAX_MODULES} best connected of {len(audit['modules']):,} modules."
        note = tag("p", words_cut, class_="note")
    picture = tag("figure", graph_svg(audit), class_="wide")
    lists = tag(
        "div",
        _counts("Most imported", audit["graph"]["most_imported"][:10], "modules"),
        _counts("Third-party packages", audit["graph"]["third_party"][:10], "modules"),
        _cycle_list(audit["graph"]["cycles"]),
        class_="columns",
    )
    return section("imports", "Imports", lead, tag("div", chooser, words, class_="tools"), picture, data, note, lists)


def _counts(title: str, items: Sequence[Count], unit: str) -> Markup:
    most = max((item["count"] for item in items), default=0) or 1
    rows = [
        tag(
            "li", name_of(item["name"]), tag("b", item["count"], title=unit),
            tag("span", tag("i", class_="part size", style=f"width:{100 * item['count'] / most:.1f}%"), class_="meter"),
        )
        for item in items
    ]  # fmt: skip
    return tag("div", tag("h3", title), tag("ol", rows, class_="counts") if rows else tag("p", "None.", class_="empty"))


def _cycle_list(cycles: Sequence[Sequence[str]]) -> Markup:
    rows = [tag("li", tag("code", " → ".join(cycle))) for cycle in cycles[:20]]
    nothing = tag("p", "None at import time.", class_="empty")
    return tag("div", tag("h3", "Import cycles"), tag("ul", rows, class_="plain") if rows else nothing)


def _footer(audit: Audit) -> Markup:
    missing = [f"{tool} is not installed: its figures are missing." for tool in audit["missing_tools"]]
    method = (
        "Complexity and maintainability by radon; other findings by ruff with one rule set, whatever the tree's own "
        "configuration says. Complexity above 10 is a note, above 20 a warning; functions above 60 and 120 lines "
        "likewise. Nothing of the tree was imported or run."
    )
    skipped = [tag("li", tag("code", item["path"]), f" {item['reason']}") for item in audit["skipped"]]
    left_out = tag("details", tag("summary", f"{plural(len(skipped), 'place')} left out"), tag("ul", skipped))
    return tag("footer", tag("p", method, [f" {words}" for words in missing]), left_out if skipped else None)
