"""The audit's nodes: plain functions that workers run. Each can run twice (a worker may die before its commit)."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

from audit_imports import build_graph
from audit_model import Audit, ImportGraph, ModuleRef, ModuleReport, PackageItem, PackageReport, Scan, by_weight
from audit_module import analyse_module
from audit_packages import group_by_package, join_package
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
def report(
    scan: Scan, modules: list[ModuleReport], packages: list[PackageReport], graph: ImportGraph, name: str, out: str
) -> Written:
    """The join over everything: report.md, report.html and report.json in the folder `out`."""
    findings = [*scan["findings"], *graph["findings"], *(found for module in modules for found in module["findings"])]
    audit = Audit(
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
    return write_report(audit, None, Path(out))
