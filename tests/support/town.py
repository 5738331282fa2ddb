"""A worker and a beat that tell receivers, without Celery: messages land in the crew's mailbox."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from orchestrator.notify.notice import Notice
from orchestrator.notify.parts import NotifyParts
from orchestrator.notify.targets import OUTCOMES, Callbacks, Target
from orchestrator.settings import Settings
from support.crew import Crew


class Town:
    """A crew whose worker tells: callbacks of this test, and the webhook of its settings."""

    def __init__(self, crew: Crew, **settings: Any) -> None:
        self.crew, self.store, self.callbacks = crew, crew.store, Callbacks()
        self.settings = Settings(
            data_dir=crew.wired.settings.data_dir, notify_backoff_seconds=0.05, **({"notify_attempts": 3} | settings)
        )
        self.notify = NotifyParts(
            crew.store, self.settings, crew.mail.telling.append, lambda: crew.wired.keeper, self.callbacks
        )
        crew.wired.__dict__["notify"] = self.notify
        crew.wired.upkeep.removal.gates[:] = [self.notify.watch.gate]
        crew.wired.duties.looked = self.notify.watch.looked
        crew.function(self._fail, "fail")

    @staticmethod
    def _fail() -> None:
        raise ValueError("no luck, and password=hunter2")

    def on(self, *events: str, owner: str = "", name: str = "ear") -> list[Notice]:
        """A callback that keeps what it hears."""
        heard: list[Notice] = []
        self.add(name, heard.append, *events, owner=owner)
        return heard

    def add(self, name: str, function: Callable[[Notice], object], *events: str, owner: str = "") -> None:
        self.callbacks.add(Target(name, events or OUTCOMES, owner), function)
        self.notify.register()

    def tell(self) -> list[str]:
        """Answer every message that asks to tell; how each went."""
        went = []
        while self.crew.mail.telling:
            went.append(self.notify.deliverer.deliver(self.crew.mail.telling.popleft()))
        return went

    def tick(self) -> str:
        return self.notify.watch.tick()

    def run(self, goal: str = "g", **head: Any) -> None:
        """A goal with a failure in the middle, to its end."""
        nodes = [{"id": "a"}, {"id": "b", "call": "fail"}, {"id": "c"}]
        edges: list[Any] = [("a", "b"), {"source": "b", "target": "c", "on": "failed"}]
        self.crew.submit(nodes, edges, goal_id=goal, **head)
        self.crew.work()


def kinds(heard: list[Notice]) -> list[tuple[str, str]]:
    """(type, node) of notices."""
    return [(notice.type, notice.node) for notice in heard]
