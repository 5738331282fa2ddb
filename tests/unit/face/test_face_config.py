"""The configurations of nFactorial: names, defaults, what each becomes, and what is refused."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from pydantic import ValidationError

from orchestrator.face.config import (
    AgentWorkerConfig,
    MaintenanceWorkerConfig,
    MetricsTimelineConfig,
    ObservabilityConfig,
    TaskTTLConfig,
)
from orchestrator.face.errors import UnsupportedOption
from orchestrator.face.fleet import shape_of
from orchestrator.settings import Settings


def test_names_and_defaults_are_nfactorials() -> None:
    assert AgentWorkerConfig().model_dump() == {
        "workers": 1, "batch_size": 25, "max_retries": 5, "heartbeat_interval": 5, "missed_heartbeats_threshold": 5,
        "missed_heartbeats_grace_period": 5, "turn_timeout": 120,
    }  # fmt: skip
    assert TaskTTLConfig().model_dump() == {"completed_ttl": 3600, "failed_ttl": 86_400, "cancelled_ttl": 1800}
    upkeep = MaintenanceWorkerConfig()
    assert (upkeep.interval, upkeep.workers, upkeep.max_cleanup_batch) == (10, 1, 100)
    timeline = upkeep.metrics_timeline
    assert (timeline.timeline_duration, timeline.bucket_size, timeline.retention_multiplier) == (3600, "minutes", 2.0)
    assert ObservabilityConfig().port == 8080


def test_a_dropped_task_is_taken_back_after_thirty_seconds_at_the_latest() -> None:
    assert AgentWorkerConfig().stale_seconds == 30.0
    assert AgentWorkerConfig(heartbeat_interval=1, missed_heartbeats_threshold=2).stale_seconds == 7.0


def test_only_what_is_set_changes_the_limits_of_an_agent() -> None:
    assert AgentWorkerConfig().limits() == {}
    assert AgentWorkerConfig(max_retries=2, turn_timeout=9).limits() == {"max_retries": 2, "turn_timeout_seconds": 9}


def test_upkeep_becomes_settings_that_exist() -> None:
    config = MaintenanceWorkerConfig(interval=20, max_cleanup_batch=7, task_ttl=TaskTTLConfig(completed_ttl=5))
    made = Settings(**config.settings())
    assert (made.sweep_seconds, made.duty_limit, made.done_ttl_seconds) == (20.0, 7, 5.0)
    assert (made.failed_ttl_seconds, made.cancelled_ttl_seconds) == (86_400.0, 1800.0)


@pytest.mark.parametrize(
    ("make", "field"),
    [
        (lambda: MaintenanceWorkerConfig(workers=2), "MaintenanceWorkerConfig.workers"),
        (lambda: MetricsTimelineConfig(timeline_duration=7200), "MetricsTimelineConfig.timeline_duration"),
        (lambda: MetricsTimelineConfig(bucket_size="hours"), "MetricsTimelineConfig.bucket_size"),
        (lambda: MetricsTimelineConfig(retention_multiplier=3.0), "MetricsTimelineConfig.retention_multiplier"),
        (lambda: ObservabilityConfig(enabled=True), "ObservabilityConfig.enabled"),
        (lambda: AgentWorkerConfig(workers=256, batch_size=25), "AgentWorkerConfig.workers x batch_size"),
    ],
)
def test_what_is_not_done_is_refused_by_name_with_a_remedy(make: Callable[[], Any], field: str) -> None:
    with pytest.raises(UnsupportedOption) as refused:
        make()
    assert refused.value.field == field
    assert str(refused.value).startswith(f"{field} is not supported here: ")
    assert "`" in str(refused.value).partition(". ")[2]  # a command that helps


@pytest.mark.parametrize("wrong", [{"workers": 0}, {"turn_timeout": 0}, {"batch": 3}, {"max_retries": -1}])
def test_values_out_of_bounds_and_unknown_names_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        AgentWorkerConfig(**wrong)


def test_the_fleet_has_room_for_the_turns_of_all_runners() -> None:
    shape = shape_of([AgentWorkerConfig(), AgentWorkerConfig(workers=5, batch_size=10)], [])
    assert (shape.turns_at_once, shape.slots) == (75, 3)
    assert shape.settings == {"llm_max_concurrency": 75}
    assert shape_of([AgentWorkerConfig()], [], {"llm_max_concurrency"}).settings == {}
    lines = shape.commands(["desk"])
    assert lines[0] == "export CHORDAL_IMPORTS=desk"
    assert lines[-2:] == ["celery -A orchestrator worker -Q llm -P threads -c 75", "celery -A orchestrator beat"]


def test_two_runners_cannot_differ_in_the_upkeep_of_the_fleet() -> None:
    same = [MaintenanceWorkerConfig(), MaintenanceWorkerConfig()]
    assert shape_of([], same).settings["duty_limit"] == 100
    with pytest.raises(UnsupportedOption, match="sweep_seconds"):
        shape_of([], [*same, MaintenanceWorkerConfig(interval=30)])
