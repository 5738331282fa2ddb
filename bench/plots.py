"""The plots of the page, each by the name of its file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from bench import charts
from bench.digest import headline, kills, workload_rows
from bench.recovery import PATIENCE_SECONDS
from bench.run import WORKLOADS

Json = Mapping[str, Any]


def plots(document: Json) -> dict[str, str]:
    """SVG by name."""
    made = {}
    for workload, title in WORKLOADS.items():
        rows = workload_rows(document, workload)
        if rows:
            made[workload] = charts.bars(
                headline(title, rows[0]["nodes"]), "shorter is better; logarithmic; hollow: not durable",
                [_bar(row, document["modes"]) for row in rows], "s",
            )  # fmt: skip
    if len(document["scale"]) > 1:
        made["scale"] = _scaling(document["scale"])
    killed = kills(document)
    if any(one["next_step"] is not None for one in killed):
        made["recovery"] = charts.bars(
            "Next step after SIGKILL of the worker", "shorter is better; the worker is away for the first second",
            list(map(_kill, killed)), "s", linear=True,
        )  # fmt: skip
    return made


def _bar(row: Json, modes: Json) -> charts.Bar:
    seconds, mode = row["seconds"], modes[row["row"]]
    text = f"{seconds['median']:.3g} s"
    if row["workload"] == "chain":
        text += f", {row['ms_a_node']:.2g} ms a hop"
    elif row["workload"] != "cold":
        text += f", {row['nodes_a_second']:,.0f}/s"
    ours = row["row"].startswith("chordal")
    return charts.Bar(row["row"], seconds["median"], text, ours, not mode["durable"], seconds["least"], seconds["most"])


def _kill(kill: Json) -> charts.Bar:
    after, ours = kill["next_step"], kill["system"] == "chordal"
    if after is None:
        return charts.Bar(kill["system"], 0.0, f"none within {PATIENCE_SECONDS:g} s", ours, nothing=True)
    return charts.Bar(kill["system"], after, f"{after:.2f} s", ours)


def _scaling(scales: Sequence[Json]) -> str:
    cost = [(one["nodes"], one["ms_a_node"], f"{one['ms_a_node']:.3f}") for one in scales]
    memory = [(one["nodes"], one["redis_bytes_a_node"], f"{one['redis_bytes_a_node']:,.0f}") for one in scales]
    return charts.panels(
        "Growing goals", "random DAGs, 50 nodes a layer; level is what one wants",
        [
            charts.Panel("milliseconds of the run for each node", cost, 1.2 * cost[0][1], "1.2 x the smallest goal"),
            charts.Panel("bytes of Redis for each node at the end", memory, 500, "500"),
        ],
    )  # fmt: skip
