"""The Redis users of the page on connections: one with which all works, one that can only look."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from orchestrator.cli.main import chordal
from orchestrator.domain.errors import RedisForbids
from orchestrator.settings import Settings
from orchestrator.store.keys import Keys
from orchestrator.store.store import Store
from orchestrator.wiring import Chordal, connect
from support.crew import Crew
from support.servers import Server, server

PAGE = Path(__file__).resolve().parents[2] / "docs" / "how-to" / "redis-connections.md"


@pytest.fixture(scope="module")
def guarded() -> Iterator[Server]:
    """A server with the users of the page."""
    with server() as one:
        admin = Store(one.url, Keys(), 2000)
        for line in re.findall(r"^ACL SETUSER .+$", PAGE.read_text("utf-8"), re.MULTILINE):
            admin.client.execute_command(*line.split())
        admin.close()
        yield one


def url(one: Server, user: str) -> str:
    return one.url.replace("unix://", f"unix://{user}:password@")


def run(one: Server, *words: str, code: int = 0) -> Result:
    result = CliRunner().invoke(chordal, ["--redis-url", url(one, "viewer"), *words])
    assert result.exit_code == code, result.output
    return result


@pytest.fixture
def goal(guarded: Server, tmp_path: Path) -> str:
    """A goal that waits and one that failed, made with the rights of the first user."""
    store = Store(url(guarded, "chordal"), Keys(), 2000)
    crew = Crew(store, tmp_path)
    crew.submit([{"id": "ask", "kind": "approval"}, {"id": "fails", "call": "ghost"}, "last"], [("ask", "last")])
    crew.duties.reap()
    crew.duties.scan()
    crew.work()
    assert store.look.refused() == []
    store.close()
    return "g"


def test_who_may_only_look_sees_everything(guarded: Server, goal: str) -> None:
    for words in (
        ("status", goal), ("show", goal), ("show", goal, "ask"), ("events", goal), ("list",), ("why", goal), ("why", goal, "last"),
        ("top",), ("workers",), ("dead", "list"), ("dead", "show", "g/fails"), ("history",),
    ):  # fmt: skip
        assert run(guarded, *words, "--json").stdout
    run(guarded, "audit")
    told = run(guarded, "doctor", code=1).stdout
    assert "FAILED  rights: this user may not: EVALSHA" in told
    assert "-       goal g: " in told, "the other checks are made all the same"


def test_and_changes_nothing(guarded: Server, goal: str) -> None:
    admin = Store(guarded.url, Keys(), 2000)
    before = admin.client.dbsize()
    for words in (("pause", goal), ("cancel", goal), ("dead", "drop", "g/fails"), ("approve", goal, "ask")):
        assert "may not do this" in run(guarded, *words, code=2).stderr
    assert admin.client.dbsize() == before
    assert admin.goals.field(goal, "state") == "RUNNING"
    admin.close()
    viewer: Chordal = connect(Settings(redis_url=url(guarded, "viewer")))
    with pytest.raises(RedisForbids):
        viewer.submit({"nodes": [{"id": "a"}]})
    viewer.store.close()
