"""`chordal up`, `ps` and `down`: the stack on this machine."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from types import FrameType
from typing import TYPE_CHECKING, Any, Final

import click

from orchestrator.cli import context, output
from orchestrator.cli.context import Command, connection_options, example, json_option
from orchestrator.domain.errors import ChordalError

if TYPE_CHECKING:
    from orchestrator.embedded.layout import Layout
    from orchestrator.embedded.stack import Stack
    from orchestrator.settings import Settings

POOLS: Final = ("prefork", "threads", "gevent", "solo")
DOWN_SECONDS: Final = 60.0
"""How long `down` waits: every step of stopping workers, beat and the server, and some more."""
LLM_CONCURRENCY: Final = 32


@click.command(
    cls=Command,
    epilog=example("chordal up", "chordal up --workers 4 --pool threads --concurrency 16 --data-dir ./data"),
)
@click.option("--workers", "-w", type=click.IntRange(min=0), help="Worker processes.  [default: 2]")
@click.option(
    "--concurrency", "-c", type=click.IntRange(min=1), help="Slots a worker.  [default: CPUs / workers, >= 2]"
)
@click.option("--pool", "-P", type=click.Choice(POOLS), default="prefork", show_default=True, help="Celery's pool.")
@click.option(
    "--llm-workers",
    type=click.IntRange(min=0),
    help="Workers for model calls.  [default: 1 where a model is configured or local, else 0]",
)
@click.option(
    "--llm-concurrency",
    type=click.IntRange(1, 4096),
    default=LLM_CONCURRENCY,
    show_default=True,
    help="Model calls in flight in one such worker, each in a thread.",
)
@click.option(
    "--queue", "queues", multiple=True, metavar="NAME",
    help="A queue that the workers serve besides the default one, such as an agent's. Repeatable.",
)  # fmt: skip
@click.option("--local-model", is_flag=True, help="Serve a small model here, without key and network.")
@json_option
@connection_options
def up(as_json: bool, llm_workers: int | None, **shape: Any) -> None:
    """Start Redis, workers and beat here; stop them on Ctrl-C.

    What dies is started again. A second Ctrl-C does not wait for nodes that still run: they are handed back and run
    again later. With a Redis of your own (CHORDAL_REDIS_URL) only workers and beat are started.

    Calls go to --local-model where no other model is configured (CHORDAL_LLM_FILE, OPENAI_API_KEY, OPENAI_BASE_URL).
    """
    from orchestrator.embedded.stack import Stack

    chosen = context.settings()
    if llm_workers is None:
        llm_workers = int(shape["local_model"] or model_is_configured(chosen))
    hold(Stack(chosen, llm_workers=llm_workers, **shape), as_json)


def model_is_configured(settings: Settings) -> bool:
    """Whether this environment says which model to call, and the client for it is installed."""
    named = settings.llm_file or os.environ.get("OPENAI_API_KEY") or os.environ.get("OPENAI_BASE_URL")
    return bool(named) and find_spec("openai") is not None


def hold(stack: Stack, as_json: bool) -> None:
    """Start `stack`, say what runs, and return when a signal has ended it and nothing runs any more."""
    from orchestrator.embedded.errors import StackStopped

    with _stopping_on_signals(stack):
        try:
            stack.start()
        except StackStopped:
            return
        _say_what_runs(stack, as_json)
        stack.wait()


@contextmanager
def _stopping_on_signals(stack: Stack) -> Iterator[None]:
    def on_signal(_number: int, _frame: FrameType | None) -> None:
        stack.request_stop()

    wanted = [signal.SIGINT, signal.SIGTERM]
    if signal.getsignal(signal.SIGHUP) != signal.SIG_IGN:  # it is under nohup
        wanted.append(signal.SIGHUP)
    before = {number: signal.signal(number, on_signal) for number in wanted}
    try:
        yield
    finally:
        stack.stop()
        for number, handler in before.items():
            signal.signal(number, handler)


def _say_what_runs(stack: Stack, as_json: bool) -> None:
    from orchestrator.store.connection import hide_password

    info = stack.info()
    url = hide_password(info.redis_url)
    if as_json:
        output.json_line({
            "ready": True, "seconds": round(stack.ready_after, 3), "pid": info.pid, "redis_url": url,
            "data_dir": str(info.data_dir), "logs": str(info.logs),
            "model": info.model and {"url": info.model.url, "name": info.model.name},
            "processes": [process.as_json() for process in info.processes],
        })  # fmt: skip
        return
    server = str(stack.server or "your own Redis")
    click.echo(f"Chordal is up after {output.duration(stack.ready_after)}: {server}, {stack.fleet}, beat.")
    model = [("model", f"{info.model.name} on {info.model.url}")] if info.model else []
    for name, value in (("Redis", url), ("data", info.data_dir), ("logs", info.logs), *model):
        click.echo(f"  {name:6} {value}")
    click.echo(f"  stop   Ctrl-C, or: {context.again('down')}")


@click.command(cls=Command, epilog=example("chordal ps", "chordal ps --json | jq '.[] | select(.alive | not)'"))
@json_option
@connection_options
def ps(as_json: bool) -> None:
    """List the processes of the stack on this machine."""
    from orchestrator.embedded.layout import Layout
    from orchestrator.embedded.leftovers import leftovers
    from orchestrator.embedded.records import running

    layout = Layout.of(context.settings().data_dir)
    info = running(layout.root)
    processes = list(info.processes) if info else leftovers(layout.state)
    if as_json:
        output.json_line([process.as_json() for process in processes])
    elif processes:
        now = time.time()
        head = ("ROLE", "NAME", "PID", "ALIVE", "RESTARTS", "UP")
        output.columns(head, [
            (one.role.value, one.name, str(one.pid or "-"), "yes" if one.alive else "no", str(one.restarts),
             output.duration(max(0.0, now - one.started)) if one.alive else "-")
            for one in processes
        ])  # fmt: skip
    else:
        click.echo(f"nothing runs in {layout.root}; start it with: {context.again('up')}")


@click.command(cls=Command, epilog=example("chordal down", "chordal down --data-dir ~/trial"))
@json_option
@connection_options
def down(as_json: bool) -> None:
    """Stop the stack on this machine, and wait until it is down."""
    from orchestrator.embedded.layout import Layout
    from orchestrator.embedded.lock import holder

    layout = Layout.of(context.settings().data_dir)
    who = holder(layout.lock)
    if who is None:
        ended = _end_leftovers(layout)
        stopped, said = bool(ended), ended or f"nothing runs in {layout.root}"
    elif who.pid is None:
        raise ChordalError(f"a stack begins to start in {layout.root}; try again in a moment")
    else:
        _end(who.pid, layout)
        stopped, said = True, f"stopped the stack in {layout.root}"
    if as_json:
        output.json_line({"data_dir": str(layout.root), "stopped": stopped, "message": said})
    else:
        click.echo(said)


def _end(pid: int, layout: Layout) -> None:
    """SIGTERM to the supervisor, and wait for its lock to be free. While the lock is held, the pid is its holder's."""
    from orchestrator.embedded.lock import holder

    try:
        os.kill(pid, signal.SIGTERM)
    except PermissionError:
        raise ChordalError(f"the stack in {layout.root} belongs to another user (pid {pid})") from None
    deadline = time.monotonic() + DOWN_SECONDS
    while (who := holder(layout.lock)) is not None and who.pid == pid:
        if time.monotonic() > deadline:
            raise ChordalError(f"the stack in {layout.root} (pid {pid}) still runs after {DOWN_SECONDS:g} s")
        time.sleep(0.05)


def _end_leftovers(layout: Layout) -> str:
    """End what a supervisor that was killed has left; says what that was, empty if there was nothing."""
    from orchestrator.embedded.leftovers import end_leftovers, leftovers
    from orchestrator.embedded.lock import DirectoryLock

    if not leftovers(layout.state):
        return ""
    lock = DirectoryLock(layout.lock)
    lock.acquire("chordal down", os.getpid(), time.time())
    try:
        return "ended what a killed supervisor had left: " + ", ".join(end_leftovers(layout.state, layout.socket()))
    finally:
        lock.release()
