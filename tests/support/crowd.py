"""A server of its own and processes that call through the limiter, more than it lets out."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from orchestrator.llm.limiter import Limiter
from orchestrator.store.keys import Keys
from orchestrator.store.store import Store
from support import callers, sent
from support.callers import LIMITS, OWNERS
from support.sent import ACCOUNT, Sent
from support.servers import Server, server, until


@dataclass
class Crowd:
    """A server and the processes that call on it."""

    server: Server
    folder: Path
    processes: list[subprocess.Popen[bytes]] = field(default_factory=list)
    threads: int = 0

    def __post_init__(self) -> None:
        self.store = Store(self.server.url, Keys(), 2000)
        self.limiter = Limiter(self.store, {ACCOUNT: LIMITS})

    def start(self, *kinds: str, threads: int = 25) -> None:
        """A process of each kind, as `callers` knows them, with so many threads."""
        script, self.threads = str(Path(callers.__file__)), threads
        for kind in kinds:
            argv = [sys.executable, "-P", script, self.server.url, str(self.folder), str(threads), kind]
            self.processes.append(subprocess.Popen(argv))
        count = len(kinds) + callers.CHILDREN * kinds.count("fork")
        until(lambda: len({call.process for call in self.calls()}) == count, 40, "all of them call")

    def calls(self) -> list[Sent]:
        return sent.sent(self.folder)

    def stopped(self) -> tuple[subprocess.Popen[bytes], set[str]]:
        """A process that stands still in the middle of calls, and the permits of these."""
        while True:
            for one in self.processes:
                one.send_signal(signal.SIGSTOP)
                mine = {call.permit for call in self.calls() if call.process == one.pid and call.ended is None}
                if mine:
                    return one, mine
                one.send_signal(signal.SIGCONT)

    def everybody_calls(self, but: tuple[int, ...] = ()) -> None:
        """Every thread of every process but these gets a turn from now on."""
        now = time.monotonic()
        pids = {call.process for call in self.calls()} - set(but)
        wanted = {(pid, f"t{index}") for pid in pids for index in range(self.threads)}
        until(
            lambda: wanted <= {(call.process, call.thread) for call in self.calls() if call.began > now},
            40, "everybody gets a turn",
        )  # fmt: skip

    def stop(self, but: tuple[int, ...] = ()) -> None:
        """Let some windows pass, then end."""
        begun = self.calls()[0].began
        until(lambda: self.calls()[-1].began > begun + 2.5 * LIMITS.window_seconds, 40, "windows pass")
        (self.folder / "stop").touch()
        for one in self.processes:
            if one.pid not in but:
                assert one.wait(40) == 0

    def empties(self) -> None:
        """Nothing is left on the account once every call is over and has left the window."""
        with suppress(AssertionError):
            until(lambda: not sent.leftovers(self.store, self.limiter), 15)
        assert sent.leftovers(self.store, self.limiter) == {}

    def balanced(self) -> list[Sent]:
        """Nothing is left once the windows have passed; what was spent is what the calls used. Returns the calls."""
        self.empties()
        calls, spend = self.calls(), sent.spend(self.store)
        settled = sum(call.used for call in calls if call.settled == "settled")
        unsure = sum(call.tokens for call in calls if call.settled != "settled")
        assert spend["account"] == sum(spend[f"owner:o{index}"] for index in range(OWNERS))
        # A call that was granted to a thread which then died is in no record, and may be charged.
        unseen = {event.data["permit"] for event in self.store.llm.events(ACCOUNT, most=100_000)}
        unsure += len(unseen - {call.permit for call in calls}) * callers.COST.tokens
        assert settled <= spend["account"] <= settled + unsure
        return calls

    def end(self) -> None:
        """Whatever the test left running."""
        (self.folder / "stop").touch()
        for one in self.processes:
            with suppress(ProcessLookupError):
                one.kill()
            one.wait(10)
        self.limiter.close()
        self.store.close()


@contextmanager
def crowd(folder: Path, *kinds: str, threads: int = 25) -> Iterator[Crowd]:
    """The processes call until the end of the block."""
    with server() as own:
        made = Crowd(own, folder)
        try:
            made.start(*kinds, threads=threads)
            yield made
        finally:
            made.end()
