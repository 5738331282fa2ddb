"""Command line of the benchmark."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Final

from rich.console import Console

from bench import hotpath, page, tables
from bench.client import Plan
from bench.install import interpreter
from bench.machine import describe
from bench.processes import ROOT, BenchError
from bench.results import Results, read
from bench.sections import SECTIONS, SMOKE_SECTIONS, Session
from bench.systems import CELERY, CHORDAL, PEERS, System

RESULTS: Final = ROOT / "bench" / "results"
SMOKE: Final = Plan(chain=20, fan=40, dag=100, layers=10, rounds=1)


def _arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m bench", description="Measure Chordal, beside plain Celery and peers."
    )
    parser.add_argument(
        "--peers", default="", help=f"measured too, each in its own environment: any of {' '.join(PEERS)}, or all"
    )
    parser.add_argument("--repetitions", type=int, default=3, help="fresh servers and fleets a system (default: 3)")
    parser.add_argument(
        "--rounds", type=int, default=Plan().rounds, help="times each workload is measured in one repetition"
    )
    parser.add_argument("--kills", type=int, default=1, help="times the worker of each system is killed (default: 1)")
    parser.add_argument("--smoke", action="store_true", help="small sizes, once: does everything complete?")
    parser.add_argument("--only", choices=SECTIONS, action="append", help="only this section; may be given again")
    parser.add_argument("--out", type=Path, help="where the JSON goes (default: bench/results/<date>.json)")
    parser.add_argument("--profile", action="store_true", help="only profile the worker on the random DAG")
    parser.add_argument(
        "--page", type=Path, nargs="?", const=RESULTS, metavar="JSON",
        help="only write the page of the docs and its plots from results (default: the newest)",
    )  # fmt: skip
    parser.add_argument("--docs", type=Path, default=page.DOCS, help="where the page goes (default: docs/explanation)")
    return parser.parse_args(argv)


def main(argv: Sequence[str] | None = None) -> int:
    """Measure, print the tables, write the JSON. Returns 1 when more than a peer's workloads could not be measured."""
    options = _arguments(argv)
    if options.profile:
        hotpath.show(_tell)
        return 0
    if options.page is not None:
        source = page.newest(options.page)
        for path in page.write(read(source), source.name, options.docs):
            print(path)
        return 0
    return _measure(options)


def _measure(options: argparse.Namespace) -> int:
    begun, date = time.monotonic(), datetime.now().strftime("%Y-%m-%dT%H%M")
    out = options.out or RESULTS / ("local/smoke.json" if options.smoke else f"{date}.json")
    plan = SMOKE if options.smoke else Plan(rounds=options.rounds)
    results = Results(date, describe(), plan)
    results.systems = _systems(options.peers, results)
    session = Session(results, out, options.repetitions, options.kills, options.smoke, _tell)
    for section in options.only or (SMOKE_SECTIONS if options.smoke else SECTIONS):
        session.section(section)
        results.seconds = time.monotonic() - begun
    results.write(out)
    console = Console(width=None if sys.stdout.isatty() else 150)
    tables.show(console, results.as_json(), sized=not options.smoke)
    _tell(f"written: {out}")
    return 1 if set(results.missing) - set(PEERS) else 0


def _systems(peers: str, results: Results) -> list[System]:
    """Chordal, Celery and the peers that can be installed."""
    wanted = list(PEERS) if peers.strip() == "all" else peers.replace(",", " ").split()
    found = [CHORDAL, CELERY]
    for name in wanted:
        try:
            if name not in PEERS:
                raise BenchError(f"no such peer; there are {', '.join(PEERS)}")
            _tell(f"environment of {name}")
            interpreter(PEERS[name])
            found.append(PEERS[name])
        except BenchError as error:
            results.lost(name, str(error), _tell)
    return found


def _tell(what: str) -> None:
    print(what, file=sys.stderr, flush=True)


if __name__ == "__main__":
    raise SystemExit(main())
