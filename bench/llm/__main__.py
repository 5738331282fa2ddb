"""Command line of the benchmark of model calls."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Final

from bench.llm import show
from bench.llm.results import Results, read
from bench.llm.section import Options
from bench.llm.sections import SECTIONS, measure, run
from bench.machine import describe
from bench.page import newest
from bench.processes import ROOT

RESULTS: Final = ROOT / "bench" / "results"
_PATTERN: Final = "llm-*.json"


def _arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    usual = Options()
    parser = argparse.ArgumentParser(prog="python -m bench.llm", description="Measure the line before a model.")
    parser.add_argument("--only", choices=SECTIONS, action="append", help="only this section; may be given again")
    parser.add_argument(
        "--seconds", type=float, default=usual.seconds, help=f"of each measurement (default: {usual.seconds:g})"
    )
    parser.add_argument("--processes", type=int, default=usual.processes, help="that call at once (default: 4)")
    parser.add_argument("--threads", type=int, default=usual.threads, help="of each process (default: 25)")
    parser.add_argument("--waiters", type=int, default=usual.waiters, help="in the long line (default: 100000)")
    parser.add_argument("--calls", type=int, default=usual.calls, help="in flight at once (default: 1000)")
    parser.add_argument("--smoke", action="store_true", help="without what takes minutes: does everything run through?")
    parser.add_argument("--json", type=Path, metavar="FILE", help="where results go (bench/results/llm-<date>.json)")
    parser.add_argument(
        "--page", type=Path, nargs="?", const=RESULTS, metavar="JSON",
        help="only write the page of the docs from results (default: the newest)",
    )  # fmt: skip
    parser.add_argument("--docs", type=Path, default=show.PAGE.parent, help="where the page goes")
    return parser.parse_args(argv)


def main(argv: Sequence[str] | None = None) -> int:
    """Measure, print the tables, write the JSON. Returns 1 when something could not be measured."""
    options = _arguments(argv)
    if options.page is not None:
        source = newest(options.page, _PATTERN)
        show.write_page(read(source), source.name, options.docs / show.PAGE.name)
        return 0
    return _measure(options)


def _measure(arguments: argparse.Namespace) -> int:
    date = datetime.now().strftime("%Y-%m-%dT%H%M")
    usual = "local/llm-smoke.json" if arguments.smoke else f"llm-{date}.json"
    out: Path = arguments.json or RESULTS / usual
    options = Options(
        arguments.seconds, arguments.processes, arguments.threads, arguments.waiters, arguments.calls,
        not arguments.smoke, _tell,
    )  # fmt: skip
    results = Results.begun(date, describe(), options)
    return run(arguments.only or SECTIONS, partial(measure, options=options), results, out, _tell)


def _tell(what: str) -> None:
    print(what, file=sys.stderr, flush=True)


if __name__ == "__main__":
    raise SystemExit(main())
