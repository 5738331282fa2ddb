"""Where a run takes place: the stack that is there, else one that is started for the run and stopped after it."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any, Final

import click

from orchestrator.cli.context import again, client
from orchestrator.cli.load import Source
from orchestrator.domain.dag import Goal, NodeKind

if TYPE_CHECKING:
    from orchestrator.embedded.stack import Stack
    from orchestrator.settings import Settings

WORKER_PATIENCE_SECONDS: Final = 3.0
"""How long to look for a live worker on a Redis that was given: they report every second or so."""
START_PATIENCE_SECONDS: Final = 30.0


@dataclass(frozen=True, slots=True)
class Shape:
    """The workers of a stack that is started for a run; None leaves it to the stack."""

    workers: int | None
    concurrency: int | None
    pool: str
    llm_workers: int = 0
    local_model: bool = False


def calls_models(goal: Goal) -> bool:
    """Whether any node, those of sub-goals included, needs a worker for model calls."""
    nodes: list[Mapping[str, Any]] = [node.model_dump(include={"kind", "queue", "goal"}) for node in goal.nodes]
    while nodes:
        node = nodes.pop()
        if node.get("kind") in (NodeKind.LLM, NodeKind.AGENT) or node.get("queue") == "llm":
            return True
        nodes.extend((node.get("goal") or {}).get("nodes", ()))
    return False


def agent_queues(goal: Goal) -> tuple[str, ...]:
    """The queues of the goal's agents: workers that are started for the run serve them too."""
    named = [card.queue for card in goal.agents] + [node.queue for node in goal.nodes if node.kind is NodeKind.AGENT]
    return tuple(dict.fromkeys(queue for queue in named if queue and queue != "llm"))


@dataclass(frozen=True, slots=True)
class Ground:
    """A Redis with workers."""

    settings: Settings
    ours: bool
    """Started for this run, and stopped after it."""
    way: str = ""
    """A command line that starts a stack like ours again; empty where it is not ours."""

    def is_gone(self) -> bool:
        """Whether it is certain that nobody will answer here again: another command's stack has stopped."""
        from orchestrator.embedded.records import running

        lent = self.settings.redis_url is None
        return not self.ours and lent and running(self.settings.data_dir) is None


def way_on(settings: Settings, source: Source, shape: Shape) -> str:
    """The line that starts a stack like the run's own, with the models, modules and queues that the run found by itself.

    A plain `chordal up` would take up the goal without them, and its nodes would fail.
    """
    variables: dict[str, str] = {}
    if settings.llm_file is not None:
        variables["CHORDAL_LLM_FILE"] = str(settings.llm_file.absolute())
    if imports := dict.fromkeys((*settings.imports, *source.imports)):
        folders = dict.fromkeys((str(source.folder.absolute()), str(Path.cwd())))
        before = [path] if (path := os.environ.get("PYTHONPATH")) else []
        variables["CHORDAL_IMPORTS"] = ",".join(imports)
        variables["PYTHONPATH"] = os.pathsep.join([*folders, *before])
    words = ["up"]
    for option, number in (("--workers", shape.workers), ("--concurrency", shape.concurrency)):
        words += [option, f"{number}"] if number is not None else []
    words += ["--pool", shape.pool] if shape.pool != "prefork" else []
    words += ["--llm-workers", f"{shape.llm_workers}"] if shape.llm_workers else []
    words += [word for queue in agent_queues(source.goal) for word in ("--queue", queue)]
    return again(*words, *(["--local-model"] if shape.local_model else []), variables=variables)


def way_of(place: Ground | None) -> str:
    """How to go on where the stack was the run's own; empty where it was not, or nothing is known of it."""
    return (place.way or again("up")) if place is not None and place.ours else ""


@contextmanager
def ground(settings: Settings, source: Source, shape: Shape, start: bool) -> Iterator[Ground]:
    """The running stack, or a new one where `start` allows it.

    Raises RedisNotReachable where a given Redis is away, a click error where nothing may be started, and what
    `embedded.stack.Stack` raises.
    """
    with ExitStack() as exits:
        yield _enter(exits, settings, source, shape, start)


def _enter(exits: ExitStack, settings: Settings, source: Source, shape: Shape, start: bool) -> Ground:
    from orchestrator.embedded.errors import DirectoryBusy

    for tries_left in (2, 1, 0):
        if _stack_is_there(settings):
            return Ground(settings, ours=False)
        if not start:
            raise click.UsageError(f"--detach needs a stack that goes on by itself; start one with: {again('up')}")
        try:
            return exits.enter_context(_own(settings, source, shape))
        except DirectoryBusy:
            # Someone else was first: theirs will do, if it is on the same Redis.
            if settings.redis_url is not None or not tries_left:
                raise
    raise AssertionError("unreachable")


@contextmanager
def _own(settings: Settings, source: Source, shape: Shape) -> Iterator[Ground]:
    from orchestrator.embedded.stack import Stack

    way = way_on(settings, source, shape)
    with _importable(source.folder):
        stack = Stack(
            settings,
            workers=shape.workers,
            concurrency=shape.concurrency,
            pool=shape.pool,
            llm_workers=shape.llm_workers,
            queues=agent_queues(source.goal),
            local_model=shape.local_model,
            imports=source.imports,
            quiet=True,
            command="chordal run",
        )
        with _stopped_in_order(stack):
            stack.start()
            # The same settings as the workers': outputs and artifacts are looked for where they were put.
            chosen = settings.model_copy(update={"redis_url": stack.redis_url})
            yield Ground(chosen, ours=True, way=way)


def _stack_is_there(settings: Settings) -> bool:
    if settings.redis_url is not None:
        door = client(settings)
        return _becomes_true(lambda: door.live_workers() > 0, WORKER_PATIENCE_SECONDS)
    from orchestrator.embedded.layout import Layout
    from orchestrator.embedded.lock import holder
    from orchestrator.embedded.records import running

    lock = Layout.of(settings.data_dir).lock

    def settled() -> bool:
        info = running(settings.data_dir)
        return info.ready if info else holder(lock) is None

    _becomes_true(settled, START_PATIENCE_SECONDS)
    return running(settings.data_dir) is not None


def _becomes_true(condition: Callable[[], bool], seconds: float) -> bool:
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.1)
    return True


@contextmanager
def _stopped_in_order(stack: Stack) -> Iterator[None]:
    """Stop the stack however the run ends. SIGTERM lets go of the goal like Ctrl-C; a signal while it stops hurries it."""

    def hurry(_number: int, _frame: FrameType | None) -> None:
        stack.request_stop()

    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    interrupt = signal.getsignal(signal.SIGINT)
    try:
        yield
    finally:
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, hurry)
        stack.stop()
        signal.signal(signal.SIGINT, interrupt)
        signal.signal(signal.SIGTERM, before)


@contextmanager
def _importable(folder: Path) -> Iterator[None]:
    """Put the folder on the import path of every Python process that is started meanwhile, restarts included."""
    before = os.environ.get("PYTHONPATH")
    os.environ["PYTHONPATH"] = os.pathsep.join([str(folder), *([before] if before else [])])
    try:
        yield
    finally:
        if before is None:
            del os.environ["PYTHONPATH"]
        else:
            os.environ["PYTHONPATH"] = before
