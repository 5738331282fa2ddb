"""The demo: audit a source tree on a stack of its own, kill a worker halfway, prove that nothing was lost; then speed.

    python examples/audit/demo.py --source PATH --out DIR [--no-chaos] [--calls N] [--data-dir DIR]

A language model writes the abstract and about the worst modules: the one that CHORDAL_LLM_FILE, OPENAI_API_KEY or
OPENAI_BASE_URL names, else the local model of `chordal[local]`.

Exits with 0 if everything held, 1 if something did not, 2 for a wrong argument.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, Final, cast

from audit_calls import Gauge
from audit_chaos import ChaosView
from audit_demo_model import Model, accounts_of, choose_model, last_gauge
from audit_gauges import GaugeView, gauge_of
from audit_model import Scan
from audit_prose_html import NOTHING_KEPT
from audit_record import record_of, titles_of
from audit_report import read_audit, write_report
from audit_run import facts, span
from audit_totals import plural, seconds
from audit_verify import Check, verify
from goal import PROJECT, goal
from orchestrator.cli.follow import Follower, Parting
from orchestrator.cli.tally import Tally
from orchestrator.cli.views import View, make_view
from orchestrator.domain.errors import ChordalError
from orchestrator.embedded.stack import Stack
from orchestrator.settings import Settings
from orchestrator.wiring import Chordal, connect

HERE: Final = Path(__file__).resolve().parent
RANDOM_DAG: Final = HERE.parent / "random" / "dag-1000.json"
WORKERS: Final = 2
CONCURRENCY: Final = 2
CALLS: Final = 4
PATIENCE_SECONDS: Final = 900.0


class DemoFailed(Exception):
    """A part of the demo did not end as it must; the text says which."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the demo and return the exit code."""
    options = _options(arguments)
    model = choose_model(Settings(), options.calls)
    try:
        document = goal(
            options.source,
            options.out,
            calls=model.calls,
            output_tokens=model.output_tokens,
            temperature=model.temperature,
        )
    except ValueError as error:
        print(f"demo: {error}", file=sys.stderr)
        return 2
    try:
        with _data_dir(options.data_dir) as data_dir:
            _run(data_dir, document, Path(options.out).expanduser().resolve(), model, chaos=options.chaos)
    except (ChordalError, DemoFailed, OSError) as error:
        print(f"demo: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    return 0


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="demo.py", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--source", default=str(PROJECT), help="the Python source tree (default: this project)")
    parser.add_argument("--out", default="demo-output", help="folder for the reports (default: demo-output)")
    parser.add_argument("--no-chaos", dest="chaos", action="store_false", help="kill no worker")
    parser.add_argument(
        "--calls", type=int, default=CALLS, help=f"modules that a model writes about (default: {CALLS})"
    )
    parser.add_argument("--data-dir", help="keep the stack's data here (default: a temporary folder)")
    return parser.parse_args(arguments)


@contextmanager
def _data_dir(given: str | None) -> Iterator[Path]:
    """The folder for the stack's data. A temporary one is kept if the demo fails: its logs say why."""
    if given is not None:
        yield Path(given).expanduser().resolve()
        return
    folder = Path(tempfile.mkdtemp(prefix="chordal-demo-"))
    try:
        yield folder
    except Exception:
        print(f"demo: the stack's data and logs are in {folder}", file=sys.stderr)
        raise
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise
    shutil.rmtree(folder, ignore_errors=True)


def _run(data_dir: Path, document: dict[str, Any], out: Path, model: Model, *, chaos: bool) -> None:
    # A Redis that the environment names is not ours to load with a demo, nor to kill workers of.
    settings = Settings(redis_url=None, data_dir=data_dir)
    began = time.monotonic()
    stack = Stack(
        settings,
        workers=WORKERS,
        concurrency=CONCURRENCY,
        llm_workers=int(model.calls > 0),
        local_model=model.local,
        imports=("audit_nodes",),
        folders=(HERE,),
        quiet=True,
        command="make demo",
    )
    with stack:
        print(
            f"stack up in {time.monotonic() - began:.1f} s: Redis, {WORKERS} workers with {CONCURRENCY} processes, beat"
            + (", 1 worker for model calls" if model.calls else "")
        )
        if model.said:
            print(model.said)
        client = connect(settings.model_copy(update={"redis_url": stack.redis_url}))
        checks = _audit(client, stack, document, out, chaos=chaos, calls=model.calls > 0)
        checks += _speed(client)
    failed = [check for check in checks if check.ok is False]
    if failed:
        raise DemoFailed(f"{plural(len(failed), 'check')} failed")
    print("\neverything held")


def _audit(
    client: Chordal, stack: Stack, document: dict[str, Any], out: Path, *, chaos: bool, calls: bool
) -> list[Check]:
    print(f"\n{document['title']}: one node a module, one join a package, one report")
    view: View = make_view("auto")
    watched: GaugeView | None = None
    if calls:
        limiter, accounts = client.limiter, accounts_of(client.llm_profiles)
        view = watched = GaugeView(view, partial(gauge_of, limiter, accounts))
    if chaos:
        view = ChaosView(view, "modules", stack.processes)
    name = _follow(client, document, view)
    gauges: list[Gauge] = []
    if watched:
        gauges = [*watched.gauges, last_gauge(limiter, accounts, name)]
    kill = view.kill if isinstance(view, ChaosView) else None
    scan = cast(Scan, client.output(name, "scan"))
    audit = read_audit(out)
    record = record_of(client, name, titles_of(scan, audit), [kill] if kill else [], gauges)
    checks = verify(record, scan, audit)
    if chaos and kill is None:
        checks.append(Check(None, "no worker was killed: the run was over before half of it was seen"))
    found = facts(record)
    print(f"{found.done:,} nodes in {seconds(found.seconds)} on {plural(found.workers, 'process', 'processes')}")
    _tell(checks)
    if prose := audit.get("prose"):
        print(f"\nabstract, by {prose['abstract']['model']}: {prose['abstract']['kept'] or NOTHING_KEPT}")
    written = write_report(audit, record, out)
    print(f"\nreport: {written['html']}\n        {written['markdown']}")
    return checks


def _speed(client: Chordal) -> list[Check]:
    document = json.loads(RANDOM_DAG.read_text(encoding="utf-8"))
    print(f"\n{RANDOM_DAG.name}: {len(document['nodes']):,} nodes, {len(document['edges']):,} edges, 20 layers")
    began = time.monotonic()
    name = _wait(client, document)
    whole = time.monotonic() - began
    record = record_of(client, name, {})
    start, end = span(record)
    done = facts(record).done
    commits = sum(event.type == "node.done" for event in record.events)
    checks = [Check(done == len(record.states) == commits, f"{done:,} nodes DONE with {commits:,} commits")]
    _tell(checks)
    print(
        f"  {done / (end - start):,.0f} nodes/s from start to end ({seconds(end - start)}); with submit {seconds(whole)}"
    )
    return checks


def _follow(client: Chordal, document: dict[str, Any], view: View) -> str:
    """Submit a goal and stay with it until it has ended. Raises DemoFailed if that takes too long or it ends badly."""
    name = client.submit(document)
    tally = Tally(name)
    tally.refresh(client.status(name))
    parting = Follower(client, tally, view, timeout_seconds=PATIENCE_SECONDS).run()
    if parting is Parting.CTRL_C:
        raise KeyboardInterrupt
    if parting is Parting.TIMEOUT:
        raise DemoFailed(f"goal {name} did not end within {PATIENCE_SECONDS:.0f} s: {dict(tally.counts)}")
    if tally.state != "DONE":
        errors = [f"{node}: {row.remark}" for node, row in tally.rows.items() if row.state == "FAILED"]
        raise DemoFailed(f"goal {name} ended {tally.state}: {tally.reason} {'; '.join(errors[:3])}")
    return name


def _wait(client: Chordal, document: dict[str, Any]) -> str:
    """Submit a goal and wait for its end without watching it: a display would take the time that is measured."""
    name = client.submit(document)
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not (summary := client.summary(name)).terminal:
        if time.monotonic() > deadline:
            raise DemoFailed(f"goal {name} did not end within {PATIENCE_SECONDS:.0f} s")
        time.sleep(0.05)
    if summary.state != "DONE":
        raise DemoFailed(f"goal {name} ended {summary.state}: {summary.reason}")
    return name


def _tell(checks: Sequence[Check]) -> None:
    for check in checks:
        sign = {True: "ok  ", False: "FAIL", None: "    "}[check.ok]
        print(f"  {sign} {check.text}")


if __name__ == "__main__":
    sys.exit(main())
