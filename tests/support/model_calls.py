"""What tests of model calls share: profiles, requests, and a limiter that lets everything through and takes it down."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Self

from orchestrator.llm.calls import Provider
from orchestrator.llm.client import Client
from orchestrator.llm.limits import Cost
from orchestrator.llm.messages import Message, Request, Speaker
from orchestrator.llm.profile_file import read_profiles
from orchestrator.llm.profiles import Profiles


@dataclass
class Granted:
    """A permit, and what became of it."""

    account: str
    cost: Cost
    asked: dict[str, Any]
    ended: list[tuple[str, Any]] = field(default_factory=list)
    said: list[tuple[str, float, str]] = field(default_factory=list)
    learnt: str = ""

    def settle(self, actual: Cost, learn: str = "") -> None:
        self.learnt = learn
        self.ended.append(("settle", actual))

    def fail(self, reason: str, actual: Cost | None = None) -> None:
        self.ended.append((f"fail {reason}", actual))

    def abandon(self, actual: Cost | None = None) -> None:
        self.ended.append(("abandon", actual))

    def unused(self) -> None:
        self.ended.append(("unused", None))

    def hold(self, seconds: float, reason: str) -> None:
        self.said.append(("hold", seconds, reason))

    def open(self, seconds: float, reason: str) -> None:
        self.said.append(("open", seconds, reason))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if not self.ended:
            self.abandon()


@dataclass
class Open:
    """Grants at once; `refuse` may raise for an account."""

    permits: list[Granted] = field(default_factory=list)
    refuse: Callable[[str], None] = lambda _: None

    def acquire(self, account: str, cost: Cost, **asked: Any) -> Granted:
        self.refuse(account)
        self.permits.append(Granted(account, cost, asked))
        return self.permits[-1]

    @property
    def ends(self) -> list[str]:
        """How each permit ended."""
        assert all(len(permit.ended) == 1 for permit in self.permits), "each permit ends once"
        return [permit.ended[0][0] for permit in self.permits]


def profiles(url: str = "http://127.0.0.1:9/v1", **changes: Any) -> Profiles:
    """Two models on two accounts, a chain of both, no pauses; `account`, `retry` and others change parts."""
    account = {"base_url": url, "timeout_seconds": 5.0, **changes.pop("account", {})}
    price = {"input": 2.0, "cached_input": 1.0, "output": 10.0}
    retry = {"attempts": 3, "backoff_seconds": 0.0, **changes.pop("retry", {})}
    return read_profiles(
        {
            "accounts": {"first": account, "second": account},
            "models": {"a": {"account": "first", "price": price}, "b": {"account": "second", "price": price}},
            "chains": {"default": ["a", "b"]},
            "retry": retry,
            **changes,
        }
    )


def ask(text: str = "Say hello.", model: str = "a", **changes: Any) -> Request:
    """A request of one message with a reservation of 100 tokens."""
    message = Message(speaker=Speaker.USER, text=text)
    return Request(model=model, messages=(message,), **{"max_output_tokens": 100, **changes})


def client(provider: Provider, limiter: Open | None = None, known: Profiles | None = None, **more: Any) -> Client:
    """A client on a limiter that lets everything through."""
    return Client(limiter or Open(), known or profiles(), provider, **more)
