"""One connection's operations together."""

from __future__ import annotations

import os
import threading
from typing import Any

from orchestrator.store.agents import AgentStore
from orchestrator.store.changes import ChangeStore
from orchestrator.store.connection import open_client
from orchestrator.store.control import ControlStore
from orchestrator.store.files import FileStore
from orchestrator.store.fleet import FleetStore
from orchestrator.store.goals import GoalStore
from orchestrator.store.keys import Keys
from orchestrator.store.llm import LlmStore
from orchestrator.store.looking import LookStore
from orchestrator.store.nodes import NodeStore
from orchestrator.store.scripts import Scripts
from orchestrator.store.streams import ChunkStore
from orchestrator.store.tell import TellStore
from orchestrator.store.upkeep import UpkeepStore


class Store:
    """The operations on one Redis. Sockets are opened on first use, and anew in a forked child."""

    def __init__(self, url: str, keys: Keys, dispatch_ms: int) -> None:
        self.url = url
        self.keys = keys
        self._dispatch_ms = dispatch_ms
        self._lock = threading.Lock()
        self._pid = 0
        self._client: Any = None

    def _open(self) -> None:
        with self._lock:
            if self._pid == os.getpid():
                return
            self._client = open_client(self.url)
            scripts = Scripts(self._client)
            self._goals = GoalStore(self._client, self.keys, scripts, self._dispatch_ms)
            self._nodes = NodeStore(self._client, self.keys, scripts, self._dispatch_ms)
            self._fleet = FleetStore(self._client, self.keys, scripts)
            self._chunks = ChunkStore(self._client, self.keys)
            self._llm = LlmStore(self._client, self.keys, scripts)
            self._agents = AgentStore(self._client, self.keys, scripts, self._dispatch_ms)
            self._control = ControlStore(self._client, self.keys, scripts)
            self._files = FileStore(self._client, self.keys, scripts)
            self._upkeep = UpkeepStore(self._client, self.keys, scripts)
            self._look = LookStore(self._client, self.keys)
            self._changes = ChangeStore(self._client, self.keys, scripts, self._dispatch_ms)
            self._tell = TellStore(self._client, self.keys, scripts)
            self._pid = os.getpid()

    @property
    def client(self) -> Any:
        """The redis-py client, for tests and tools; the code of Chordal uses the operations."""
        if self._pid != os.getpid():
            self._open()
        return self._client

    @property
    def goals(self) -> GoalStore:
        """Operations on whole goals."""
        if self._pid != os.getpid():
            self._open()
        return self._goals

    @property
    def nodes(self) -> NodeStore:
        """Operations on nodes."""
        if self._pid != os.getpid():
            self._open()
        return self._nodes

    @property
    def fleet(self) -> FleetStore:
        """Heartbeats."""
        if self._pid != os.getpid():
            self._open()
        return self._fleet

    @property
    def chunks(self) -> ChunkStore:
        """Pieces of models' answers."""
        if self._pid != os.getpid():
            self._open()
        return self._chunks

    @property
    def llm(self) -> LlmStore:
        """Operations on accounts of LLM calls."""
        if self._pid != os.getpid():
            self._open()
        return self._llm

    @property
    def agents(self) -> AgentStore:
        """Operations on agents."""
        if self._pid != os.getpid():
            self._open()
        return self._agents

    @property
    def control(self) -> ControlStore:
        """Commands, their trail, and the holds of the fleet."""
        if self._pid != os.getpid():
            self._open()
        return self._control

    @property
    def files(self) -> FileStore:
        """Heartbeat files."""
        if self._pid != os.getpid():
            self._open()
        return self._files

    @property
    def upkeep(self) -> UpkeepStore:
        """What beat keeps."""
        if self._pid != os.getpid():
            self._open()
        return self._upkeep

    @property
    def look(self) -> LookStore:
        """Questions of operators."""
        if self._pid != os.getpid():
            self._open()
        return self._look

    @property
    def changes(self) -> ChangeStore:
        """What commands change of goals and nodes."""
        if self._pid != os.getpid():
            self._open()
        return self._changes

    @property
    def tell(self) -> TellStore:
        """Who is told of events, and how far."""
        if self._pid != os.getpid():
            self._open()
        return self._tell

    def close(self) -> None:
        """Give the sockets back."""
        if self._client is not None and self._pid == os.getpid():
            self._client.close()
        self._pid = 0
