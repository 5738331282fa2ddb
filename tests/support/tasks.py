"""Tasks of the face on real workers, with a stand-in for a model that calls tools."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from orchestrator.agents.agent import Agent
from orchestrator.face.orchestrator import Orchestrator
from orchestrator.face.status import ENDED, TaskStatus
from orchestrator.face.task import AgentContext, Task
from orchestrator.settings import Settings
from orchestrator.wiring import Chordal
from support.servers import Fleet, until
from support.tool_model import ToolModel


@dataclass
class Scene:
    """A fleet and its face."""

    fleet: Fleet
    model: ToolModel
    face: Orchestrator

    @property
    def chordal(self) -> Chordal:
        return self.face.chordal

    def begin(self, agent: Agent, query: str, owner: str = "ann", **more: Any) -> str:
        """Enqueue a task; returns its id."""
        payload = AgentContext(query=query, **more)
        return self.face.enqueue_task_sync(agent, Task.create(owner, agent.name, payload))

    def reaches(self, task: str, status: TaskStatus, seconds: float = 20.0) -> None:
        """Wait for a state of a task."""
        until(lambda: self.face.get_task_status_sync(task) is status, seconds, f"{task} is {status}")

    def ended(self, task: str, seconds: float = 30.0) -> dict[str, Any]:
        """The task's data once it has ended."""
        until(lambda: self.face.get_task_status_sync(task) in ENDED, seconds, f"the end of {task}")
        return self.face.get_task_data_sync(task)

    def states(self, goal: str) -> dict[str, str]:
        """The state of each node."""
        return {name: node.state.value for name, node in self.chordal.status(goal).nodes.items()}

    def events(self, goal: str, kind: str, node: str = "") -> list[Any]:
        """Events of a type."""
        return [one for one in self.chordal.events(goal) if one.type == kind and node in ("", one.node)]


def scene(
    fleet: Callable[..., Fleet], model: ToolModel, files: dict[str, str] | None = None, *, llm: bool = True,
    profiles: dict[str, Any] | None = None, **env: Any,
) -> Scene:  # fmt: skip
    """Beat, a worker, and an llm worker unless the test starts its own."""
    document = model.profiles() | (profiles or {})
    one = fleet({"llm.json": json.dumps(document), **(files or {})})
    one.env = {"CHORDAL_LLM_FILE": str(one.folder / "llm.json"), **{key: str(value) for key, value in env.items()}}
    one.beat()
    one.worker("w1")
    if llm:
        one.worker("llm1", "-Q", "llm", pool="threads", slots=8)
    face = Orchestrator(
        settings=Settings(redis_url=one.url, data_dir=one.folder / "data", llm_file=one.folder / "llm.json")
    )
    until(lambda: face.chordal.live_workers() == 1 + llm, what="the workers")
    return Scene(one, model, face)
