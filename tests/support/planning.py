"""A goal whose agents are played by the test: what waits on their queue is claimed and ended by hand."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from orchestrator.agents import builtins
from orchestrator.agents.plan.planner import planning_goal
from orchestrator.domain.agent import AgentCard
from orchestrator.store.records import Outcome, Result, Verdict
from support.crew import Crew
from support.sim import Sim

QUEUE: Final = "agents"
"""No worker of the test answers it."""
TEAM: Final = (
    AgentCard(name="planner", queue=QUEUE), AgentCard(name="dev", queue=QUEUE), AgentCard(name="eve", role="writer", queue=QUEUE),
    AgentCard(name="qa", queue=QUEUE), AgentCard(name="boss", role="manager", queue=QUEUE),
)  # fmt: skip


def node(name: str, *depends_on: str, **fields: Any) -> dict[str, Any]:
    """A node of a plan, for the agent `dev`."""
    return {"id": name, "task": f"do {name}", "agent": "dev", "depends_on": list(depends_on)} | fields


def plan(*nodes: dict[str, Any], **more: Any) -> dict[str, Any]:
    """A planner's answer."""
    return {"goal_id": "", "nodes": list(nodes), **more}


@dataclass
class Stage:
    """A planning goal "g" on an engine driven by hand."""

    crew: Crew
    cards: tuple[AgentCard, ...] = TEAM

    def __post_init__(self) -> None:
        self.store = self.crew.store
        self.sim = Sim(self.store)
        builtins.register(self.crew.registry, self.store, self.crew.patcher)

    def submit(self, **options: Any) -> None:
        """Begin with the goal's plan to be made."""
        self.crew.submitter.submit(planning_goal(self.cards, "Do it well.", goal_id="g", **options))

    def work(self) -> None:
        """Do everything that needs no agent and no person."""
        mail = self.crew.mail
        while any(one.queue != QUEUE for one in mail.invitations):
            one = mail.invitations.popleft()
            if one.queue == QUEUE:
                continue
            self.crew.runner.answer(one.goal, one.queue, one.node, one.sent_ms)

    def answer(self, name: str, output: Any) -> None:
        """End an agent's node with a final output."""
        lease = self.sim.take(name, queue=QUEUE)
        body = json.dumps({"text": "", "output": output, "turns": 1, "usage": {}, "micro_usd": 0})
        step = self.sim.commit(Result(lease, Outcome.DONE, body, ""))
        assert step.verdicts == [Verdict.ACCEPTED]
        self.crew.mail.invite(step.invitations)
        self.work()

    def planned(self, *nodes: dict[str, Any], **options: Any) -> None:
        """Begin with a plan that is carried out already."""
        self.submit(approve=False, **options)
        self.answer("plan", plan(*nodes))

    def error(self, name: str) -> str:
        """Why a node failed."""
        return str(json.loads(self.store.goals.part("g", "dead")[name])["error"])

    def parents(self, name: str) -> set[str]:
        """What a node waits for."""
        return set(self.store.nodes.parents("g", name))

    def inputs(self, name: str) -> dict[str, Any]:
        """A node's inputs."""
        return dict(json.loads(self.store.goals.spec("g", name))["inputs"])


@dataclass
class CrashAfter:
    """A patcher whose answer is lost after it patched, the first times."""

    apply_patch: Callable[..., int]
    times: int = 1

    def apply(self, goal: str, patch: Any, reason: str = "", *, order: Any = None) -> int:
        version = self.apply_patch(goal, patch, reason, order=order)
        if self.times > 0:
            self.times -= 1
            raise ConnectionError("the answer of the patch was lost")
        return version
