"""Source trees and runs for the tests of the audit example."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from audit_imports import build_graph
from audit_model import Audit, ModuleReport, by_weight
from audit_module import analyse_module
from audit_packages import group_by_package, join_package
from audit_run import Kill, RunEvent, RunRecord
from audit_scan import scan_tree

HOSTILE = "<script>alert('x')</script>"


def write_tree(root: Path, files: Mapping[str, str | bytes]) -> Path:
    """Write files (paths relative to `root`) and return `root`."""
    for name, content in files.items():
        target = root / name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(content if isinstance(content, bytes) else content.encode())
    return root


def reports(root: Path) -> dict[str, ModuleReport]:
    """Every module of a tree analysed, by name."""
    return {ref["name"]: analyse_module(ref, root) for ref in scan_tree(root, 1000)["modules"]}


def audit_of(root: Path) -> Audit:
    """What the node `report` gets, without an engine between."""
    scan = scan_tree(root, 1000)
    modules = [analyse_module(ref, root) for ref in scan["modules"]]
    graph = build_graph(modules)
    found = [*scan["findings"], *graph["findings"], *(item for module in modules for item in module["findings"])]
    return Audit(
        name=root.name,
        source=str(root),
        made_at="2025-01-02T03:04:05+00:00",
        modules=modules,
        packages=[join_package(item) for item in group_by_package(modules)],
        graph=graph,
        findings=sorted(found, key=by_weight),
        skipped=scan["skipped"],
        missing_tools=[],
    )


def events(*rows: tuple[float, str, str, int, str]) -> list[RunEvent]:
    """Events from (at, type, node, attempt, worker)."""
    return [RunEvent(kind, at, node, attempt, worker) for at, kind, node, attempt, worker in rows]


def run_with_a_kill() -> RunRecord:
    """scan -> modules (a map of three) -> report on two workers; the one that ran modules.1 is killed at 2.0."""
    history = events(
        (0.0, "goal.submitted", "", 0, ""),
        (0.1, "goal.started", "", 0, ""),
        (0.2, "node.claimed", "scan", 1, "w1@h/1"),
        (0.5, "node.done", "scan", 1, "w1@h/1"),
        (0.6, "node.claimed", "modules", 1, "w1@h/1"),
        (0.7, "node.expanded", "modules", 1, "w1@h/1"),
        (0.7, "node.waiting", "modules", 1, "w1@h/1"),
        (1.0, "node.claimed", "modules.0", 1, "w2@h/2"),
        (1.0, "node.claimed", "modules.1", 1, "w1@h/1"),
        (1.8, "node.done", "modules.0", 1, "w2@h/2"),
        (2.5, "node.claimed", "modules.2", 1, "w2@h/2"),
        (3.0, "node.done", "modules.2", 1, "w2@h/2"),
        (5.0, "node.lost", "modules.1", 1, "w1@h/1"),
        (5.2, "node.claimed", "modules.1", 2, "w2@h/2"),
        (6.0, "node.done", "modules.1", 2, "w2@h/2"),
        (6.1, "node.woken", "modules", 1, ""),
        (6.1, "node.claimed", "modules", 2, "w2@h/2"),
        (6.2, "node.done", "modules", 2, "w2@h/2"),
        (6.5, "node.claimed", "report", 1, "w2@h/2"),
        (7.0, "node.done", "report", 1, "w2@h/2"),
        (7.0, "goal.done", "", 0, ""),
    )
    names: Sequence[str] = ("scan", "modules", "report", "modules.0", "modules.1", "modules.2")
    return RunRecord(
        goal="g1",
        state="DONE",
        events=history,
        states=dict.fromkeys(names, "DONE"),
        edges=[("scan", "modules"), ("modules", "report")],
        titles={"modules.1": f"pkg/{HOSTILE}.py"},
        kills=[Kill(2.0, "w1", (1, 10))],
    )
