"""Command line of the benchmark of control."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from datetime import datetime
from pathlib import Path
from typing import Final

from bench.control import pause, waiting
from bench.control.section import Options
from bench.llm import show
from bench.llm.results import Results, read
from bench.llm.section import Section
from bench.llm.sections import run
from bench.machine import describe
from bench.page import newest
from bench.processes import ROOT

RESULTS: Final = ROOT / "bench" / "results"
PAGE: Final = ROOT / "docs" / "explanation" / "control-benchmarks.md"
SECTIONS: Final[dict[str, Callable[[Options], Section]]] = {"pause": pause.measure, "waiting": waiting.measure}
SMOKE: Final = Options(tries=3, others=0, nodes=2000, files=5, idle_seconds=2.0, settle_seconds=2.5)
_INTRO: Final = """# Benchmarks of control

How soon a line in a [heartbeat file](../how-to/heartbeat-files.md) acts, and what it costs to wait for one."""
_FOOT: Final = """## Run it yourself

`make bench-control` measures everything; `ARGS="--only pause"` one section, `ARGS="--help"` lists the options, `ARGS=--page`
writes this page again from the newest results."""


def _arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    usual = Options()
    parser = argparse.ArgumentParser(prog="python -m bench.control", description="Measure control.")
    parser.add_argument("--only", choices=SECTIONS, action="append", help="only this section; may be given again")
    parser.add_argument("--tries", type=int, default=usual.tries, help="PAUSEs by notification (default: 100)")
    parser.add_argument("--others", type=int, default=usual.others, help="PAUSEs in other ways (default: 30)")
    parser.add_argument("--idle", type=float, default=usual.idle_seconds, help="seconds of doing nothing (default: 60)")
    parser.add_argument("--smoke", action="store_true", help="small: does everything run through?")
    parser.add_argument(
        "--json", type=Path, metavar="FILE", help="where results go (bench/results/control-<date>.json)"
    )
    parser.add_argument(
        "--page", type=Path, nargs="?", const=RESULTS, metavar="JSON",
        help="only write the page of the docs from results (default: the newest)",
    )  # fmt: skip
    parser.add_argument("--docs", type=Path, default=PAGE.parent, help="where the page goes")
    return parser.parse_args(argv)


def main(argv: Sequence[str] | None = None) -> int:
    """Measure, print the tables, write the JSON. Returns 1 when something could not be measured."""
    arguments = _arguments(argv)
    if arguments.page is not None:
        source = newest(arguments.page, "control-*.json")
        (arguments.docs / PAGE.name).write_text(page(read(source), source.name), encoding="utf-8")
        return 0
    return _measure(arguments)


def page(results: Results, source: str) -> str:
    """The page of the docs."""
    made = f"Made by bench/control from bench/results/{source}; `make bench-control ARGS=--page` writes it again."
    machine = f"Measured on {results.date[:10]}: {show.machine_of(results)}. Everything runs on this one machine."
    return show.page_of(results, made, _INTRO, machine, _FOOT)


def _measure(arguments: argparse.Namespace) -> int:
    date = datetime.now().strftime("%Y-%m-%dT%H%M")
    out: Path = arguments.json or RESULTS / ("local/control-smoke.json" if arguments.smoke else f"control-{date}.json")
    given = Options(tries=arguments.tries, others=arguments.others, idle_seconds=arguments.idle, tell=_tell)
    options = SMOKE if arguments.smoke else given
    results = Results.begun(date, describe(), options)
    return run(arguments.only or SECTIONS, lambda name: SECTIONS[name](options), results, out, _tell)


def _tell(what: str) -> None:
    print(what, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
