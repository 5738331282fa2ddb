"""The migration page names every field, state and word that there is."""

from __future__ import annotations

import inspect

import pytest
from pydantic import BaseModel

from orchestrator.face import config, words
from orchestrator.face.orchestrator import Orchestrator
from orchestrator.face.status import TaskStatus
from support.house import ROOT

PAGE = (ROOT / "docs/how-to/migrate-from-factorial.md").read_text("utf-8")
CONFIGS = [
    config.AgentWorkerConfig, config.MaintenanceWorkerConfig, config.TaskTTLConfig, config.MetricsTimelineConfig,
    config.ObservabilityConfig,
]  # fmt: skip


@pytest.mark.parametrize("model", CONFIGS)
def test_every_field_of_a_configuration_has_a_row(model: type[BaseModel]) -> None:
    rows = [line for line in PAGE.splitlines() if line.startswith(f"| `{model.__name__}.")]
    said = " ".join(row.split("|")[1] for row in rows)
    for field in model.model_fields:
        assert f"`{model.__name__}.{field}`" in said or f"`{field}`" in said, field


@pytest.mark.parametrize("status", TaskStatus)
def test_every_state_has_a_row(status: TaskStatus) -> None:
    assert f"\n| `{status.value}` | " in PAGE


@pytest.mark.parametrize("table", [words.GOAL, words.OWN, words.TOOL, words.BATCHED, words.PENDING])
def test_every_word_of_an_update_is_there(table: dict[str, str]) -> None:
    for word in table.values():
        assert f"`{word}`" in PAGE or f"`_{word.rpartition('_')[2]}`" in PAGE, word


def test_every_argument_of_the_class_that_is_refused_is_there() -> None:
    names = list(inspect.signature(Orchestrator).parameters)
    assert {"redis_pool", "redis_max_connections", "xai_api_key", "openai_api_key"} <= set(names)
    for name in names:
        if name not in ("settings", "imports", "observability_config"):
            assert f"{name}=" in PAGE or f"`{name}`" in PAGE, name


def test_every_async_method_has_a_form_without_an_event_loop() -> None:
    found = {name for name, one in inspect.getmembers(Orchestrator, inspect.iscoroutinefunction)}
    assert {
        "enqueue_task",
        "get_task_status",
        "cancel_task",
        "steer_task",
        "complete_deferred_tool",
        "get_batch",
    } <= found
    for name in found:
        assert callable(getattr(Orchestrator, f"{name}_sync"))
