"""Many calls in flight in one process: what it takes, and how much longer than the server each of them is.

    python -m bench.llm.flying POOL http://127.0.0.1:8000 MILLISECONDS CALLERS ROUNDS FOLDER

POOL is `asyncio` (no client at all: sockets), `threads` or `gevent` (Chordal's client on the limiter at BENCH_REDIS_URL).
The callers begin evenly spread over the first call's time and make ROUNDS calls each. `FOLDER/ready` says that the process
has made one call and is idle; it goes on when `FOLDER/go` is there, and leaves `FOLDER/flown.json`.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from bench.llm.slow_server import more_files

BODY: Final = json.dumps({"model": "m", "messages": [{"role": "user", "content": "Say hello."}]}).encode()


@dataclass(frozen=True, slots=True)
class Order:
    """What is to be done."""

    pool: str
    url: str
    milliseconds: int
    callers: int
    rounds: int
    folder: Path

    @classmethod
    def given(cls) -> Order:
        """By the command line."""
        pool, url, milliseconds, callers, rounds, folder = sys.argv[1:]
        return cls(pool, url, int(milliseconds), int(callers), int(rounds), Path(folder))

    def argv(self) -> tuple[str, ...]:
        """As the command line has it."""
        numbers = (self.milliseconds, self.callers, self.rounds)
        return (self.pool, self.url, *map(str, numbers), str(self.folder))

    def first(self, caller: int) -> float:
        """Seconds after the start at which a caller begins."""
        return self.milliseconds / 1000 * caller / self.callers


@dataclass(frozen=True, slots=True)
class Flown:
    """What it was. Seconds."""

    calls: int
    failed: int
    seconds: float
    """From the first call to the last answer."""
    added: Sequence[float]
    """What each call took beyond the server's own time, in ascending order."""


def asked_to_go(order: Order) -> None:
    """Say that this process is idle now, and wait."""
    (order.folder / "ready").touch()
    while not (order.folder / "go").exists():
        time.sleep(0.02)


def leave(order: Order, seconds: float, took: Sequence[float], failed: int) -> None:
    """Write down what was."""
    added = sorted(one - order.milliseconds / 1000 for one in took)
    new = order.folder / "flown.new"
    new.write_text(json.dumps(asdict(Flown(len(took), failed, seconds, added))))
    new.replace(order.folder / "flown.json")
    os._exit(0)


async def bare(order: Order) -> None:
    """The same calls with nothing but sockets."""
    address = urlsplit(order.url)
    head = f"POST /{order.milliseconds}/v1/chat/completions HTTP/1.1\r\nhost: x\r\ncontent-length: {len(BODY)}\r\n\r\n"
    took: list[float] = []

    async def work(caller: int) -> None:
        await asyncio.sleep(order.first(caller))
        reader, writer = await asyncio.open_connection(address.hostname, address.port)
        for _ in range(order.rounds):
            begun = time.perf_counter()
            writer.write(head.encode() + BODY)
            answer = await reader.readuntil(b"\r\n\r\n")
            await reader.readexactly(int(answer.lower().partition(b"content-length:")[2].split(b"\r\n", 1)[0]))
            took.append(time.perf_counter() - begun)

    asked_to_go(order)
    begun = time.perf_counter()
    await asyncio.gather(*(work(caller) for caller in range(order.callers)))
    leave(order, time.perf_counter() - begun, took, 0)


def chordal(order: Order) -> None:
    """The same calls through the client and its limiter, each caller a thread or greenlet."""
    call = _caller(order)
    call()
    took: list[float] = []
    failed: list[str] = []

    def work(caller: int) -> None:
        time.sleep(order.first(caller))
        for _ in range(order.rounds):
            begun = time.perf_counter()
            try:
                call()
            except Exception as error:
                failed.append(repr(error))
            else:
                took.append(time.perf_counter() - begun)

    asked_to_go(order)
    begun = time.perf_counter()
    threads = [threading.Thread(target=work, args=(caller,)) for caller in range(order.callers)]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    for text in failed[:3]:
        print(text, file=sys.stderr)
    leave(order, time.perf_counter() - begun, took, len(failed))


def _caller(order: Order) -> Callable[[], object]:
    from orchestrator.llm.client import Client
    from orchestrator.llm.limiter import Limiter
    from orchestrator.llm.messages import Message, Request, Speaker
    from orchestrator.llm.openai_provider import OpenAIProvider
    from orchestrator.llm.profile_file import read_profiles
    from orchestrator.store.keys import Keys
    from orchestrator.store.store import Store

    account = {"base_url": f"{order.url}/{order.milliseconds}/v1", "limits": {"concurrency": order.callers}}
    model = {"account": "slow", "encoding": "o200k_base"}
    profiles = read_profiles({"accounts": {"slow": account}, "models": {"m": model}})
    limiter = Limiter(Store(os.environ["BENCH_REDIS_URL"], Keys(), 2000), profiles.limits())
    client = Client(limiter, profiles, OpenAIProvider({}))
    message = Message(speaker=Speaker.USER, text="Say hello.")
    request = Request(model="m", messages=(message,), max_output_tokens=16, share=False)
    return lambda: client.complete(request)


def main() -> None:
    """Fly."""
    order = Order.given()
    more_files()
    if order.pool == "asyncio":
        asyncio.run(bare(order))
        return
    if order.pool == "gevent":
        from gevent import monkey

        monkey.patch_all()
    chordal(order)


if __name__ == "__main__":
    main()
