"""The results as tables in the terminal."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from rich.console import Console
from rich.table import Table

from bench.polite import WHAT
from bench.run import WORKLOADS

Json = Mapping[str, Any]


def show(console: Console, document: Json, sized: bool) -> None:
    """Print what was measured, and what was not; with `sized`, what the targets say too."""
    made = {
        "rows": _workloads, "scale": _scale, "makespan": _makespan, "recovery": _recovery, "idle": _idle, "polite": _polite,
    }  # fmt: skip
    for section, table in made.items():
        if document[section]:
            console.print(table(document[section]))
            if section == "rows":
                console.print("\n".join(surroundings(document["repetitions"])))
                console.print(_modes(document))
    if sized and document["targets"]:
        console.print(_targets(document["targets"]))
    for what, reason in document["missing"].items():
        console.print(f"not measured: {what}: {reason.splitlines()[0]}", style="yellow", markup=False)


def _workloads(rows: Sequence[Json]) -> Table:
    table = _table(
        "Workloads: seconds from the client's call to its answer, medians (least to most)",
        ("workload", "system"), ("nodes", "seconds", "ms a node", "nodes/s", "without submission", "x Celery", "Chordal is"),
    )  # fmt: skip
    before = ""
    for row in rows:
        label = WORKLOADS[row["workload"]] if row["workload"] != before else ""
        before = row["workload"]
        ratio = "" if row["ratio"] is None else f"{row['ratio']:.1f}"
        ours = "" if row["chordal_ratio"] is None else f"{row['chordal_ratio']:.1f}x as fast"
        inner = row["run_seconds"]
        rate = "" if inner is None else f"{row['nodes'] / max(inner['median'], 0.001):,.0f}/s"
        table.add_row(
            label, row["row"], f"{row['nodes']:,}", spread(row["seconds"]), f"{row['ms_a_node']:.3f}",
            f"{row['nodes_a_second']:,.0f}", rate, ratio, ours,
        )  # fmt: skip
    return table


def spread(seconds: Json) -> str:
    """Median, least and most."""
    return f"{seconds['median']:.3f} ({seconds['least']:.3f} to {seconds['most']:.3f})"


def surroundings(repetitions: Sequence[Json]) -> Iterator[str]:
    """A line a system: memory, and what other programs did meanwhile."""
    for system, memory, resident, busy in memories(repetitions):
        used = "memory unknown" if memory is None else f"{memory / 2**20:.0f} MB"
        summed = "" if resident is None else f" ({resident / 2**20:.0f} MB by RSS)"
        noise = "noise unknown" if busy is None else f"other programs used {busy:.2f} CPUs meanwhile"
        yield f"{system}: {used}{summed} with client and server; {noise}"


def memories(repetitions: Sequence[Json]) -> Iterator[tuple[str, float | None, float | None, float | None]]:
    """(system, memory, memory by RSS, CPUs that others used), medians."""
    for system in dict.fromkeys(repetition["system"] for repetition in repetitions):
        mine = [repetition for repetition in repetitions if repetition["system"] == system]
        names = ("memory_bytes", "resident_bytes", "others_busy_cpus")
        memory, resident, busy = (_median(one[name] for one in mine) for name in names)
        yield system, memory, resident, busy


def _median(values: Iterable[float | None]) -> float | None:
    there = [value for value in values if value is not None]
    return statistics.median(there) if there else None


def _modes(document: Json) -> Table:
    table = _table("How each was measured", ("system", "mode", "durable"), ())
    for row in dict.fromkeys(row["row"] for row in document["rows"]):
        mode = document["modes"][row]
        by_hand = "; DAG by hand-written counters" if mode["by_hand"] else ""
        table.add_row(row, mode["text"] + by_hand, "yes" if mode["durable"] else "not durable")
    return table


def _scale(scales: Sequence[Json]) -> Table:
    names = (
        "nodes", "validate", "compile", "submit", "run", "ms a node", "cost", "bytes a node", "scripts a node", "commands a node",
    )  # fmt: skip
    table = _table("Scale: random DAGs, 50 nodes a layer; seconds", (), names)
    for scale in scales:
        times = (f"{scale[name]:.2f}" for name in ("validate", "compile", "submit", "run"))
        table.add_row(
            f"{scale['nodes']:,}", *times, f"{scale['ms_a_node']:.3f}", f"{scale['cost_against_first']:.2f}x",
            f"{scale['redis_bytes_a_node']:,.0f}", f"{scale['scripts_a_node']:.2f}", f"{scale['commands_a_node']:.1f}",
        )  # fmt: skip
    return table


def _makespan(makespans: Sequence[Json]) -> Table:
    title = "Makespan: nodes that sleep 50 to 500 ms; seconds"
    table = _table(title, ("graph", "pool"), ("nodes", "slots", "critical path", "work a slot", "median", "x bound"))
    for one in makespans:
        table.add_row(
            one["shape"], one["pool"], f"{one['nodes']:,}", str(one["slots"]), f"{one['critical_path']:.2f}",
            f"{one['work_a_slot']:.2f}", f"{statistics.median(one['runs']):.2f}", f"{one['ratio']:.3f}",
        )  # fmt: skip
    return table


def _recovery(recoveries: Sequence[Json]) -> Table:
    title = "Recovery: chain of 20 x 0.5 s, SIGKILL in the seventh step, worker back after 1 s"
    table = _table(title, ("system",), ("next step after", "steps repeated", "completed"))
    for one in recoveries:
        again = "none" if one["next_step"] is None else f"{one['next_step']:.2f} s"
        table.add_row(one["system"], again, str(one["repeated"]), "yes" if one["completed"] else f"no: {one['why']}")
    return table


def _idle(idles: Sequence[Json]) -> Table:
    table = _table("Idle: worker of 2 processes, and beat", ("system", "by command"), ("commands/s", "CPU"))
    for one in idles:
        most = ", ".join(f"{name} {rate:g}" for name, rate in list(one["commands"].items())[:10])
        table.add_row(one["system"], most, f"{one['commands_a_second']:.1f}", f"{one['cpu_percent']:.1f} %")
    return table


def _polite(polites: Sequence[Json]) -> Table:
    table = _table("Behind 10,000 tiny nodes; milliseconds", ("what",), ("median", "most", "time slices"))
    for one in polites:
        slices = f"{one['slices']:.2f}"
        table.add_row(WHAT[one["what"]], f"{one['median'] * 1000:.0f}", f"{one['most'] * 1000:.0f}", slices)
    return table


def _targets(targets: Sequence[Json]) -> Table:
    table = _table("Targets", ("what", "target", "measured", ""), ())
    for one in targets:
        met = "[green]met[/]" if one["met"] else "[red]not met[/]"
        table.add_row(one["what"], one["target"], f"{one['value']:,.2f} {one['unit']}", met)
    return table


def _table(title: str, left: Sequence[str], right: Sequence[str]) -> Table:
    table = Table(title=title)
    for name in left:
        table.add_column(name)
    for name in right:
        table.add_column(name, justify="right")
    return table
