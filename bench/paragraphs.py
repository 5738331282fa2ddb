"""The sections of the page, in its order: each yields its paragraphs, or nothing when it was not measured."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, Final

from bench.digest import behind, headline, kills, megabytes, workload_rows
from bench.polite import WHAT
from bench.recovery import PATIENCE_SECONDS
from bench.run import WORKLOADS
from bench.tables import memories

Json = Mapping[str, Any]
NAME: Final = "benchmarks"
"""Of the page, and of the folder of its plots."""
QUIET_CPUS: Final = 0.3
"""When other programs use more than this, the page warns of its own figures."""


def _surroundings(document: Json) -> Iterator[str]:
    machine = document["machine"]
    packages = ", ".join(f"{name} {version}" for name, version in machine["packages"].items())
    busy = [one["others_busy_cpus"] for one in document["repetitions"] if one["others_busy_cpus"] is not None]
    noise = (
        f" Other programs used {statistics.median(busy):.2f} CPUs meanwhile (median; most {max(busy):.2f})."
        if busy
        else ""
    )
    if busy and statistics.median(busy) > QUIET_CPUS:
        yield "**The machine was not quiet in this run: do not quote these figures.**"
    yield (
        f"Measured {document['date'][:10]} on {machine['cpus']} CPUs ({machine['cpu']}), {machine['system']}, Python "
        f"{machine['python']}, {machine['server']}; {packages}.{noise}"
    )


def _workloads(document: Json) -> Iterator[str]:
    if not document["rows"]:
        return
    yield "## Workloads"
    yield (
        "What each was measured as; an engine that runs in the client's process pays no hop between processes, and one that is "
        "not durable writes nothing."
    )
    there = list(dict.fromkeys(row["row"] for row in document["rows"]))
    modes = {row: document["modes"][row] for row in there}
    packages = document["machine"]["packages"]
    pins = {name: ", ".join(pinned) or f"{name} {packages[name]}" for name, pinned in document["systems"].items()}
    yield table(
        ("system", "version", "mode", "durable"),
        [
            (
                row,
                pins[mode["system"]].replace("==", " "),
                mode["text"] + ("; DAG by hand-written counters" if mode["by_hand"] else ""),
                "yes" if mode["durable"] else "not durable",
            )
            for row, mode in modes.items()
        ],
    )
    for workload, title in WORKLOADS.items():
        rows = sorted(workload_rows(document, workload), key=lambda row: row["seconds"]["median"])
        if rows:
            yield f"### {headline(title, rows[0]['nodes'])}"
            yield f"![{title}: seconds of each system]({NAME}/{workload}.svg)"
            yield table(("system", "seconds", "ms a node", "nodes/s", "Chordal is", "beside Celery"), map(_line, rows))


def _line(row: Json) -> tuple[str, ...]:
    seconds = row["seconds"]
    shown = f"{seconds['median']:.3f} ({seconds['least']:.3f} to {seconds['most']:.3f}, n = {seconds['count']})"
    ours = "" if row["chordal_ratio"] is None else f"{row['chordal_ratio']:.2g}x as fast"
    celery = "" if row["ratio"] is None else f"{row['ratio']:.2g}x as fast"
    return row["row"], shown, f"{row['ms_a_node']:.3f}", f"{row['nodes_a_second']:,.0f}", ours, celery


def _scale(document: Json) -> Iterator[str]:
    if not document["scale"]:
        return
    yield "## Growing goals"
    if len(document["scale"]) > 1:
        yield f"![Milliseconds and bytes for each node over the size of the goal]({NAME}/scale.svg)"
    names = (
        "nodes",
        "validate, s",
        "compile, s",
        "submit, s",
        "run, s",
        "ms a node",
        "cost",
        "bytes a node",
        "commands a node",
    )
    yield table(names, (
        (
            f"{one['nodes']:,}", f"{one['validate']:.2f}", f"{one['compile']:.2f}", f"{one['submit']:.2f}", f"{one['run']:.2f}",
            f"{one['ms_a_node']:.3f}", f"{one['cost_against_first']:.2f}x", f"{one['redis_bytes_a_node']:,.0f}",
            f"{one['commands_a_node']:.1f}",
        )
        for one in document["scale"]
    ))  # fmt: skip
    last = document["scale"][-1]
    most = ", ".join(f"{name} {count:g}" for name, count in last["commands"].items())
    yield (
        f"Commands are those that the server carried out (`INFO commandstats`), mostly inside {last['scripts_a_node']:.2f} "
        f"scripts a node; of the largest goal, a node: {most}. Bytes are records, outputs and history after the end."
    )


def _makespan(document: Json) -> Iterator[str]:
    if not document["makespan"]:
        return
    yield "## Sleeping nodes"
    yield (
        "Nodes of 50 to 500 ms on two workers. The bound is the longer of the critical path and the work divided by the slots: "
        "no scheduler is below it."
    )
    yield table(
        ("graph", "pool", "nodes", "slots", "critical path, s", "work a slot, s", "median, s", "against the bound"),
        (
            (
                one["shape"], one["pool"], f"{one['nodes']:,}", str(one["slots"]), f"{one['critical_path']:.2f}",
                f"{one['work_a_slot']:.2f}", f"{statistics.median(one['runs']):.2f}", f"{one['ratio']:.3f}x",
            )
            for one in document["makespan"]
        ),
    )  # fmt: skip


def _recovery(document: Json) -> Iterator[str]:
    killed = kills(document)
    if not killed:
        return
    yield "## Recovery"
    yield "A chain of 20 steps of 0.5 s; SIGKILL to the worker and its children in the seventh; it is started again after 1 s."
    if any(one["next_step"] is not None for one in killed):
        yield f"![Seconds from the kill to the next step]({NAME}/recovery.svg)"
    none = f"none within {PATIENCE_SECONDS:g} s"
    yield table(
        ("system", "next step after", "steps repeated", "the chain ended"),
        (
            (
                one["system"], none if one["next_step"] is None else f"{one['next_step']:.2f} s", str(one["repeated"]),
                "yes" if one["completed"] else f"not in time; {one['why']}" if one["why"] else "not in time",
            )
            for one in killed
        ),
    )  # fmt: skip


def _polite(document: Json) -> Iterator[str]:
    if not document["polite"]:
        return
    yield "## Behind 10,000 tiny nodes"
    slices = document["polite"][0]["slice_seconds"] * 1000
    yield f"What others wait for while a goal of 10,000 tiny nodes has the fleet, beside one time slice of {slices:g} ms."
    yield table(
        ("what", "median, ms", "most, ms", "time slices"),
        (
            (WHAT[one["what"]], f"{one['median'] * 1000:.0f}", f"{one['most'] * 1000:.0f}", f"{one['slices']:.2f}")
            for one in document["polite"]
        ),
    )


def _idle(document: Json) -> Iterator[str]:
    if not document["idle"]:
        return
    yield "## Doing nothing"
    yield "A worker of two processes, with beat where the system has one, over 30 s."
    yield table(
        ("system", "commands/s", "CPU", "by command"),
        (
            (
                one["system"], f"{one['commands_a_second']:.1f}", f"{one['cpu_percent']:.1f} %",
                ", ".join(f"{name} {rate:g}" for name, rate in one["commands"].items()),
            )
            for one in document["idle"]
        ),
    )  # fmt: skip


def _memory(document: Json) -> Iterator[str]:
    if not document["repetitions"]:
        return
    yield "## Memory"
    yield "Client, workers and server together after the last workload. Pages that processes share count once, or in each (RSS)."
    used = sorted(memories(document["repetitions"]), key=lambda one: one[1] or 0)
    yield table(
        ("system", "MB", "MB by RSS"), ((name, megabytes(memory), megabytes(rss)) for name, memory, rss, _ in used)
    )


def _behind(document: Json) -> Iterator[str]:
    lines = list(behind(document))
    yield "## Where Chordal is not first"
    yield "\n".join(lines) if lines else "In this run it was first everywhere."


def _targets(document: Json) -> Iterator[str]:
    if document["targets"]:
        yield "## Targets"
        yield table(
            ("what", "target", "measured", "met"),
            (
                (one["what"], one["target"], f"{one['value']:,.2f} {one['unit']}", "yes" if one["met"] else "**no**")
                for one in document["targets"]
            ),
        )


def _missing(document: Json) -> Iterator[str]:
    if document["missing"]:
        yield "## Not measured"
        yield "\n".join(f"- {what}: {reason.splitlines()[0]}" for what, reason in document["missing"].items())


def table(names: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    head = [f"| {' | '.join(names)} |", "|" + "---|" * len(names)]
    return "\n".join([*head, *(f"| {' | '.join(cell.replace('|', '/') for cell in row)} |" for row in rows)])


SECTIONS: Final[tuple[Callable[[Json], Iterable[str]], ...]] = (
    _surroundings, _workloads, _scale, _makespan, _recovery, _polite, _idle, _memory, _behind, _targets, _missing,
)  # fmt: skip
