"""Chordal's client: every process shares one line, with the limit that the provider states."""

from __future__ import annotations

import os

from bench.llm import backlog
from orchestrator.llm.client import Client
from orchestrator.llm.limiter import Limiter
from orchestrator.llm.messages import Message, Request, Speaker
from orchestrator.llm.openai_provider import OpenAIProvider
from orchestrator.llm.profile_file import read_profiles
from orchestrator.store.keys import Keys
from orchestrator.store.store import Store


def main() -> None:
    """Call until the time is over."""
    order = backlog.Order.given()
    account = {"base_url": order.url, "limits": {"requests_per_minute": order.per_minute}}
    profiles = read_profiles({"accounts": {"mock": account}, "models": {"m": {"account": "mock"}}})
    limiter = Limiter(Store(os.environ["BENCH_REDIS_URL"], Keys(), 2000), profiles.limits())
    client = Client(limiter, profiles, OpenAIProvider({}))
    message = Message(speaker=Speaker.USER, text="Say hello.")
    request = Request(model="m", messages=(message,), max_output_tokens=16, share=False)
    backlog.threads(order, lambda: client.complete(request))


if __name__ == "__main__":
    main()
