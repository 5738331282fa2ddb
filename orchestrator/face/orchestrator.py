"""`Orchestrator`: nFactorial's class, on goals. Its async methods do in a thread what their `_sync` forms do."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Callable, Coroutine, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import wraps
from pathlib import Path
from types import TracebackType
from typing import Any, Concatenate, Final, ParamSpec, Self, TypeVar

from orchestrator.embedded.errors import StackStopped
from orchestrator.embedded.records import Role
from orchestrator.embedded.roles import Command, celery_commands
from orchestrator.embedded.stack import Stack
from orchestrator.face.cards import AnAgent, modules_of, queues_of
from orchestrator.face.config import (
    AgentWorkerConfig,
    MaintenanceWorkerConfig,
    MetricsTimelineConfig,
    ObservabilityConfig,
)
from orchestrator.face.errors import UnsupportedOption
from orchestrator.face.fleet import PROCESSES, Shape, serving, shape_of
from orchestrator.face.following import Following
from orchestrator.face.signals import until_signalled
from orchestrator.settings import Settings
from orchestrator.wiring import Chordal, connect

P = ParamSpec("P")
R = TypeVar("R")
_KEY: Final = "OPENAI_API_KEY"


def _in_thread(
    sync: Callable[Concatenate[Any, P], R],
) -> Callable[Concatenate[Any, P], Coroutine[Any, Any, R]]:
    """The async form of a method: the same, in a thread, so that the event loop is not held up."""

    @wraps(sync)
    async def method(self: Any, /, *args: P.args, **kwargs: P.kwargs) -> R:
        return await asyncio.to_thread(sync, self, *args, **kwargs)

    return method


@dataclass(frozen=True, slots=True)
class Runner:
    """An agent with its configurations."""

    agent: AnAgent
    workers: AgentWorkerConfig
    upkeep: MaintenanceWorkerConfig | None


class Orchestrator(Following):
    """Enqueues tasks for agents, and runs the processes that carry them out.

    Redis: `redis_url` or `redis_host`; else what CHORDAL_REDIS_URL says; else the embedded server of the data directory,
    which `run` starts. `namespace` goes in front of every key. `settings` takes the place of the environment's.
    """

    def __init__(
        self,
        redis_pool: Any = None,
        redis_host: str | None = None,
        redis_port: int = 6379,
        redis_db: int = 0,
        redis_max_connections: int = 50,
        openai_api_key: str | None = None,
        xai_api_key: str | None = None,
        observability_config: ObservabilityConfig | None = None,
        metrics_config: MetricsTimelineConfig | None = None,
        namespace: str | None = None,
        *,
        redis_url: str | None = None,
        settings: Settings | None = None,
        imports: Sequence[str] = (),
    ) -> None:
        """`imports` are modules for the workers besides those that define the tools. Raises UnsupportedOption."""
        _refuse(redis_pool, redis_max_connections, xai_api_key)
        if redis_url is None and (redis_host is not None or (redis_port, redis_db) != (6379, 0)):
            redis_url = f"redis://{redis_host or 'localhost'}:{redis_port}/{redis_db}"
        chosen = {"redis_url": redis_url, "key_prefix": f"{namespace}:" if namespace else None}
        self.settings = with_values(settings or Settings(), {name: value for name, value in chosen.items() if value})
        self.observability_config = observability_config or ObservabilityConfig()
        self.metrics_config = metrics_config or MetricsTimelineConfig()
        self.runners: dict[str, Runner] = {}
        self._key = openai_api_key
        self._imports = tuple(imports)
        self._chordal: Chordal | None = None
        self._stack: Stack | None = None

    @property
    def chordal(self) -> Chordal:
        """The parts that it works with: everything that this face does not offer. It connects on first use."""
        if self._chordal is None:
            self._chordal = connect(self.settings)
        return self._chordal

    # -- agents -----------------------------------------------------------------------------------------------------

    def register_runner(
        self,
        agent: AnAgent,
        agent_worker_config: AgentWorkerConfig | None = None,
        maintenance_worker_config: MaintenanceWorkerConfig | None = None,
    ) -> None:
        """Have an agent's tasks carried out as these configurations say. Raises UnsupportedOption."""
        runner = Runner(agent, agent_worker_config or AgentWorkerConfig(), maintenance_worker_config)
        runners = self.runners | {agent.name: runner}
        self._shape(runners)
        self.runners = runners

    def config_of(self, agent: str) -> AgentWorkerConfig:
        """The configuration that an agent was registered with, or the default one."""
        runner = self.runners.get(agent)
        return runner.workers if runner else AgentWorkerConfig()

    def get_agent(self, agent_name: str) -> AnAgent | None:
        """A registered agent."""
        runner = self.runners.get(agent_name)
        return runner.agent if runner else None

    # -- processes --------------------------------------------------------------------------------------------------

    def run(self) -> None:
        """Start workers, an llm worker and beat on this machine, Redis too where none is named, and wait for SIGINT or SIGTERM.

        What dies is started again. The workers import the modules that define the agents' tools: a script that calls this
        does so under `if __name__ == "__main__":`. Raises what `orchestrator.embedded.stack.Stack.start` raises.
        """
        with until_signalled(self.stop), suppress(StackStopped):  # a signal may come before everything is ready
            self.start()
            if self._stack is not None:
                self._stack.wait()

    def start(self) -> None:
        """Start the same processes and return when they are ready. `stop` ends them."""
        shape = self._shape(self.runners)
        folder, imports = self._modules()
        if self._key:
            os.environ[_KEY] = self._key  # the processes inherit it; it stands in no argument
        settings, queues = with_values(self.settings, shape.settings), self._queues()

        def parts(environment: Mapping[str, str]) -> list[Command]:
            commands = celery_commands(stack.fleet, settings, stack.layout, environment)
            more = serving(queues)
            return [replace(one, argv=(*one.argv, *more)) if one.role is Role.WORKER else one for one in commands]

        stack = self._stack = Stack(
            settings,
            workers=PROCESSES,
            concurrency=max(2, shape.slots),
            llm_workers=1,
            llm_concurrency=shape.turns_at_once,
            imports=imports,
            folders=[folder] if folder else [],
            command="Orchestrator.run",
            parts=parts,
        )
        stack.start()
        self._chordal = None  # the embedded server is there now

    def stop(self) -> None:
        """End the processes that `start` started; tasks that have not ended go on when a fleet runs again."""
        if self._stack is not None:
            self._stack.stop()

    def fleet_commands(self) -> list[str]:
        """How to start the same fleet without this class: shell lines for one machine or several."""
        return self._shape(self.runners).commands(self._modules()[1], self._queues())

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.stop()

    def _shape(self, runners: dict[str, Runner]) -> Shape:
        upkeep = [runner.upkeep for runner in runners.values() if runner.upkeep is not None]
        # The concurrency of accounts is the user's where it was chosen; the rest was asked for right here.
        known = {"llm_max_concurrency"} & self.settings.model_fields_set
        return shape_of([runner.workers for runner in runners.values()], upkeep, known)

    def _queues(self) -> list[str]:
        found: dict[str, None] = {}
        for runner in self.runners.values():
            found |= dict.fromkeys(queues_of(runner.agent))
        return list(found)

    def _modules(self) -> tuple[Path | None, list[str]]:
        """The folder of the main script, where it is needed, and the modules that define the tools of the agents."""
        found = dict.fromkeys(self._imports)
        for runner in self.runners.values():
            found |= dict.fromkeys(modules_of(runner.agent))
        folder = None
        if "__main__" in found:
            del found["__main__"]
            main = sys.modules["__main__"]
            spec, file = getattr(main, "__spec__", None), getattr(main, "__file__", None)
            if spec is not None:
                found[spec.name] = None
            elif file:
                found[Path(file).stem], folder = None, Path(file).resolve().parent
        return folder, list(found)

    # -- async forms ------------------------------------------------------------------------------------------------

    enqueue_task = _in_thread(Following.enqueue_task_sync)
    create_agent_task = _in_thread(Following.create_agent_task_sync)
    get_task_status = _in_thread(Following.get_task_status_sync)
    get_task_data = _in_thread(Following.get_task_data_sync)
    get_task_result = _in_thread(Following.get_task_result_sync)
    cancel_task = _in_thread(Following.cancel_task_sync)
    steer_task = _in_thread(Following.steer_task_sync)
    complete_deferred_tool = _in_thread(Following.complete_deferred_tool_sync)
    enqueue_batch = _in_thread(Following.enqueue_batch_sync)
    get_batch = _in_thread(Following.get_batch_sync)
    cancel_batch = _in_thread(Following.cancel_batch_sync)


def with_values(settings: Settings, values: Any) -> Settings:
    """The same settings but for these values, which are checked. Raises pydantic.ValidationError."""
    given = {name: getattr(settings, name) for name in settings.model_fields_set}
    return Settings(**(given | dict(values)))


def _refuse(redis_pool: Any, connections: int, xai_api_key: str | None) -> None:
    if redis_pool is not None:
        raise UnsupportedOption("redis_pool", "Chordal opens its own connections", "Give redis_url or redis_host")
    if connections != 50:
        raise UnsupportedOption(
            "redis_max_connections",
            "each process opens up to 64 connections, and waits when all are in use",
            "Leave it out",
        )
    if xai_api_key is not None:
        raise UnsupportedOption(
            "xai_api_key",
            "keys stand in variables that the accounts of the models' file name",
            "Describe the account in CHORDAL_LLM_FILE with its base_url and api_key_env",
        )
