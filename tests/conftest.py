"""Fixtures that every level shares."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from orchestrator import logs
from orchestrator.store.keys import Keys
from orchestrator.store.store import Store
from support.servers import Fleet, Server, server


@pytest.fixture(autouse=True)
def _no_outside_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    """A developer's own settings must not change what the tests see."""
    for name in ("CHORDAL_REDIS_URL", "REDIS_URL", "CHORDAL_IMPORTS", "CHORDAL_DATA_DIR"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(logs, "_known", ())  # secrets of another test's settings are no secrets here


@pytest.fixture(scope="session")
def redis_server() -> Iterator[Server]:
    """One server for the whole session."""
    with server() as one:
        yield one


@pytest.fixture
def store(redis_server: Server) -> Iterator[Store]:
    """Operations on an empty server."""
    made = Store(redis_server.url, Keys(), 2000)
    made.client.flushall()
    yield made
    made.close()


@pytest.fixture
def fleet(redis_server: Server, tmp_path: Path) -> Iterator[Callable[..., Fleet]]:
    """Makes fleets on the session's server, emptied first: ``fleet(CHORDAL_IMPORTS="work", ...)``."""
    made: list[Fleet] = []

    def make(files: dict[str, str] | None = None, **env: Any) -> Fleet:
        if not made:
            client = Store(redis_server.url, Keys(), 2000)
            client.client.flushall()
            client.close()
        for name, text in (files or {}).items():
            (tmp_path / name).write_text(text)
        made.append(Fleet(redis_server.url, tmp_path, {key: str(value) for key, value in env.items()}))
        return made[-1]

    yield make
    for one in made:
        one.stop()
