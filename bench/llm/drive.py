"""Run a load: a fresh server, the processes that call, and a reader of the account's events beside them."""

from __future__ import annotations

import json
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any, Final

from bench.llm.load import ACCOUNT, Called, Load
from bench.processes import Processes, processes
from orchestrator.domain.events import Event
from orchestrator.store.keys import Keys
from orchestrator.store.store import Store

START_SECONDS: Final = 2.0
"""For the processes to start, before the first call."""
_READ_SECONDS: Final = 0.5


@dataclass
class Run:
    """What a load left behind."""

    load: Load
    begin: float = 0.0
    calls: list[Called] = field(default_factory=list)
    """Of the processes that lived to tell."""
    events: list[Event] = field(default_factory=list)
    commands: dict[str, dict[str, float]] = field(default_factory=dict)
    """`INFO commandstats` of the server, from the first call to the last."""

    def count(self, *names: str) -> int:
        """How often the server carried out these commands."""
        return int(sum(self.commands.get(name, {}).get("calls", 0) for name in names))

    @property
    def scripts(self) -> int:
        """Scripts of every kind."""
        return self.count("evalsha", "eval", "fcall")

    @property
    def pops(self) -> int:
        """Blocking pops, each a wake-up."""
        return self.count("blpop", "blmpop")


@contextmanager
def server() -> Iterator[tuple[Processes, Store]]:
    """A fresh server and a client of it."""
    with processes() as place:
        store = Store(place.url, Keys(), 2000)
        try:
            yield place, store
        finally:
            store.close()


def drive(load: Load, count: int, meanwhile: Callable[[Processes, Store, float], None] | None = None) -> Run:
    """Let so many processes call, and do something `meanwhile`, which gets the moment of the first call."""
    with server() as (place, store):
        return drive_on(place, store, load, count, meanwhile)


def drive_on(
    place: Processes, store: Store, load: Load, count: int,
    meanwhile: Callable[[Processes, Store, float], None] | None = None,
) -> Run:  # fmt: skip
    """The same on a server that is there."""
    run = Run(load, time.time() + START_SECONDS)
    load.write(place.folder / "load.json")
    over = threading.Event()
    reader = threading.Thread(target=_follow, args=(store, run.events, over))
    callers = [
        place.start(f"caller-{n}", sys.executable, "-m", "bench.llm.caller", str(place.folder), str(n), repr(run.begin))
        for n in range(count)
    ]
    time.sleep(max(0.0, run.begin - 0.2 - time.time()))
    store.client.config_resetstat()
    reader.start()
    try:
        if meanwhile is not None:
            meanwhile(place, store, run.begin)
        for one in callers:
            one.wait(load.seconds + 150)
    finally:
        over.set()
        reader.join()
    run.commands = {
        name.removeprefix("cmdstat_"): value for name, value in store.client.info("commandstats").items()
    }  # fmt: skip
    for n in range(count):
        with suppress(FileNotFoundError):
            run.calls += [Called(*one) for one in json.loads((place.folder / f"calls-{n}.json").read_text())]
    run.calls.sort(key=lambda call: call.began)
    return run


def _follow(store: Store, events: list[Event], over: threading.Event) -> None:
    """Read the account's events while they are written: the stream keeps the newest only."""
    ending = False
    while not ending:
        ending = over.wait(_READ_SECONDS)
        while page := list(store.llm.events(ACCOUNT, events[-1].id if events else "0", 5000)):
            events += page


def settled(events: list[Event]) -> dict[str, int]:
    """Tokens that each permit used, by its end."""
    return {str(one.data["permit"]): int(one.data["tokens"]) for one in events if one.type == "llm.settled"}


def info(store: Store, section: str) -> Any:
    """A part of what the server says of itself."""
    return store.client.info(section)
