"""Between the engine and Redis: every call of the engine becomes an operation that the scheduler orders and may spoil.

The engine's own code runs unchanged, in a greenlet. When it calls Redis or sleeps, the greenlet hands the request over,
and `steps` yields it: so any function of the engine is a generator of operations.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

import redis
from greenlet import getcurrent, greenlet  # type: ignore[import-untyped]

from orchestrator.store.connection import ConnectionFailed
from orchestrator.store.scripts import Scripts

READS: Final = frozenset((
    "HGET", "HGETALL", "HMGET", "HSCAN", "GET", "ZRANGE", "ZSCAN", "HLEN", "TIME", "INFO", "XRANGE", "EXISTS", "HKEYS",
    "SCAN", "ZMSCORE",
))  # fmt: skip


@dataclass(frozen=True, slots=True, eq=False)
class Operation:
    """One call of Redis: a script by its name, a command, or a pipeline."""

    name: str
    goal: str
    action: Callable[[], Any]
    """Performs it. May be called more than once: that is a call sent again."""

    @property
    def reads(self) -> bool:
        """It changes nothing."""
        return self.name in READS


@dataclass(frozen=True, slots=True)
class Wait:
    """Time passes for this actor."""

    ms: int


@dataclass(frozen=True, slots=True)
class Receive:
    """The actor waits for a message."""


Request = Operation | Wait | Receive
Steps = Generator[Request, Any, Any]


class Killed(BaseException):
    """The process is gone: no line of it may run on."""


def ask(request: Request) -> Any:
    """Hand a request to the scheduler and wait for its reply. Outside a routine it is performed at once."""
    here = getcurrent()
    alive = getattr(here, "alive", None)
    if alive is None:
        return request.action() if isinstance(request, Operation) else None
    if not alive:
        raise Killed
    return here.parent.switch(request)


def steps(function: Callable[..., Any], *args: Any, **kwargs: Any) -> Steps:
    """Run a function of the engine and yield its requests; the generator returns what it returns.

    Closing the generator is the death of its process: nothing that the function would do at its end reaches Redis.
    """
    routine = greenlet(partial(function, *args, **kwargs))
    routine.alive = True
    try:
        request = routine.switch()
        while not routine.dead:
            try:
                reply = yield request
            except ConnectionFailed as error:
                request = routine.throw(error)
            else:
                request = routine.switch(reply)
        return request
    finally:
        if not routine.dead:
            _kill(routine)


def _kill(routine: Any) -> None:
    routine.alive = False
    while not routine.dead:
        try:
            routine.throw(Killed)
        except Killed:
            continue


def sleep(seconds: float) -> None:
    """In the place of time.sleep."""
    ask(Wait(max(1, round(seconds * 1000))))


class SimScripts(Scripts):
    """Scripts that act at simulated time, when the scheduler lets them."""

    def __init__(self, client: Any, now: Callable[[], int]) -> None:
        super().__init__(client)
        self._now = now

    def run(self, name: str, keys: Sequence[str], args: Sequence[Any]) -> Any:
        """The reply of one operation."""
        goal = keys[0].partition("{")[2].rstrip("}")
        # The clock is read when the script runs, not when it is sent: a late call meets a later time.
        order = str(args[0]).partition(" ")[2]

        def action() -> Any:
            moment = f"{self._now()} {order}" if order else self._now()
            return super(SimScripts, self).run(name, keys, (moment, *args[1:]))

        return ask(Operation(name, goal, action))

    def batch(self, calls: Sequence[tuple[str, Sequence[str], Sequence[Any]]]) -> list[Any]:
        """One after the other: other actors come between them."""
        return [self.run(*call) for call in calls]


def open_client(path: str, now: Callable[[], int], uptime: Callable[[], int]) -> Any:
    """A client on a unix socket whose commands and pipelines go through `ask`; clock and age are the simulation's."""
    client: Any = redis.Redis(unix_socket_path=path, decode_responses=True, single_connection_client=True)
    direct, pipeline = client.execute_command, client.pipeline

    def command(*args: Any, **options: Any) -> Any:
        return ask(Operation(str(args[0]), _goal(args), partial(direct, *args, **options)))

    def piped(*args: Any, **options: Any) -> Any:
        pipe = pipeline(*args, **options)
        perform = pipe.execute

        def execute(**how: Any) -> Any:
            commands = list(pipe.command_stack)

            def action() -> Any:
                pipe.command_stack = list(commands)
                return perform(**how)

            name = commands[0][0][0] if commands else "PIPELINE"
            return ask(Operation(name, "", action))

        pipe.execute = execute
        return pipe

    known = client.info("server")
    client.execute_command, client.pipeline = command, piped
    client.info = lambda *_: known | {"uptime_in_seconds": uptime()}
    client.time = lambda: (now() // 1000, now() % 1000 * 1000)
    return client


def _goal(args: Sequence[Any]) -> str:
    return str(args[1]).partition("{")[2].partition("}")[0] if len(args) > 1 else ""
