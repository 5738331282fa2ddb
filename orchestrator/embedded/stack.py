"""The whole stack on one machine as one object: Redis, workers and beat as children of this process.

    with Stack(settings, workers=2) as stack:
        ... stack.redis_url ...

A thread owns the children: it starts them, starts again what dies, and takes them down. The state that others read is
`records.running`. The order at the start is lock, leftovers of a killed supervisor, Redis, then the rest at once.
"""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Self

from orchestrator.embedded.binary import Server, find_server
from orchestrator.embedded.child import Child
from orchestrator.embedded.errors import DirectoryUnusable, StackNotReady, StackStopped
from orchestrator.embedded.external import check_reachable
from orchestrator.embedded.identity import identity
from orchestrator.embedded.layout import Layout
from orchestrator.embedded.leftovers import end_leftovers
from orchestrator.embedded.local_model import check_installed, choose, model_command, variables_of
from orchestrator.embedded.lock import DirectoryLock
from orchestrator.embedded.records import LocalModel, ProcessInfo, Role, StackInfo, write
from orchestrator.embedded.roles import LLM_CONCURRENCY, Command, Fleet, celery_commands, child_environment
from orchestrator.embedded.supervisor import TICK, Supervisor
from orchestrator.embedded.valkey import Answer, ask, server_command, url_of
from orchestrator.settings import Settings

#: Seconds: until the server answers (loading its file does not count), until every worker has said that it is ready.
SERVER_SECONDS, LOADING_SECONDS, READY_SECONDS = 10.0, 600.0, 30.0
#: A part that dies this often before the stack is ready will not come up: say why in place of trying on.
HOPELESS = 2


