"""What a run found, as JSON and as a table."""

from __future__ import annotations

import json
import os
import platform
import statistics
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from chaos.driver import Run
from chaos.fault import Record
from chaos.world import LEASE_SECONDS
from orchestrator.embedded.binary import find_server
from orchestrator.settings import Settings

NONE = "-"


def flushed(line: str) -> None:
    """Print at once, for who watches."""
    print(line, flush=True)


def result(runs: Sequence[Run]) -> dict[str, Any]:
    """The figures of runs with one seed."""
    settings = Settings()
    return {
        "date": time.strftime("%Y-%m-%d", time.gmtime()),
        "seed": runs[0].seed if runs else 0,
        "seconds": sum(run.seconds for run in runs),
        "machine": f"{os.cpu_count()} CPUs, {platform.system()} {platform.machine()}, Python {platform.python_version()}",
        "server": str(find_server()),
        "lease_seconds": LEASE_SECONDS,
        "reap_seconds": settings.reap_seconds,
        "goals": sum(run.goals for run in runs),
        "nodes": sum(run.nodes for run in runs),
        "forgotten": sum(run.forgotten for run in runs),
        "faults": [figures(record) for run in runs for record in run.records.values()],
        "violations": [text for run in runs for text in run.violations],
    }


def figures(record: Record) -> dict[str, Any]:
    """One fault's row."""
    gaps = record.recoveries
    return {
        "name": record.fault,
        "count": record.count,
        "measured": len(gaps),
        "p50": round(statistics.median(gaps), 2) if gaps else None,
        "max": round(max(gaps), 2) if gaps else None,
        "claimable": round(max(record.claimable), 2) if record.claimable else None,
        "exits": record.exits,
        "violations": len(record.violations),
        "notes": record.notes,
        "skipped": record.skipped,
    }


def table(found: dict[str, Any]) -> str:
    """For a terminal."""
    width = max((len(row["name"]) for row in found["faults"]), default=5)
    lines = [f"{'fault':{width}}  count  recovery p50     max  exits  violations"]
    for row in found["faults"]:
        if row["skipped"]:
            lines.append(f"{row['name']:{width}}  skipped: {row['skipped']}")
            continue
        p50, most = (NONE if row[key] is None else f"{row[key]:.2f} s" for key in ("p50", "max"))
        lines.append(
            f"{row['name']:{width}}  {row['count']:5}  {p50:>12}  {most:>6}  {row['exits']:5}  {row['violations']:10}"
        )
    lines += [f"violation: {text}" for text in found["violations"]]
    lines.append(
        f"seed {found['seed']}: {found['goals']:,} goals, {found['nodes']:,} nodes,"
        f" {sum(row['count'] for row in found['faults'])} faults, {found['forgotten']} goals lost in a stated window,"
        f" {len(found['violations'])} violations"
    )
    return "\n".join(lines)


def write(found: dict[str, Any], path: Path) -> None:
    """Save the figures."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(found, indent=1, ensure_ascii=False) + "\n", "utf-8")


def read(path: Path) -> dict[str, Any]:
    """The figures of an earlier run."""
    return dict(json.loads(path.read_text("utf-8")))
