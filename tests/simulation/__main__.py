"""Run seeds and say what came of them: ``python -m simulation --seeds 5000``, or one again: ``--seed 1234 --trace``."""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

TESTS = Path(__file__).resolve().parents[1]


def main(argv: Sequence[str] | None = None) -> int:
    """Returns 1 if a seed broke a rule."""
    options = _options(argv)
    if os.environ.get("PYTHONHASHSEED") != "0":
        # The order of sets of texts must be the same in every run of a seed.
        environment = os.environ | {"PYTHONHASHSEED": "0", "PYTHONPATH": str(TESTS)}
        command = [sys.executable, "-P", "-m", "simulation", *(sys.argv[1:] if argv is None else argv)]
        return subprocess.run(command, env=environment, check=False).returncode
    from simulation import soak

    if options.seed is not None:
        return soak.one(options.seed, options.plant, trace=options.trace)
    if options.child:
        return soak.child(
            range(options.start, options.start + options.seeds, options.step), options.plant, options.stop
        )
    begun = time.monotonic()
    report = soak.many(options)
    report["seconds"] = round(time.monotonic() - begun, 1)
    print(json.dumps(report) if options.json else soak.text(report))
    return int(bool(report["failed"]))


def _options(argv: Sequence[str] | None) -> argparse.Namespace:
    from simulation.plants import PLANTS

    parser = argparse.ArgumentParser(prog="make soak", description=__doc__)
    parser.add_argument("--seeds", type=int, default=1000, help="how many seeds")
    parser.add_argument("--start", type=int, default=1, help="the first of them")
    parser.add_argument("--seed", type=int, help="run this one only")
    parser.add_argument("--trace", action="store_true", help="with --seed: print every operation")
    parser.add_argument("--plant", choices=sorted(PLANTS), default="", help="put this bug into the scripts first")
    parser.add_argument("--processes", type=int, default=2, help="each with a server of its own")
    parser.add_argument("--stop", type=int, default=5, help="stop after so many seeds that broke a rule")
    parser.add_argument("--json", action="store_true", help="the report as JSON")
    parser.add_argument("--child", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--step", type=int, default=1, help=argparse.SUPPRESS)
    return parser.parse_args(argv)


if __name__ == "__main__":
    raise SystemExit(main())
