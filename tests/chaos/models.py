"""Calls of models under chaos: a provider, the accounts, goals that call, and what both sides say of it afterwards."""

from __future__ import annotations

import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Final

from chaos import model_process
from chaos.load import Order
from chaos.model_process import MODULUS, answer
from orchestrator.events.check import check_account
from orchestrator.llm.limiter import Limiter
from orchestrator.llm.limits import Limits
from orchestrator.store.store import Store
from support.servers import until

ACCOUNT: Final = "fake"
LIMITS: Final = Limits(requests_per_minute=60, tokens_per_minute=12_000, concurrency=6, window_seconds=2.0)
LEASE_SECONDS: Final = 3.0
TIMEOUT_SECONDS: Final = 2.0
LATE_SECONDS: Final = 0.5
"""A grant may wait so long for its first byte; the windows at the provider are judged shorter by it."""
PROFILES: Final = f"""
accounts:
  {ACCOUNT}:
    kind: self-hosted
    base_url: "http://127.0.0.1:{{port}}/v1"
    timeout_seconds: {TIMEOUT_SECONDS}
    lease_seconds: {LEASE_SECONDS}
    limits:
      requests_per_minute: {LIMITS.requests_per_minute}
      tokens_per_minute: {LIMITS.tokens_per_minute}
      concurrency: {LIMITS.concurrency}
      window_seconds: {LIMITS.window_seconds}
      breaker_seconds: 1.0
models:
  small: {{{{account: {ACCOUNT}}}}}
chains:
  default: [small]
retry: {{{{attempts: 4, backoff_seconds: 0.2, backoff_cap_seconds: 1.0}}}}
"""


@dataclass
class Provider:
    """The provider's process, on the same port through all its lives."""

    folder: Path
    port: int = 0
    process: subprocess.Popen[bytes] | None = None
    woken: list[float] = field(default_factory=list)
    """When it went on after it stood still: what it then took for new were requests that nobody waits for any more."""

    def start(self) -> None:
        self.folder.mkdir(exist_ok=True)
        (self.folder / "port").unlink(missing_ok=True)
        script = str(Path(model_process.__file__))
        self.process = subprocess.Popen([sys.executable, "-P", script, str(self.port), str(self.folder)])
        until((self.folder / "port").exists, 20, "the provider listens")
        self.port = int((self.folder / "port").read_text())
        (self.folder / "llm.yaml").write_text(PROFILES.format(port=self.port))

    @property
    def profiles(self) -> Path:
        return self.folder / "llm.yaml"

    def does(self, kind: str = "answers") -> None:
        """From now on; one of `model_process.BEHAVIOURS`."""
        (self.folder / "behaviour.new").write_text(kind)
        (self.folder / "behaviour.new").rename(self.folder / "behaviour")

    def signal(self, number: int) -> None:
        if number == signal.SIGCONT:
            self.woken.append(time.monotonic())
        if self.process is not None:
            self.process.send_signal(number)

    def stop(self) -> None:
        if self.process is not None:
            self.signal(signal.SIGCONT)
            self.process.kill()
            self.process.wait(10)
            self.process = None

    def calls(self) -> Iterator[tuple[float, float]]:
        """Beginning and end of each request; one whose end was not written ended with its process.

        Whoever sent it hangs up after its time limit, which the provider does not notice.
        """
        begun: dict[tuple[str, str], float] = {}
        path = self.folder / "calls"
        for line in path.read_text().splitlines() if path.exists() else ():
            what, pid, number, at = line.split(" ")
            if what == "begin":
                begun[pid, number] = float(at)
            else:
                since = begun.pop((pid, number))
                if not any(0 <= since - woken < LATE_SECONDS for woken in self.woken):
                    yield since, min(float(at), since + TIMEOUT_SECONDS)
        yield from ((since, since) for since in begun.values())


def make_calls(seed: int, serial: int, tasks: bool = True) -> Order:  # noqa: ARG001
    """The goal number `serial` of a run with this seed: questions, of which some wait for others, and a sum of the answers."""
    chance = random.Random(f"{seed}:calls:{serial}")
    name = f"m{seed}-{serial}"
    nodes, edges, expected = list[dict[str, Any]](), list[dict[str, str]](), dict[str, int | str]()
    for index in range(chance.randrange(3, 9)):
        question = f"{name} {index}"
        inputs = {"prompt": question, "max_output_tokens": chance.choice([20, 100, 300]), "stream": False}
        nodes.append({"id": f"q{index}", "kind": "llm", "inputs": inputs, "retries": 60, "backoff_seconds": 0.2})
        for parent in chance.sample(sorted(expected), min(len(expected), chance.choice([0, 0, 1, 2]))):
            edges.append({"source": parent, "target": f"q{index}"})
        expected[f"q{index}"] = answer(question)
    texts = [{"from": one, "path": "text"} for one in expected]
    nodes.append({"id": "sum", "call": "chaos.work:total", "inputs": {"texts": texts}})
    edges += [{"source": one, "target": "sum"} for one in expected]
    expected["sum"] = sum(int(text) for text in expected.values()) % MODULUS
    return Order(name, {"goal_id": name, "nodes": nodes, "edges": edges}, expected)


def leftovers(store: Store) -> dict[str, object]:
    """What the account must not hold once nobody calls: leases, waiters, reservations."""
    Limiter(store, {ACCOUNT: LIMITS}).status(ACCOUNT)
    client, part = store.client, partial(store.keys.llm_part, ACCOUNT)
    found: dict[str, object] = {"leases": client.zcard(part("leases")), "held": client.hlen(part("held"))}
    found |= {"queue": client.zcard(part("queue")), "waiters": client.hlen(part("waiters"))}
    state = client.hgetall(part("state"))
    names = [name for name in state if name.startswith(("kept_", "gated", "parked"))]
    return {name: size for name, size in found.items() if size} | {
        name: state[name] for name in names if float(state[name])
    }


def at_the_provider(provider: Provider) -> list[str]:
    """Moments with too many calls at once, and windows with too many requests, as the provider saw them."""
    calls = sorted(provider.calls())
    faults, first = [], 0
    moments = sorted([(since, 1) for since, _ in calls] + [(over, -1) for _, over in calls])
    live = most = 0
    for _, change in moments:
        live += change
        most = max(most, live)
    if most > (LIMITS.concurrency or 0):
        faults.append(f"I7: the provider had {most} calls at once, the limit is {LIMITS.concurrency}")
    for index, (since, _) in enumerate(calls):
        while calls[first][0] <= since - (LIMITS.window_seconds - LATE_SECONDS):
            first += 1
        if index - first + 1 > (LIMITS.requests_per_minute or 0):
            faults.append(f"I7: the provider had {index - first + 1} requests in a window")
            break
    return faults


def check_calls(store: Store, provider: Provider) -> list[str]:
    """I7 by the account's events and at the provider, and that nothing is left."""
    faults = [str(one) for one in check_account(store, ACCOUNT)] + at_the_provider(provider)
    return faults + [f"I7: account {ACCOUNT} still has {name} {size}" for name, size in leftovers(store).items()]
