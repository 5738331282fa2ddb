"""The engine without Celery: invitations land in a mailbox, and the test answers them itself."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from orchestrator import wiring
from orchestrator.engine.dispatch import UserTask
from orchestrator.engine.registry import Registry
from orchestrator.settings import Settings
from orchestrator.store.llm_records import Word
from orchestrator.store.records import Invitation
from orchestrator.store.store import Store
from support.sim import EdgeLike, document


@dataclass
class Mailbox:
    """A sender that keeps what it is given."""

    invitations: deque[Invitation] = field(default_factory=deque)
    tasks: list[UserTask] = field(default_factory=list)
    results: dict[str, tuple[Any, str | None]] = field(default_factory=dict)
    words: deque[tuple[str, Word]] = field(default_factory=deque)
    telling: deque[str] = field(default_factory=deque)

    def invite(self, invitations: Iterable[Invitation]) -> None:
        self.invitations.extend(invitations)

    def start(self, task: UserTask) -> None:
        self.tasks.append(task)

    def conclude(self, task_id: str, output: Any, error: str | None) -> None:
        self.results[task_id] = output, error

    def tell(self, goal: str, queue: str) -> None:  # noqa: ARG002 (the queue is the real one's)
        self.telling.append(goal)

    def call(self, account: str, word: Word) -> None:
        self.words.append((account, word))


class Crew:
    """Submitter, worker, beat and doors on one store, in this process: the parts as they are wired, but for the sender."""

    def __init__(self, store: Store, folder: Path, **settings: Any) -> None:
        self.store = store
        self.mail = Mailbox()
        app: Any = None
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(wiring, "Store", lambda *_: store)
            patch.setattr(wiring, "CelerySender", lambda _: self.mail)
            wired = wiring.Chordal(Settings(data_dir=folder, **settings), app, store.url)
        wired.registry = self.registry = Registry()
        self.wired = wired
        self.payloads, self.submitter, self.control = wired.payloads, wired.submitter, wired.control
        self.runner, self.committer = wired.runner, wired.committer
        self.duties, self.reopener, self.upkeep = wired.duties, wired.reopener, wired.upkeep
        self.models = wired.models
        self.patcher = wired.patcher
        self.duties._last_reap = time.monotonic()  # a beat that has been ticking: no grace for a server that is young

    def function(self, function: Callable[..., Any], name: str = "") -> Callable[..., Any]:
        """Let goals call it."""
        self.registry.add(function, name or getattr(function, "__name__", ""))
        return function

    def submit(
        self, nodes: Iterable[str | Mapping[str, Any]], edges: Iterable[EdgeLike] = (), goal_id: str = "g", **head: Any
    ) -> str:
        """Submit a goal."""
        return self.submitter.submit(document(nodes, edges, goal_id=goal_id, **head))

    def work(self, most: int = 10_000) -> int:
        """Answer invitations until none is left; returns how many nodes were run."""
        ran = 0
        for _ in range(most):
            if not self.mail.invitations:
                return ran
            one = self.mail.invitations.popleft()
            ran += self.runner.answer(one.goal, one.queue, one.node, one.sent_ms)
        raise AssertionError(f"invitations without end: {list(self.mail.invitations)[:5]}")

    def state(self, goal: str = "g") -> str:
        return self.store.goals.field(goal, "state") or "GONE"

    def states(self, goal: str = "g") -> dict[str, str]:
        names = sorted(self.store.goals.part(goal, "nodes"))
        return {name: task["state"] for name, task in zip(names, self.store.nodes.states(goal, names), strict=True)}

    def output(self, node: str, goal: str = "g") -> Any:
        return self.payloads.unpack(self.store.nodes.outputs(goal, [node])[0])
