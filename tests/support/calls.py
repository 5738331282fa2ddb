"""`llm` nodes driven by hand: invitations and words are answered by the test, the provider is scripted."""

from __future__ import annotations

import json
from typing import Any

from orchestrator.llm.client import Client
from orchestrator.llm.profile_file import read_profiles
from orchestrator.llm.scripted import Scripted, Step
from support.crew import Crew
from support.servers import until

ANSWERS = Step(text="an answer", times=None)
STANDARD = {
    "accounts": {
        "first": {"base_url": "http://127.0.0.1:9/v1", "limits": {"concurrency": 4}},
        "second": {"base_url": "http://127.0.0.1:9/v1", "limits": {"concurrency": 4}},
    },
    "models": {"a": {"account": "first", "context_tokens": 1000}, "b": {"account": "second"}},
    "chains": {"default": ["a", "b"]},
    "retry": {"attempts": 2, "backoff_seconds": 0.0},
}


class Calls:
    """A crew with models: `work` answers invitations and words until nothing is left to do."""

    def __init__(self, crew: Crew, provider: Scripted, **changes: Any) -> None:
        self.crew, self.provider = crew, provider
        models = crew.models
        models.profiles = read_profiles(STANDARD | changes)
        models.client = Client(models.joint, models.profiles, provider, estimates=models.estimates, cache=models.cache)
        self.limiter, self.gate = models.limiter, models.gate
        self.gate.open()
        live = [crew.store.keys.llm_part(account, "live") for account in models.profiles.accounts]
        until(lambda: all(crew.store.client.zscore(key, "gate") for key in live), what="live gates")

    def submit(self, *nodes: Any, **head: Any) -> str:
        """A goal of nodes, by their inputs; a text is a prompt."""
        made = [
            {"id": f"n{at}", "kind": "llm", "inputs": {"prompt": one} if isinstance(one, str) else one}
            for at, one in enumerate(nodes)
        ]
        return self.crew.submit(made, **head)

    def step(self) -> list[str]:
        """Answer what has been sent; returns what became of each word."""
        self.crew.work()
        words, self.crew.mail.words = list(self.crew.mail.words), type(self.crew.mail.words)()
        return [
            self.gate.answer(account, word.id, word.outcome.value, word.detail) for account, word in words
        ]  # fmt: skip

    def work(self) -> None:
        """Answer everything."""
        while self.crew.mail.invitations or self.crew.mail.words:
            self.step()

    def events(self) -> list[tuple[str, dict[str, str]]]:
        """The goal's history."""
        return self.crew.store.goals.events("g", "0", 100)

    def failure(self, node: str = "n0") -> str:
        """Why a node failed."""
        return str(json.loads(self.crew.store.goals.part("g", "dead")[node])["error"])

    def later(self, seconds: float) -> None:
        """Timers of the goal fire as if so much time had gone by."""
        store = self.crew.store
        for node, at in store.client.zrange(store.keys.part("g", "timers"), 0, -1, withscores=True):
            store.client.zadd(store.keys.part("g", "timers"), {node: at - seconds * 1000})
        store.goals.expect("g")
        self.crew.duties.reap()
