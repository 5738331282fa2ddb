"""What page and plots take from the results of a run."""

from __future__ import annotations

import statistics
from collections.abc import Iterator, Mapping
from typing import Any

from bench.run import WORKLOADS
from bench.tables import memories
from bench.why import WHY

Json = Mapping[str, Any]
UNWRITTEN = "no reason is written down yet."


def workload_rows(document: Json, workload: str) -> list[Json]:
    return [row for row in document["rows"] if row["workload"] == workload]


def kills(document: Json) -> list[dict[str, Any]]:
    """One a system: the median where there were several; None when a kill was not recovered from at all."""
    made = []
    for system in dict.fromkeys(one["system"] for one in document["recovery"]):
        mine = [one for one in document["recovery"] if one["system"] == system]
        lost = any(one["next_step"] is None for one in mine)
        made.append({**mine[0], "next_step": None if lost else statistics.median(one["next_step"] for one in mine)})
    return made


def headline(title: str, nodes: int) -> str:
    return title if nodes == 1 else f"{title}, {nodes:,} nodes"


def megabytes(value: float | None) -> str:
    return "unknown" if value is None else f"{value / 2**20:.0f}"


def behind(document: Json) -> Iterator[str]:
    """One line for everything that is better than Chordal somewhere."""
    for workload, title in WORKLOADS.items():
        ours = next((row for row in workload_rows(document, workload) if row["row"] == "chordal"), None)
        for row in workload_rows(document, workload) if ours else ():
            if row["chordal_ratio"] is not None and row["chordal_ratio"] < 1:
                loose = "" if document["modes"][row["row"]]["durable"] else " (not durable)"
                faster = f"{1 / row['chordal_ratio']:.2g}x as fast"
                yield f"- {title}: **{row['row']}**{loose} is {faster}. {_why(workload, row['row'])}"
    after = {one["system"]: one["next_step"] for one in kills(document)}
    for system, seconds in after.items():
        if after.get("chordal") and seconds is not None and seconds < after["chordal"]:
            yield f"- Recovery: **{system}** goes on after {seconds:.1f} s, {_later(seconds, after)}. {_why('recovery', system)}"
    used = {name: memory for name, memory, _, _ in memories(document["repetitions"])}
    for system, memory in used.items():
        if memory and (used.get("chordal") or 0) > memory:
            yield f"- Memory: **{system}** takes {megabytes(memory)} MB, Chordal {megabytes(used['chordal'])}. {_why('memory', system)}"


def _later(seconds: float, after: Mapping[str, Any]) -> str:
    return f"Chordal {after['chordal'] - seconds:.1f} s later"


def _why(workload: str, row: str) -> str:
    said = WHY.get((workload, row), UNWRITTEN)
    return said[0].upper() + said[1:]
