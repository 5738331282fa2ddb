"""Two processes' clients with everything that a fleet shares, on one Redis."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import pytest

from orchestrator.llm.calls import Answer, Call
from orchestrator.llm.client import Client
from orchestrator.llm.estimates import FRESH_SECONDS, UNKNOWN_TOKENS, SharedEstimates
from orchestrator.llm.headers import Window
from orchestrator.llm.joint import joint
from orchestrator.llm.limiter import Limiter
from orchestrator.llm.lines import model_limits
from orchestrator.llm.messages import Usage
from orchestrator.llm.shared import SharedCache, SharedFlights
from orchestrator.llm.windows import FleetLines, WindowKeeper
from orchestrator.store.llm_shared import SharedCalls
from orchestrator.store.store import Store
from support.invariants import unknown_keys
from support.model_calls import ask, profiles


@dataclass
class Meter:
    """Answers in 50 tokens, says how many requests it allows, and writes down what was reserved."""

    reserved: list[int] = field(default_factory=list)

    def send(self, call: Call) -> Answer:
        self.reserved.append(call.max_output_tokens)
        usage = Usage(input_tokens=10, output_tokens=50)
        return Answer("stop", "fine", usage=usage, windows={"requests": Window(5000, 4999, 0.01)})

    def close(self) -> None:
        """Nothing is open."""


@dataclass
class Process:
    limiter: Limiter
    client: Client
    meter: Meter
    now: list[float]


@pytest.fixture
def process(store: Store) -> Iterator[Callable[[], Process]]:
    made: list[Process] = []
    known = profiles(account={"limits": {"burst_seconds": 60}})

    def make() -> Process:
        limiter, meter, now = Limiter(store, known.limits() | model_limits(known)), Meter(), [0.0]
        calls = SharedCalls(store)
        accounts = {name: model.account for name, model in known.models.items()}
        client = Client(
            joint(limiter, store, known),
            known,
            meter,
            estimates=SharedEstimates(store.llm.learned, accounts, lambda: now[0]),
            flights=SharedFlights(calls),
            cache=SharedCache(calls),
            on_windows=WindowKeeper(FleetLines(limiter, store)),
        )
        made.append(Process(limiter, client, meter, now))
        return made[-1]

    yield make
    for one in made:
        one.limiter.close()
    assert unknown_keys(store) == []


def test_what_one_process_learns_the_other_reserves(process: Callable[[], Process]) -> None:
    one, other = process(), process()
    for number in range(25):
        one.client.complete(ask(f"Say {number}.", max_output_tokens=None, role="judge"))
    assert one.meter.reserved[0] == UNKNOWN_TOKENS
    other.client.complete(ask(max_output_tokens=None, role="judge"))
    assert other.meter.reserved == [56], "50 and a tenth, rounded up"
    one.now[0] += FRESH_SECONDS
    one.client.complete(ask(max_output_tokens=None, role="judge"))
    assert one.meter.reserved[-1] == 56


def test_an_answer_that_one_process_kept_the_other_uses(process: Callable[[], Process]) -> None:
    one, other = process(), process()
    assert one.client.complete(ask(cache_seconds=60.0)).source == "provider"
    reply = other.client.complete(ask(cache_seconds=60.0))
    assert (reply.text, reply.source, reply.micro_usd, other.meter.reserved) == ("fine", "cache", 0, [])


def test_what_the_provider_says_of_its_limits_counts_for_all(process: Callable[[], Process]) -> None:
    one, other = process(), process()
    one.client.complete(ask())
    assert other.limiter.status("first").usage["requests"].limit == 5000
