"""A simulated week, and what it was like: ``python -m week --goals 100000``."""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from support.servers import server
from week.week import HOUR, Plan, Week, live


def main(argv: Sequence[str] | None = None) -> int:
    """Returns 1 if anything was left behind."""
    parser = argparse.ArgumentParser(prog="week", description=__doc__)
    parser.add_argument("--goals", type=int, default=100_000)
    parser.add_argument("--days", type=float, default=7.0)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--pace", type=float, default=30.0, help="beat ticks so many times more rarely than in earnest")
    parser.add_argument(
        "--hour", type=float, default=HOUR, help="seconds of an hour of this week: 360 for a week of 17 hours"
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    options = parser.parse_args(argv)
    with server() as one, tempfile.TemporaryDirectory(prefix="chordal-week-") as folder:
        plan = Plan(options.goals, options.days, options.seed, options.pace, options.hour)
        week = live(one.url, Path(folder), plan, lambda line: print(line, file=sys.stderr, flush=True))
    print(json.dumps(facts(week), indent=1) if options.json else text(week))
    return int(bool(week.left or week.violations))


def facts(week: Week) -> dict[str, Any]:
    """What is worth knowing, as plain data."""
    return {
        "goals": week.submitted, "seconds": round(week.seconds, 1), "commands": week.total_commands,
        "days": [
            {
                "memory_mib": [round(pick(day.memory) / 1048576, 2) for pick in (min, statistics.mean, max)],
                "keys": round(statistics.mean(day.keys)), "goals": round(statistics.mean(day.goals)),
            } for day in week.days if day.memory
        ],
        "ticks": {
            name: {
                "ticks": len(took), "p50_ms": round(at(took, 0.5) * 1000, 2), "p99_ms": round(at(took, 0.99) * 1000, 2),
                "max_ms": round(max(took) * 1000, 2), "commands": round(statistics.mean(week.commands[name]), 1),
            } for name, took in week.ticks.items()
        },
        "totals": week.totals, "left": week.left, "violations": week.violations,
    }  # fmt: skip


def at(values: Sequence[float], share: float) -> float:
    """The value below which so large a share of them lies."""
    return sorted(values)[min(len(values) - 1, int(share * len(values)))]


def text(week: Week) -> str:
    """The same for people."""
    found = facts(week)
    lines = [f"{week.submitted:,} goals in {week.seconds:,.0f} s, {week.total_commands:,} Redis commands", ""]
    lines += ["| day | memory, MiB: least | mean | most | keys | goals there |", "|---|---|---|---|---|---|"]
    for number, day in enumerate(found["days"], 1):
        low, mean, high = day["memory_mib"]
        lines.append(f"| {number} | {low} | {mean} | {high} | {day['keys']:,} | {day['goals']:,} |")
    lines += ["", "| duty | ticks | p50 | p99 | longest | commands a tick |", "|---|---|---|---|---|---|"]
    for name, tick in found["ticks"].items():
        times = " | ".join(f"{tick[key]} ms" for key in ("p50_ms", "p99_ms", "max_ms"))
        lines.append(f"| {name} | {tick['ticks']:,} | {times} | {tick['commands']} |")
    lines += ["", "counted: " + ", ".join(f"{name} {value:,}" for name, value in sorted(week.totals.items()))]
    lines += [f"left behind: {one}" for one in week.left] or ["left behind: nothing"]
    lines += [f"broken: {one}" for one in week.violations] or ["broken: no rule"]
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
