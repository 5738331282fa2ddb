"""Command line of the benchmark."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import Final

from rich.console import Console

from bench import report, run, scale
from bench.client import Plan
from bench.machine import describe
from bench.processes import ROOT, BenchError

RESULTS: Final = ROOT / "bench" / "results"
SMOKE: Final = Plan(chain=20, fan=40, dag=100, layers=10, rounds=1)
SMOKE_SIZES: Final = (200, 500)


def _arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("--repetitions", type=int, default=5, help="fresh servers and fleets a system (default: 5)")
    parser.add_argument(
        "--rounds", type=int, default=Plan().rounds, help="times each workload is measured in one repetition"
    )
    parser.add_argument("--smoke", action="store_true", help="small sizes, once: does everything complete?")
    parser.add_argument(
        "--only", choices=("beside", "scale"), help="only beside plain Celery, or only the growing goals"
    )
    parser.add_argument("--out", type=Path, help="where the JSON goes (default: bench/results/<date>.json)")
    return parser.parse_args(argv)


def main(argv: Sequence[str] | None = None) -> int:
    """Measure, print the tables, write the JSON. Returns the exit code."""
    options = _arguments(argv)
    console = Console(width=None if sys.stdout.isatty() else 150)
    plan = SMOKE if options.smoke else Plan(rounds=options.rounds)
    machine = describe()
    date = datetime.now().strftime("%Y-%m-%dT%H%M")

    def tell(what: str) -> None:
        print(what, file=sys.stderr, flush=True)

    try:
        repetitions = (
            [] if options.only == "scale" else run.interleaved(plan, 1 if options.smoke else options.repetitions, tell)
        )
        sizes = () if options.only == "beside" else SMOKE_SIZES if options.smoke else scale.SIZES
        scales = scale.measure(sizes, tell) if sizes else []
    except BenchError as error:
        print(f"bench: {error}", file=sys.stderr)
        return 1
    rows = run.rows(repetitions)
    report.show(console, repetitions, rows, scales, sized=not options.smoke)
    out = options.out or RESULTS / ("local/smoke.json" if options.smoke else f"{date}.json")
    out.parent.mkdir(parents=True, exist_ok=True)
    document = {"date": date, **report.as_document(machine, asdict(plan), repetitions, rows, scales)}
    out.write_text(json.dumps(document, indent=1) + "\n")
    tell(f"written: {out}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
