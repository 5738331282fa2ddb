"""Chordal's processes of one measurement: beat, a worker for agents and tools, and a worker that calls the model."""

from __future__ import annotations

import sys
from subprocess import Popen

from bench.llm.flight import most_open
from bench.processes import Processes, free_port, listening, until
from bench.systems import QUIET
from orchestrator.settings import Settings
from orchestrator.wiring import Chordal, connect

ACCOUNT = "slow"
PROFILES = """
accounts: {{slow: {{kind: self-hosted, base_url: "{url}/{milliseconds}/{turns}/v1", limits: {{concurrency: {calls}}}}}}}
models: {{m: {{account: slow, encoding: o200k_base}}}}
chains: {{default: [m]}}
"""


def start_server(place: Processes) -> str:
    """The model; its URL without a path."""
    port = free_port()
    place.start("model", sys.executable, "-m", "bench.agents.tool_server", str(port))
    until(lambda: listening(port), 20, "the model listens")
    return f"http://127.0.0.1:{port}"


def start(place: Processes, url: str, milliseconds: int, turns: int, calls: int, workers: int) -> Chordal:
    """Beat and a worker of two processes for agents and tools; a client, once so many workers live."""
    file = place.folder / "models.yaml"
    file.write_text(PROFILES.format(url=url, milliseconds=milliseconds, turns=turns, calls=calls))
    place.extra |= {"CHORDAL_LLM_FILE": str(file), "CHORDAL_IMPORTS": "bench.agents.work"}
    place.celery("orchestrator", "beat")
    place.celery("orchestrator", "worker", "-n", "agents@bench", "-c", "2", *QUIET)
    chordal = connect(Settings(redis_url=place.url, data_dir=place.folder / "data", llm_file=file))
    until(lambda: chordal.live_workers() == workers, 60, "the workers have announced themselves")
    return chordal


def start_caller(place: Processes, pool: str, slots: int) -> Popen[bytes]:
    """The worker that calls the model."""
    return place.celery(
        "orchestrator", "worker", "-n", "llm@bench", "-Q", "llm", "-P", pool, "-c", str(slots), *QUIET
    )  # fmt: skip


def ready_for(chordal: Chordal, url: str, slots: int) -> None:
    """Beat has told the account of the caller's slots; the server's counter begins anew."""
    until(lambda: (chordal.limiter.status(ACCOUNT).slots or 0) >= slots, 30, "beat has published the slots")
    most_open(url)
