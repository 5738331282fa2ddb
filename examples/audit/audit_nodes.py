"""The audit's nodes: plain functions that workers run. Each can run twice (a worker may die before its commit)."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from audit_imports import build_graph
from audit_model import (
    Audit,
    ImportGraph,
    ModuleRef,
    ModuleReport,
    PackageItem,
    PackageReport,
    Prose,
    Scan,
    Subject,
    by_weight,
)
from audit_module import analyse_module
from audit_packages import group_by_package, join_package
from audit_prose import passage_of, subject_of, subjects_of
from audit_report import Written, write_report
from audit_scan import scan_tree
from orchestrator import node


@node
def scan(source: str, limit: int) -> Scan:
    """List the modules of the tree."""
    return scan_tree(Path(source), limit)


@node
def analyse(item: ModuleRef, source: str) -> ModuleReport:
    """One module of the map `modules`."""
    return analyse_module(item, Path(source))


@node
def group(modules: list[ModuleReport]) -> dict[str, list[PackageItem]]:
    """The items of the map `packages`."""
    return {"packages": group_by_package(modules)}


@node
def package(item: PackageItem) -> PackageReport:
    """One package of the map `packages`: the join over its modules."""
    return join_package(item)


@node
def graph(modules: list[ModuleReport]) -> ImportGraph:
    """The import graph over all modules."""
    return build_graph(modules)


@node
def worst(modules: list[ModuleReport], number: int) -> dict[str, list[Subject]]:
    """The modules that the model writes about."""
    return {"subjects": subjects_of(modules, number)}


@node
def brief(
    scan: Scan, modules: list[ModuleReport], packages: list[PackageReport], graph: ImportGraph, name: str
) -> Subject:
    """What the model is told for the abstract."""
    return subject_of(_audit(scan, modules, packages, graph, name))


@node
def report(
    scan: Scan,
    modules: list[ModuleReport],
    packages: list[PackageReport],
    graph: ImportGraph,
    name: str,
    out: str,
    brief: Subject | None = None,
    abstract: dict[str, Any] | None = None,
    subjects: list[Subject] | None = None,
    summaries: list[dict[str, Any]] | None = None,
) -> Written:
    """The join over everything: report.md, report.html and report.json in the folder `out`."""
    audit = _audit(scan, modules, packages, graph, name)
    if brief and abstract:
        said = zip(subjects or (), summaries or (), strict=True)
        audit["prose"] = Prose(abstract=passage_of(brief, abstract), modules=[passage_of(*one) for one in said])
    return write_report(audit, None, Path(out))


def _audit(
    scan: Scan, modules: list[ModuleReport], packages: list[PackageReport], graph: ImportGraph, name: str
) -> Audit:
    findings = [*scan["findings"], *graph["findings"], *(found for module in modules for found in module["findings"])]
    return Audit(
        name=name,
        source=scan["source"],
        made_at=datetime.now(UTC).isoformat(timespec="seconds"),
        modules=modules,
        packages=packages,
        graph=graph,
        findings=sorted(findings, key=by_weight),
        skipped=scan["skipped"],
        missing_tools=sorted({tool for module in modules for tool in module["missing_tools"]}),
    )
