"""``python -m chaos``: minutes of faults on real processes, then the checker over every goal, and a table."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from random import randrange

from chaos import driver, faults_llm, matrix, report, turns
from chaos.catalogue import FAULTS, SCENARIOS


def arguments(argv: Sequence[str] | None = None) -> argparse.Namespace:
    """What the command line says."""
    parser = argparse.ArgumentParser(prog="make chaos", description=__doc__)
    parser.add_argument(
        "--seed", type=int, help="decides which fault comes when and whom it strikes; default: a new one"
    )
    parser.add_argument("--seconds", type=float, default=300.0, help="of faults on the common fleet; default 300")
    parser.add_argument("--only", nargs="*", default=[], metavar="TEXT", help="faults whose name contains one of these")
    parser.add_argument("--level", type=int, choices=(5, 6), help="5: the common fleet alone; 6: the scenarios alone")
    parser.add_argument(
        "--models",
        action="store_true",
        help="goals call models of a provider on this machine, and faults strike these too",
    )
    parser.add_argument("--agents", action="store_true", help="instead: kill -9 at each point of an agent's turn")
    parser.add_argument("--seeds", type=int, default=20, help="of --agents, one goal and one kill each; default 20")
    parser.add_argument("--list", action="store_true", help="name the faults and stop")
    parser.add_argument(
        "--schedule", action="store_true", help="name the first two rounds of the seed's faults and stop"
    )
    parser.add_argument("--out", type=Path, help="write the figures there as JSON")
    parser.add_argument(
        "--publish", action="store_true", help="render docs/explanation/failure-matrix.md from this run"
    )
    return parser.parse_args(argv)


def main(argv: Sequence[str] | None = None) -> int:
    """Run; returns 1 if anything was violated."""
    asked = arguments(argv)
    if asked.agents:
        found = turns.run(range(asked.seeds), report.flushed)
        print(turns.table(found))
        return int(any(one.faults for one in found))
    seed = randrange(1_000_000) if asked.seed is None else asked.seed

    def chosen(name: str) -> bool:
        return not asked.only or any(text.lower() in name.lower() for text in asked.only)

    every = [*faults_llm.FAULTS, *FAULTS] if asked.models else FAULTS
    faults = [fault for fault in every if chosen(fault.name) and asked.level != 6]
    scenarios = [] if asked.models else [one for one in SCENARIOS if chosen(one.name) and asked.level != 5]
    if asked.list:
        print("\n".join(fault.name for fault in (*faults, *scenarios)))
        return 0
    if asked.schedule:
        rounds = driver.schedule(seed, faults)
        print("\n".join(next(rounds)[0].name for _ in range(2 * len(faults))))
        return 0
    print(f"seed {seed}; again with: make chaos SEED={seed}", flush=True)
    say = report.flushed
    callers = 2 if asked.models else 0
    runs = [driver.run(seed, asked.seconds, faults, say, callers=callers)] if faults else []
    runs += [driver.play(seed, scenarios, say)] if scenarios else []
    result = report.result(runs)
    print(report.table(result))
    if asked.out:
        report.write(result, asked.out)
    if asked.publish:
        report.write(result, matrix.PUBLISHED)
        matrix.PAGE.write_text(matrix.page(report.read(matrix.PUBLISHED)), "utf-8")
    return 1 if result["violations"] else 0


if __name__ == "__main__":
    sys.exit(main())
