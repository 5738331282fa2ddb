"""What an Orchestrator makes of its arguments, before anything is connected."""

from __future__ import annotations

import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from orchestrator.agents.agent import Agent
from orchestrator.embedded.errors import StackStopped
from orchestrator.face.cards import cards_of, modules_of
from orchestrator.face.config import AgentWorkerConfig, MaintenanceWorkerConfig
from orchestrator.face.errors import UnsupportedOption
from orchestrator.face.orchestrator import Orchestrator
from orchestrator.settings import Settings


def here(word: str) -> str:
    """A tool of this module."""
    return word


INNER = Agent("face-inner", tools=[here])
OUTER = Agent("face-outer", tools=[INNER], queue="fast")


@pytest.mark.parametrize(
    ("given", "url"),
    [
        ({"redis_host": "r1"}, "redis://r1:6379/0"),
        ({"redis_host": "r1", "redis_port": 7000, "redis_db": 2}, "redis://r1:7000/2"),
        ({"redis_port": 7000}, "redis://localhost:7000/0"),
        ({"redis_url": "rediss://r2/1", "redis_host": "r1"}, "rediss://r2/1"),
        ({}, None),
    ],
)
def test_where_redis_is(given: dict[str, Any], url: str | None) -> None:
    assert Orchestrator(**given).settings.redis_url == url


def test_other_settings_stay_and_a_namespace_goes_before_every_key() -> None:
    made = Orchestrator(namespace="shop", settings=Settings(lease_seconds=9.0, redis_url="redis://r/0"))
    assert (made.settings.key_prefix, made.settings.lease_seconds) == ("shop:", 9.0)
    assert made.settings.redis_url == "redis://r/0"
    assert "done_ttl_seconds" not in made.settings.model_fields_set


@pytest.mark.parametrize("given", [{"redis_pool": object()}, {"redis_max_connections": 80}, {"xai_api_key": "k"}])
def test_arguments_that_mean_nothing_here_are_refused(given: dict[str, Any]) -> None:
    with pytest.raises(UnsupportedOption, match=next(iter(given))):
        Orchestrator(**given)
    assert Orchestrator(redis_max_connections=50).settings.redis_url is None


def test_a_task_brings_the_agents_along_that_its_agent_may_ask() -> None:
    assert [card.name for card in cards_of(OUTER)] == ["face-outer", "face-inner"]
    assert modules_of(OUTER) == [__name__]


def test_runners_shape_the_fleet_and_the_limits_of_tasks() -> None:
    made = Orchestrator(redis_url="redis://r/0", imports=["extra"])
    made.register_runner(OUTER, AgentWorkerConfig(workers=6, max_retries=1), MaintenanceWorkerConfig(interval=20))
    assert made.config_of("face-outer").max_retries == 1
    assert made.config_of("other").max_retries == 5
    assert made.get_agent("face-outer") is OUTER
    assert made.get_agent("other") is None
    lines = made.fleet_commands()
    assert "export CHORDAL_SWEEP_SECONDS=20.0" in lines
    assert f"export CHORDAL_IMPORTS=extra,{__name__}" in lines
    assert "celery -A orchestrator worker -c 3 -Q default,fast" in lines
    with pytest.raises(UnsupportedOption):
        made.register_runner(INNER, None, MaintenanceWorkerConfig(interval=30))
    assert made.get_agent("face-inner") is None


def test_tools_of_the_main_script_are_imported_by_its_name(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    script = ModuleType("__main__")
    script.__file__ = str(tmp_path / "my_agents.py")
    script.__spec__ = None
    monkeypatch.setitem(sys.modules, "__main__", script)
    monkeypatch.setattr("orchestrator.face.orchestrator.modules_of", lambda _: ["__main__"])
    made = Orchestrator(redis_url="redis://r/0")
    made.register_runner(OUTER)
    assert "export CHORDAL_IMPORTS=my_agents" in made.fleet_commands()


def test_subscribing_needs_somebody() -> None:
    made = Orchestrator(redis_url="redis://r/0")
    with pytest.raises(UnsupportedOption, match="owner_id"):
        next(made.subscribe_to_updates_sync())
    with pytest.raises(UnsupportedOption, match="until_ended"):
        next(made.subscribe_to_updates_sync("ann", until_ended=True))


def test_a_signal_while_the_processes_start_ends_the_run_quietly(monkeypatch: pytest.MonkeyPatch) -> None:
    made = Orchestrator(redis_url="redis://r/0")
    stopped: list[bool] = []

    def start() -> None:
        raise StackStopped("the stack was told to stop before it was ready")

    monkeypatch.setattr(made, "start", start)
    monkeypatch.setattr(made, "stop", lambda: stopped.append(True))
    made.run()
    assert stopped == [True]