class Stack:
    """Redis (the embedded server, or the one that `settings.redis_url` names), workers and beat.

    `workers`, `concurrency`, `pool`, `llm_workers`, `llm_concurrency` shape the Celery processes; the workers serve
    `queues` besides the default one; `local_model` serves a small model beside them. `imports` are modules that workers load
    besides `settings.imports`, and `folders` are put on their import path. `quiet` keeps what happens to children off
    stderr. `command` is what a second start is told about this one. `parts` takes the place of the Celery processes; it
    gets their environment.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        workers: int | None = None,
        concurrency: int | None = None,
        pool: str = "prefork",
        llm_workers: int = 0,
        llm_concurrency: int = LLM_CONCURRENCY,
        queues: Sequence[str] = (),
        local_model: bool = False,
        imports: Sequence[str] = (),
        folders: Sequence[Path] = (),
        quiet: bool = False,
        command: str = "chordal up",
        parts: Callable[[Mapping[str, str]], Sequence[Command]] | None = None,
    ) -> None:
        self.layout = Layout.of(settings.data_dir)
        fleet = Fleet.fitting(os.cpu_count() or 1, workers, concurrency, pool, llm_workers, llm_concurrency)
        self.fleet = replace(fleet, queues=tuple(queues))
        self.model: LocalModel | None = None
        """The local model; None before the start, and without one."""
        self.server: Server | None = None
        """The embedded server; None before the start, and when Redis runs elsewhere."""
        self.ready_after = 0.0
        """Seconds from the start until everything was ready."""
        self._settings = settings
        self._imports = imports
        self._folders = folders
        self._quiet = quiet
        self._command = command
        self._parts = parts
        self._local_model = local_model
        self._lock = DirectoryLock(self.layout.lock)
        self._supervisor = Supervisor(self.layout, self._say, self._publish)
        self._thread = threading.Thread(target=self._run, name="chordal-supervisor", daemon=True)
        self._settled = threading.Event()
        self._stop = threading.Event()
        self._impatient = threading.Event()
        self._fault: Exception | None = None
        self._recorded = True
        self._since = 0.0
        self._url = ""

    # What the owner calls, from any thread.

    def start(self) -> None:
        """Start everything; returns when Redis and every worker have answered.

        Raises DirectoryBusy, DirectoryUnusable, LocalModelMissing, ServerNotFound, RedisNotReachable, StackNotReady,
        StackStopped; nothing runs then.
        """
        if self._local_model:
            check_installed()
        self.layout.prepare()
        self._since = time.time()
        self._lock.acquire(self._command, os.getpid(), self._since)
        self._thread.start()
        self._settled.wait()
        if self._fault is not None:
            self.wait()

    def request_stop(self) -> None:
        """Begin to stop, and return at once. A second call asks for it harder: workers no longer finish their work."""
        (self._impatient if self._stop.is_set() else self._stop).set()

    def wait(self) -> None:
        """Wait until everything has stopped. Raises what ended the stack, if it was not `request_stop`."""
        self._thread.join()
        if self._fault is not None:
            raise self._fault

    def stop(self) -> None:
        """Stop everything: workers, beat, Redis. Returns when nothing runs any more; harmless when nothing does."""
        self._stop.set()
        if self._thread.ident is not None:
            self._thread.join()

    def __enter__(self) -> Self:
        try:
            self.start()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.stop()

    @property
    def redis_url(self) -> str:
        """Where the state is: ``unix:///path`` for the embedded server. Empty before the start."""
        return self._url

    def processes(self) -> list[ProcessInfo]:
        """Every process of the stack, the supervisor first."""
        return list(self.info().processes)

    def info(self) -> StackInfo:
        """The record that others read."""
        pid = os.getpid()
        own = ProcessInfo(Role.SUPERVISOR, "supervisor", pid, True, 0, self._since, identity(pid) or "")
        return StackInfo(
            pid, self._since, self._command, self.ready_after > 0, self._url, self.layout.root, self.layout.logs,
            (own, *self._supervisor.processes()), self.model,
        )  # fmt: skip

    # What the supervising thread does.

    def _run(self) -> None:
        try:
            self._bring_up()
            self._settled.set()
            while not self._stop.wait(TICK):
                self._supervisor.tick()
        except Exception as error:
            self._fault = error
        finally:
            self._take_down()

    def _take_down(self) -> None:
        try:
            self._supervisor.stop_all(self._pause)
            self.layout.state.unlink(missing_ok=True)
        except Exception as error:
            self._fault = self._fault or error
        finally:
            self._lock.release()
            self._settled.set()

    def _pause(self, seconds: float) -> bool:
        if self._impatient.wait(seconds):
            self._impatient.clear()
            return True
        return False

    def _bring_up(self) -> None:
        began = time.monotonic()
        try:
            own = self.layout.socket()
            for ended in end_leftovers(self.layout.state, own):
                self._say(f"ended {ended}, which a killed supervisor had left")
            external = self._settings.redis_url
            self._url = url_of(own)
            if external is None or external == self._url:
                self._start_server(own)
            else:
                self._url = external
                check_reachable(external)
            self.model = choose(os.cpu_count() or 1) if self._local_model else None
            children = [self._supervisor.start(command) for command in self._commands()]
            write(self.layout.state, self.info())
        except OSError as error:
            raise DirectoryUnusable(self.layout.root, error) from error
        self._until_ready(children, lambda: all(child.ready() for child in children), READY_SECONDS)
        self.ready_after = time.monotonic() - began
        self._publish()

    def _commands(self) -> Sequence[Command]:
        environment = child_environment(
            self._settings, self._url, self.layout, self._imports, self._folders, os.environ.get("PYTHONPATH", "")
        )
        if self.model is not None:
            environment |= variables_of(self.model)
        if self._parts is not None:
            others = self._parts(environment)
        else:
            others = celery_commands(self.fleet, self._settings, self.layout, environment)
        return [*([model_command(self.model)] if self.model is not None else []), *others]

    def _start_server(self, path: Path) -> None:
        self.server = find_server()
        child = self._supervisor.start(server_command(self.server, self.layout, path))
        self._until_ready([child], lambda: ask(path) is not Answer.SILENT, SERVER_SECONDS, hopeless=1, pause=0.005)
        self._until_ready([child], lambda: ask(path) is Answer.READY, LOADING_SECONDS, hopeless=1)

    def _until_ready(
        self, children: Sequence[Child], ready: Callable[[], bool], seconds: float, hopeless: int = HOPELESS,
        pause: float = TICK / 4,
    ) -> None:  # fmt: skip
        deadline = time.monotonic() + seconds
        while not ready():
            if self._stop.wait(pause):
                raise StackStopped("the stack was told to stop before it was ready")
            self._supervisor.tick()
            for child in children:
                if child.deaths >= hopeless:
                    raise _not_ready(child, "does not stay up")
            if time.monotonic() > deadline:
                late = next((child for child in children if not child.ready()), children[0])
                raise _not_ready(late, f"is not ready after {seconds:g} s")

    def _publish(self) -> None:
        try:
            write(self.layout.state, self.info())
            self._recorded = True
        except OSError as error:
            if self._recorded:  # what runs goes on; `chordal ps` shows an older state until there is room again
                self._say(f"{self.layout.state} cannot be written: {error.strerror}")
            self._recorded = False

    def _say(self, line: str) -> None:
        if not self._quiet:
            print(f"{time.strftime('%H:%M:%S')} {line}", file=sys.stderr, flush=True)


def _not_ready(child: Child, what: str) -> StackNotReady:
    words = child.last_words()
    return StackNotReady(
        f"{child.command.name} {what}; " + (f"its log ends with\n{words}" if words else "it logged nothing")
    )
