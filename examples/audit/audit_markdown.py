"""The report as Markdown, for terminals, pull requests and diffs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from audit_markup import plain_markdown as plain
from audit_model import Audit, Block, Finding, ModuleReport, score
from audit_packages import worst_modules
from audit_prose_markdown import abstract_lines, calls_lines, words_lines
from audit_prose_markdown import rows_of as _table
from audit_run import RunRecord, critical_path, facts
from audit_totals import figure, plural, seconds, share, totals

MAX_FINDINGS: Final = 200


def markdown(audit: Audit, run: RunRecord | None) -> str:
    """The whole document."""
    prose = audit.get("prose")
    parts = [
        *_head(audit), *_worst(audit), *(words_lines(prose) if prose else ()), *_findings(audit["findings"]),
        *_packages(audit), *_imports(audit), *(_run(run) if run else ()),
        *(calls_lines(run) if run and run.calls else ()),
    ]  # fmt: skip
    return "\n".join(parts) + "\n"


def _head(audit: Audit) -> Iterator[str]:
    sums = totals(audit)
    errors, warnings, notes = sums.findings.values()
    yield f"# Audit of {plain(audit['name'])}\n"
    yield f"`{audit['source'].replace('`', '')}`, {audit['made_at']}\n"
    if prose := audit.get("prose"):
        yield from abstract_lines(prose)
    yield f"- {plural(sums.modules, 'module')} in {plural(sums.packages, 'package')}, {sums.code_lines:,} lines of code"
    yield f"- {plural(errors, 'error')}, {plural(warnings, 'warning')}, {plural(notes, 'note')}"
    yield f"- docstrings: {share(sums.documented)} of public definitions"
    mean = figure(sums.complexity_mean)
    yield f"- cyclomatic complexity: {mean} on average, {sums.complexity_max} at most"
    yield f"- {plural(sums.cycles, 'import cycle')}"
    for tool in audit["missing_tools"]:
        yield f"- {tool} is not installed: its figures are missing"
    yield ""


def _worst(audit: Audit) -> Iterator[str]:
    yield "## Look here first\n"
    rows = worst_modules(audit["modules"], 10)
    if rows:
        heads = ("module", "score", "most complex", "longest function", "maintainability")
        yield from _table(heads, [_worst_row(row) for row in rows])
    else:
        yield "Nothing found.\n"


def _worst_row(module: ModuleReport) -> list[str]:
    return [
        plain(module["name"]),
        str(score(module["findings"])),
        _block(module["most_complex"]),
        _block(module["longest"]),
        figure(module["maintainability"], 0),
    ]


def _block(block: Block | None) -> str:
    return f"{plain(block['name'])} ({block['value']})" if block else "–"


def _findings(found: Sequence[Finding]) -> Iterator[str]:
    if not found:
        return
    yield "## Findings\n"
    rows = [
        [item["severity"], plain(item["rule"]), f"{plain(item['path'])}:{item['line']}", plain(item["message"])]
        for item in found[:MAX_FINDINGS]
    ]
    yield from _table(("severity", "rule", "place", "message"), rows)
    if len(found) > MAX_FINDINGS:
        yield f"{len(found) - MAX_FINDINGS:,} more are in report.json.\n"


def _packages(audit: Audit) -> Iterator[str]:
    yield "## Packages\n"
    yield "Findings are errors / warnings / notes.\n"
    rows = [
        [
            plain(package["name"]),
            f"{package['modules']:,}",
            f"{package['code_lines']:,}",
            figure(package["complexity_mean"]),
            figure(package["maintainability"], 0),
            share(package["documented"] / package["documentable"] if package["documentable"] else None),
            f"{package['errors']} / {package['warnings']} / {package['notes']}",
        ]
        for package in audit["packages"]
    ]
    heads = ("package", "modules", "code lines", "complexity", "maintainability", "docstrings", "findings")
    yield from _table(heads, rows)


def _imports(audit: Audit) -> Iterator[str]:
    graph = audit["graph"]
    yield "## Imports\n"
    yield f"{plural(len(graph['edges']), 'import')} between modules of the tree.\n"
    for cycle in graph["cycles"]:
        yield f"- cycle: {plain(' → '.join(cycle))}"
    for item in graph["most_imported"][:10]:
        yield f"- {plain(item['name'])} is imported by {plural(item['count'], 'module')}"
    yield ""


def _run(run: RunRecord) -> Iterator[str]:
    found = facts(run)
    yield "## The run\n"
    yield f"- goal `{run.goal}`: {run.state} in {seconds(found.seconds)}"
    yield f"- {found.done:,} of {found.nodes:,} nodes DONE on {plural(found.workers, 'worker process', 'worker processes')}"
    yield f"- workers killed: {found.kills}; nodes lost with them and run again: {found.lost}; retries: {found.retries}\n"
    rows = [
        [plain(step.node), plain(run.titles.get(step.node) or ""), seconds(step.waited), seconds(step.ran)]
        for step in critical_path(run)
    ]
    yield "Critical path:\n"
    yield from _table(("node", "title", "waited", "ran"), rows)
