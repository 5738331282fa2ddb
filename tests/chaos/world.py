"""A server, a fleet of real processes and a steady load of goals, for faults to strike."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from chaos.load import Order, make_goal
from chaos.members import Member
from chaos.models import Provider, make_calls
from orchestrator.domain.errors import ChordalError, GoalNotFound
from orchestrator.settings import Settings
from orchestrator.wiring import Chordal, connect
from support.house import ROOT
from support.proxy import Proxy
from support.servers import Server

LEASE_SECONDS = 1.0
TICK_SECONDS = 0.05
TMPFS = "512m"
REFUSALS = (redis.RedisError, ChordalError, OSError)


@dataclass
class World:
    """Everything that runs. Whoever waits here keeps the supervision and the load going."""

    seed: int
    server: Server
    folder: Path
    url: str = ""
    """Of the state, for the driver; the server's socket unless a scenario says otherwise."""
    open_goals: int = 4
    tasks: bool = True
    own_disk: bool = False
    """The server's files are on a small file system of their own, which can be filled."""
    members: list[Member] = field(default_factory=list)
    goals: dict[str, Order] = field(default_factory=dict)
    """Accepted: their submission was acknowledged."""
    doubtful: dict[str, Order] = field(default_factory=dict)
    """Their submission ended in an error; they may be stored or not."""
    provider: Provider | None = None
    """Of models, in a world whose goals call them."""
    extra: dict[str, Callable[[], list[str]]] = field(default_factory=dict)
    """Goals that faults submitted, each with its own check of the outcome."""
    forgotten: set[str] = field(default_factory=set)
    """Accepted goals that a fault with a loss window took away."""
    set_back: set[str] = field(default_factory=set)
    """Goals that ran when the newest writes were lost: their tokens may have been handed out a second time."""
    link: str = ""
    """The network device between the server and a far worker, where there is one."""
    serial: int = 0
    loading: bool = True
    running: set[str] = field(default_factory=set)
    violations: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.url = self.url or self.server.url
        self.chordal = self.client()
        self.orders = self.folder / "orders"
        self.orders.mkdir(exist_ok=True)

    def client(self) -> Chordal:
        """A client of its own, straight to the server."""
        models = self.provider.profiles if self.provider is not None else None
        made = connect(
            Settings(redis_url=self.url, data_dir=self.folder / "data", lease_seconds=LEASE_SECONDS, llm_file=models)
        )
        # It supervises, so it must not wait long for a server that a fault has stopped.
        options = made.store.client.connection_pool.connection_kwargs
        options.update(socket_timeout=1.0, retry=Retry(NoBackoff(), 0))
        return made

    @property
    def redis(self) -> Any:
        return self.chordal.store.client

    def environment(self, name: str, url: str) -> dict[str, str]:
        clean = {key: value for key, value in os.environ.items() if not key.startswith(("CHORDAL_", "REDIS_URL"))}
        return clean | {
            "CHORDAL_REDIS_URL": url, "CHORDAL_DATA_DIR": str(self.folder / "data"), "PYTHONUNBUFFERED": "1",
            "CHORDAL_IMPORTS": "chaos.work,chaos.kill_at", "CHORDAL_LEASE_SECONDS": str(LEASE_SECONDS),
            "CHORDAL_LOST_LIMIT": "1000", "CHORDAL_RECORD_DIGESTS": "1", "PYTHONPATH": str(ROOT / "tests"),
            "CHAOS_ORDERS": str(self.orders), "CHAOS_MEMBER": name,
            **({"CHORDAL_LLM_FILE": str(self.provider.profiles)} if self.provider is not None else {}),
        }  # fmt: skip

    def add(self, name: str, role: str = "worker", proxied: bool = False, url: str = "", **fields: Any) -> Member:
        """Start another worker or beat."""
        proxy = None
        if proxied:
            proxy = Proxy(self.server.folder / "s", Random(f"{self.seed}:{name}"))
            proxy.start()
        url = url or (proxy.url if proxy else self.url)
        env = self.environment(name, url) | fields.pop("env", {})
        member = Member(name, role, self.folder, env, proxy, **fields)
        self.members.append(member)
        member.start()
        return member

    def remove(self, member: Member) -> None:
        """Stop a member for good."""
        member.stop()
        self.members.remove(member)

    def workers(self) -> list[Member]:
        return [member for member in self.members if member.role == "worker"]

    def callers(self) -> list[Member]:
        """Workers that make calls of models."""
        return [member for member in self.members if member.role == "llm"]

    def beats(self) -> list[Member]:
        return [member for member in self.members if member.role == "beat"]

    def proxies(self) -> list[Proxy]:
        return [member.proxy for member in self.members if member.proxy is not None]

    def tick(self) -> None:
        """Start what died, submit what is missing from the load."""
        for member in self.members:
            member.watch()
        if not self.loading:
            return
        with suppress(*REFUSALS):
            self.running = {goal for goal in self.running if not self.ended(goal)}
            while len(self.running) < self.open_goals:
                make = make_goal if self.provider is None else make_calls
                self.submit(make(self.seed, self.serial, self.tasks))

    def submit(self, order: Order) -> None:
        self.serial += 1
        try:
            self.chordal.submit(order.document)
        except REFUSALS:
            self.doubtful[order.goal] = order
            raise
        self.goals[order.goal] = order
        self.running.add(order.goal)

    def ended(self, goal: str) -> bool:
        """Whether the goal is terminal, or gone."""
        record = self.redis.hget(self.chordal.store.keys.goal(goal), "state")
        return record in (None, "DONE", "FAILED", "CANCELLED")

    def warm(self) -> bool:
        """Whether the fleet works: the first goal has ended, so another was submitted."""
        return len(self.goals) > self.open_goals

    def exists(self, goal: str) -> bool:
        try:
            return bool(self.chordal.summary(goal))
        except GoalNotFound:
            return False

    def held_by(self, pids: Collection[int]) -> set[tuple[str, str, int]]:
        """The leases that these processes hold, as the server has it: goal, node, token."""
        store, found = self.chordal.store, set()
        for goal in list(self.running) if pids else ():
            for name in store.client.zrange(store.keys.part(goal, "leases"), 0, -1):
                holder = store.nodes.holder(goal, name)
                if holder is not None and int(holder[2].split("/")[1]) in pids:
                    found.add((goal, str(name), holder[0]))
        return found

    def wait(self, condition: Callable[[], Any], seconds: float, what: str = "") -> Any:
        """The first true answer of the condition; None at the deadline, which is noted as a violation if `what` is said."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            self.tick()
            with suppress(*REFUSALS):
                if answer := condition():
                    return answer
            time.sleep(TICK_SECONDS)
        if what:
            self.violations.append(f"not within {seconds:g} s: {what}")
        return None

    def go_on(self, seconds: float) -> None:
        """Let everything run for a while."""
        self.wait(lambda: False, seconds)

    def note(self, text: str) -> None:
        """What the fault in hand found out, for the record."""
        self.notes.append(text)

    def keep_logs(self) -> None:
        """Save what the processes logged, for a person to look at."""
        kept = tempfile.mkdtemp(prefix="chordal-chaos-logs-")
        shutil.copytree(self.folder, kept, dirs_exist_ok=True)
        print(f"the logs are in {kept}")

    def stop(self) -> None:
        for member in self.members:
            if member.process is not None and member.alive:
                member.process.terminate()
        for member in reversed(self.members):
            member.stop()
        for proxy in self.proxies():
            proxy.stop()
        if self.provider is not None:
            self.provider.stop()
        self.chordal.store.close()
        if self.violations:
            self.keep_logs()


@contextmanager
def place() -> Iterator[tuple[Path, bool]]:
    """A folder for the server's files, on a file system of its own where this may be mounted: (folder, whether)."""
    with tempfile.TemporaryDirectory(prefix="chordal-chaos-") as name:
        mounted = False
        if os.geteuid() == 0 and shutil.which("mount"):
            command = ["mount", "-t", "tmpfs", "-o", f"size={TMPFS}", "tmpfs", name]
            mounted = subprocess.run(command, capture_output=True, check=False).returncode == 0
        try:
            yield Path(name), mounted
        finally:
            if mounted:
                subprocess.run(["umount", "-l", name], capture_output=True, check=False)


@contextmanager
def workplace() -> Iterator[Path]:
    """A folder for the processes: logs, large outputs."""
    with tempfile.TemporaryDirectory(prefix="chordal-chaos-") as name:
        yield Path(name)


@contextmanager
def world(seed: int, workers: int = 3, tasks: bool = True, callers: int = 0) -> Iterator[World]:
    """The usual world: workers of which the last connects directly, the others through proxies, and two beats.

    With `callers` its goals call models: so many workers for that, and a provider.
    """
    with place() as (disk, own), workplace() as folder:
        server = Server(disk)
        server.start()
        provider = Provider(folder / "provider") if callers else None
        if provider is not None:
            provider.start()
        made = World(seed, server, folder, tasks=tasks, own_disk=own, provider=provider)
        try:
            for index in range(callers):
                made.add(f"llm{index}", "llm", pool=("-Q", "llm", "-c", "8", "-P", "threads"))
            for index in range(workers):
                made.add(f"w{index}", proxied=index < workers - 1)
            made.add("b0", "beat")
            made.add("b1", "beat")
            yield made
        finally:
            made.stop()
            server.stop(9)
