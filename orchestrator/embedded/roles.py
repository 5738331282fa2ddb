"""What the stack consists of: each process's command, environment, and how it is asked to stop. No I/O here."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from pydantic import SecretStr

from orchestrator.embedded.layout import Layout
from orchestrator.embedded.records import Role
from orchestrator.settings import Settings

#: Where a worker is told which file says that it is ready (ready.py).
MARK_VARIABLE = "CHORDAL_READY_MARK"

LLM_CONCURRENCY = 32
#: As the app names it, which is a layer above.
DEFAULT_QUEUE = "default"
FIRST_DELAY, LONGEST_DELAY = 0.2, 10.0
#: A process that lived this long (seconds) has recovered: its next restart waits FIRST_DELAY again.
STEADY_SECONDS = 30.0


@dataclass(frozen=True, slots=True)
class StopStep:
    """Send `signal`, then wait up to `seconds` for the end before the next step."""

    signal: signal.Signals
    seconds: float


_KILL = StopStep(signal.SIGKILL, 5.0)
#: Warm (finish what runs), cold (hand back what runs), gone.
WORKER_STOP = (StopStep(signal.SIGTERM, 8.0), StopStep(signal.SIGQUIT, 4.0), _KILL)
BEAT_STOP = (StopStep(signal.SIGTERM, 4.0), _KILL)
MODEL_STOP = (StopStep(signal.SIGTERM, 2.0), _KILL)
#: SIGTERM makes the server flush its append-only file; it gets time for that.
REDIS_STOP = (StopStep(signal.SIGTERM, 20.0), _KILL)


@dataclass(frozen=True, slots=True)
class Command:
    """One process to run and keep running."""

    role: Role
    name: str
    argv: tuple[str, ...]
    stop: tuple[StopStep, ...]
    environment: Mapping[str, str] = field(default_factory=dict)
    """Added to what the supervisor's environment has."""
    directory: Path | None = None
    """Working directory; the supervisor's when None, so that modules beside the user can be imported."""
    ready_mark: Path | None = None
    """A file that the process makes when it is ready; None if it does not say."""
    probe: Callable[[], bool] | None = None
    """Asks the process whether it is ready, where it makes no file."""
    orphan_signal: signal.Signals = signal.SIGKILL
    """What the kernel sends it when the supervisor dies (Linux)."""


@dataclass(frozen=True, slots=True)
class Fleet:
    """How many Celery processes, and of what shape."""

    workers: int
    concurrency: int
    pool: str
    llm_workers: int = 0
    llm_concurrency: int = LLM_CONCURRENCY
    """Model calls that wait for their answers in one LLM worker."""
    queues: tuple[str, ...] = ()
    """Queues that the workers serve besides the default one."""

    @classmethod
    def fitting(
        cls, cpus: int, workers: int | None, concurrency: int | None, pool: str, llm_workers: int,
        llm_concurrency: int = LLM_CONCURRENCY,
    ) -> Fleet:  # fmt: skip
        """What was asked for, and for the rest: two workers, so that one can die while work goes on, sharing the
        CPUs with at least two slots each."""
        count = 2 if workers is None else workers
        slots = concurrency or max(2, cpus // max(1, count))
        return cls(count, 1 if pool == "solo" else slots, pool, llm_workers, llm_concurrency)

    def __str__(self) -> str:
        count = f"{self.workers} worker{'s' if self.workers != 1 else ''} x {self.concurrency} ({self.pool})"
        return count + (f", {self.llm_workers} x {self.llm_concurrency} for LLM calls" if self.llm_workers else "")


def celery_commands(fleet: Fleet, settings: Settings, layout: Layout, environment: Mapping[str, str]) -> list[Command]:
    """The workers and beat."""
    served = ("-Q", ",".join(dict.fromkeys((DEFAULT_QUEUE, *fleet.queues)))) if fleet.queues else ()
    shape = ("-P", fleet.pool, "-c", str(fleet.concurrency), *served)
    workers = [_worker(Role.WORKER, f"w{i + 1}", shape, settings, layout, environment) for i in range(fleet.workers)]
    # A model call waits for bytes of somebody else: threads, many of them, whatever pool the nodes have.
    waiting = ("-P", "threads", "-c", str(fleet.llm_concurrency), "-Q", "llm")
    llm = [
        _worker(Role.LLM_WORKER, f"llm{i + 1}", waiting, settings, layout, environment)
        for i in range(fleet.llm_workers)
    ]
    beat = Command(Role.BEAT, "beat", (*_celery("beat"), "-l", settings.log_level), BEAT_STOP, environment)
    return [*workers, *llm, beat]


def _worker(
    role: Role, name: str, options: Sequence[str], settings: Settings, layout: Layout, environment: Mapping[str, str]
) -> Command:
    mark = layout.ready_mark(name)
    # Mingle waits a second for other workers' clocks and revokes, gossip listens to all their events: what they are
    # for (cancelled tasks, elections) Redis holds here.
    argv = (*_celery("worker"), "-n", f"{name}@%h", *options, "-l", settings.log_level,
            "--without-mingle", "--without-gossip", "--include", "orchestrator.embedded.ready")  # fmt: skip
    return Command(role, name, argv, WORKER_STOP, {**environment, MARK_VARIABLE: str(mark)}, ready_mark=mark)


def _celery(subcommand: str) -> tuple[str, ...]:
    return (sys.executable, "-m", "celery", "-A", "orchestrator", subcommand)


def child_environment(
    settings: Settings,
    redis_url: str,
    layout: Layout,
    imports: Sequence[str] = (),
    folders: Sequence[Path] = (),
    inherited_path: str = "",
) -> dict[str, str]:
    """The variables that give a child process the same settings: all that were set, here or in the environment.

    `folders` are absolute paths that its imports are looked for in, besides its working directory.
    """
    chosen = {name: getattr(settings, name) for name in sorted(settings.model_fields_set)}
    chosen |= {
        "redis_url": redis_url,
        "data_dir": layout.root,
        "imports": tuple(dict.fromkeys((*settings.imports, *imports))),
    }
    path = [str(folder) for folder in folders] + [part for part in (inherited_path,) if part]
    variables = {f"CHORDAL_{name.upper()}": _text(value) for name, value in chosen.items() if value is not None}
    return variables | ({"PYTHONPATH": os.pathsep.join(path)} if path else {})


def _text(value: object) -> str:
    if isinstance(value, SecretStr):
        return value.get_secret_value()
    return ",".join(map(str, value)) if isinstance(value, tuple) else str(value)


def restart_delay(deaths: int) -> float:
    """Seconds to wait before the restart after that many deaths in a row (1 or more): exponential, bounded."""
    return float(min(LONGEST_DELAY, FIRST_DELAY * 2 ** min(deaths - 1, 16)))
