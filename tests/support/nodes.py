"""Processes in the place of pytest-celery's containers: the same tests can run on its containers where Docker is."""

from __future__ import annotations

import signal as signals
from collections.abc import Callable
from typing import Any

from pytest_celery import CeleryTestBackend, CeleryTestBroker

from orchestrator.app import broker_url
from orchestrator.settings import Settings
from support.servers import Proc, Server


class ProcessNode:
    """What pytest-celery asks of a container, answered by a process."""

    def __init__(self, name: str, start: Callable[[], Proc]) -> None:
        self.name = self.id = name
        self.celeryconfig: dict[str, Any] = {}
        self._start = start
        self._proc = start()

    @property
    def status(self) -> str:
        return "running" if self._proc.process.poll() is None else "exited"

    def ready(self) -> bool:
        return self.status == "running"

    def logs(self) -> str:
        return self._proc.text()

    def kill(self, signal: str | int = "SIGKILL") -> None:
        self._proc.kill(getattr(signals, signal) if isinstance(signal, str) else signal)
        self._proc.process.wait(20)

    def restart(self, **_: Any) -> None:
        if self.status == "running":
            self._proc.end()
        self._proc = self._start()

    def reload(self) -> None:
        """A process has nothing to read anew."""

    def teardown(self) -> None:
        self._proc.end()


class _Running:
    """A server that the session's fixture starts and stops."""

    def __init__(self, server: Server) -> None:
        url = broker_url(Settings(redis_url=server.url))
        self.name = self.id = "valkey"
        self.status = "running"
        result = url.replace("redis+socket", "socket")
        self.celeryconfig = {
            "url": url,
            "host_url": url,
            "hostname": "localhost",
            "port": 0,
            "vhost": "0",
            "result": result,
        }

    def ready(self) -> bool:
        return True

    def logs(self) -> str:
        return ""

    def teardown(self) -> None:
        """Ended with the session."""


def redis_nodes(server: Server) -> tuple[CeleryTestBroker, CeleryTestBackend]:
    """The session's server as broker and as backend."""
    return CeleryTestBroker(_Running(server)), CeleryTestBackend(_Running(server))
