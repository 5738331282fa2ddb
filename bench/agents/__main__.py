"""Command line of the benchmark of agents."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from datetime import datetime
from pathlib import Path
from typing import Final

from bench.agents import turns, waiting
from bench.agents.section import Options
from bench.llm import show
from bench.llm.results import Results, read
from bench.llm.section import Section
from bench.llm.sections import run
from bench.machine import describe
from bench.page import newest
from bench.processes import ROOT

RESULTS: Final = ROOT / "bench" / "results"
PAGE: Final = ROOT / "docs" / "explanation" / "agents-benchmarks.md"
SECTIONS: Final[dict[str, Callable[[Options], Section]]] = {"waiting": waiting.measure, "turns": turns.measure}
SMOKE: Final = Options(waiting=50, agents=10, turns=3, milliseconds=(200,), idle_seconds=1.0, whole=False)
_INTRO: Final = """# Benchmarks of agents

What an agent costs while it waits for its model, and how many one worker drives at once, beside others who do the same
turns and keep less, or keep it elsewhere."""
_FOOT: Final = """## Run it yourself

`make bench-agents` measures everything; `ARGS="--only turns"` one section, `ARGS="--help"` lists the options, `ARGS=--page`
writes this page again from the newest results."""


def _arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    usual = Options()
    parser = argparse.ArgumentParser(prog="python -m bench.agents", description="Measure agents.")
    parser.add_argument("--only", choices=SECTIONS, action="append", help="only this section; may be given again")
    parser.add_argument("--waiting", type=int, default=usual.waiting, help="agents that wait (default: 10000)")
    parser.add_argument("--agents", type=int, default=usual.agents, help="at once (default: 500)")
    parser.add_argument("--turns", type=int, default=usual.turns, help="of each (default: 4)")
    parser.add_argument(
        "--milliseconds", type=int, nargs="+", default=usual.milliseconds,
        help="of an answer, a measurement each (default: 5000 1000)",
    )  # fmt: skip
    parser.add_argument("--smoke", action="store_true", help="small: does everything run through?")
    parser.add_argument("--json", type=Path, metavar="FILE", help="where results go (bench/results/agents-<date>.json)")
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
        source = newest(arguments.page, "agents-*.json")
        (arguments.docs / PAGE.name).write_text(page(read(source), source.name), encoding="utf-8")
        return 0
    return _measure(arguments)


def page(results: Results, source: str) -> str:
    """The page of the docs."""
    made = f"Made by bench/agents from bench/results/{source}; `make bench-agents ARGS=--page` writes it again."
    machine = f"Measured on {results.date[:10]}: {show.machine_of(results)}. Everything runs on this one machine."
    return show.page_of(results, made, _INTRO, machine, _FOOT)


def _measure(arguments: argparse.Namespace) -> int:
    date = datetime.now().strftime("%Y-%m-%dT%H%M")
    out: Path = arguments.json or RESULTS / ("local/agents-smoke.json" if arguments.smoke else f"agents-{date}.json")
    given = Options(
        arguments.waiting, arguments.agents, arguments.turns, tuple(arguments.milliseconds), tell=_tell
    )  # fmt: skip
    options = SMOKE if arguments.smoke else given
    results = Results.begun(date, describe(), options)
    return run(arguments.only or SECTIONS, lambda name: SECTIONS[name](options), results, out, _tell)


def _tell(what: str) -> None:
    print(what, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
