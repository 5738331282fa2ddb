"""The published failure matrix: rendered from the figures of a run and from what the faults say of themselves."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from chaos import report
from chaos.catalogue import EVERY, FAULTS, SCENARIOS
from chaos.fault import Described
from support.house import ROOT

PUBLISHED: Final = Path(__file__).resolve().parent / "results" / "published.json"
PAGE: Final = ROOT / "docs" / "explanation" / "failure-matrix.md"
NONE: Final = "–"

INTRO: Final = """<!-- Made by tests/chaos/matrix.py from the figures of a run (tests/chaos/results/published.json) and the faults in
tests/chaos; `make chaos ARGS=--publish` makes both anew. -->

# The failure matrix

What Chordal guarantees under each fault, what it does not, and what a run showed. The faults are injected into real
processes, one after the other and often before the last is over, while random goals run: DAGs of 8 to 44 nodes with
timers, retries, nodes longer than the lease and users' Celery tasks. Afterwards every goal must be DONE with the outputs
that can be foretold, and the history checker reads every event: `chordal doctor --history GOAL` runs the same rules.

`make chaos` repeats it, `make chaos SEED=7` with the same schedule of faults."""

COLUMNS: Final = """*Count* is how often it struck. *Recovery* is the time from the fault until the last node that the victims held was
claimed again; where a fault has no such victims, from its healing (for a failover, from the
end of the old master) to the next commit. A recovery that the next fault ran
into is not measured; – means that the victims held nothing or that nothing was measured. *Exits* are workers and beats
that ended by themselves meanwhile and were started again by the supervisor, as `chordal up`, systemd or Kubernetes do."""

WINDOWS: Final = """## What can be lost, and when

**Death of the server process.** The server hands its writes to the kernel before it answers, with one exception: while a
flush to the disk is still running it may hold them back for up to two seconds, and a kill in that time loses them.
{kills} In that run the file was on a tmpfs where that can be mounted, whose flushes take no time: the figure says nothing
about a slow disk.

**Power loss is not process death.** With `appendfsync everysec`, the default, the disk has everything but about the last
second; when a flush takes longer than that, Redis writes on without waiting for up to two seconds. A machine that loses
power in that window loses acknowledged writes. Chordal then sees what the row *Tail of the append-only file cut* shows:
each goal is as it was at one earlier moment, because all of it is in one slot of one server and each script is one
transaction in the file. {cuts} `appendfsync always` closes the window and costs throughput.

**A failover loses what the replica had not received**, and what a partitioned old master accepted meanwhile.
{failovers} `min-replicas-to-write 1` with `min-replicas-max-lag` bounds the window.

**Execution is at least once.** Wherever the matrix says that a node may run again, its function is called again. One
outcome is committed; side effects outside of Redis need the fencing token or an idempotency key, see
[durability](durability.md)."""


def page(found: Mapping[str, Any]) -> str:
    """docs/explanation/failure-matrix.md."""
    rows = {row["name"]: row for row in found["faults"]}
    total = sum(row["count"] for row in found["faults"])
    figures = f"""The figures: {found["date"]}, seed {found["seed"]}, {found["seconds"]:.0f} s on the common fleet, {total} faults,
{found["goals"]:,} goals, {found["nodes"]:,} nodes committed, **{len(found["violations"])} violations**. {found["machine"]},
{found["server"]}; three workers of two processes and two beats on that one machine.
{_bound(found, rows)}"""
    parts = [
        INTRO,
        figures,
        COLUMNS,
        "## One fleet",
        _table(FAULTS, rows),
        "## A world of its own",
        _table(SCENARIOS, rows),
    ]
    parts.append(_windows(rows))
    return "\n\n".join(parts) + "\n"


def _bound(found: Mapping[str, Any], rows: Mapping[str, Any]) -> str:
    """The bound on recovery, and which rows went beyond it."""
    bound = found["lease_seconds"] + 2 * found["reap_seconds"]
    timed = [(one.name, _slowest(rows[one.name])) for one in EVERY if one.bounded and _slowest(rows.get(one.name, {}))]
    late = [f"{name} ({most:.2f} s)" for name, most in timed if most > bound]
    told = f"{len(timed) - len(late)} of the {len(timed)} faults that it is meant for stayed within it"
    beyond = f"; beyond it went {', '.join(late)}" if late else ""
    return f"""The lease is {found["lease_seconds"]:g} s here (3 s by default) and beat looks every {found["reap_seconds"]:g} s, so the bound on
recovery, lease + two beats, is {bound:g} s: {told}{beyond}.
It is about when a lost node can be claimed; the figures below go on until it is, which on a busy fleet also takes a slot."""


def _slowest(row: Mapping[str, Any]) -> float:
    """Until a lost node could be claimed, at the worst; until it was, where a run did not tell the two apart."""
    return float(row.get("claimable") or row.get("max") or 0.0)


def _windows(rows: Mapping[str, Any]) -> str:
    def notes(text: str) -> str:
        said = [note for name, row in rows.items() if text in name for note in row["notes"]]
        return f"In the run: {'; '.join(said)}." if said else ""

    return WINDOWS.format(
        kills=notes("kill -9 of Redis"), cuts=notes("Tail of the append-only"), failovers=notes("failover")
    )


def _table(faults: Sequence[Described], rows: Mapping[str, Any]) -> str:
    head = (
        "fault",
        "what is done",
        "guaranteed",
        "not guaranteed",
        "count",
        "recovery p50",
        "max",
        "exits",
        "violations",
    )
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    for fault in faults:
        cells = [fault.name, fault.does, fault.holds, fault.loses, *_figures(rows.get(fault.name))]
        lines.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
    return "\n".join(lines)


def _figures(row: Mapping[str, Any] | None) -> list[str]:
    if row is None or row["skipped"]:
        return [f"not run{': ' + row['skipped'] if row else ''}", NONE, NONE, NONE, NONE]
    p50, most = (NONE if row[key] is None else f"{row[key]:.2f} s" for key in ("p50", "max"))
    return [str(row["count"]), p50, most, str(row["exits"]), str(row["violations"])]


if __name__ == "__main__":
    PAGE.write_text(page(report.read(PUBLISHED)), "utf-8")
    sys.exit(0)
