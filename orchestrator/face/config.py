"""The configurations of nFactorial, with its names and defaults.

Every field is honoured, as its text says, or refused with the remedy when it is set to what Chordal does not do. Nothing is
ignored in silence. Times are seconds.
"""

from __future__ import annotations

from typing import Annotated, Any, Final, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from orchestrator.face.errors import UnsupportedOption

Seconds = Annotated[float, Field(gt=0, le=86_400, allow_inf_nan=False)]
MOST_TURNS_AT_ONCE: Final = 4096


class _Config(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    def _refuse(self, field: str, why: str, remedy: str) -> None:
        """Refuse a field that has another value than its default."""
        if getattr(self, field) != type(self).model_fields[field].get_default(call_default_factory=True):
            raise UnsupportedOption(f"{type(self).__name__}.{field}", why, remedy)


class AgentWorkerConfig(_Config):
    """How an agent's tasks are carried out. Raises pydantic.ValidationError for a value out of bounds."""

    workers: int = Field(1, ge=1, le=256)
    """Slots for tools (of the Celery workers that `run` starts, two at least), and a factor of the turns at once."""
    batch_size: int = Field(25, ge=1, le=MOST_TURNS_AT_ONCE)
    """`workers` x `batch_size` turns wait for a model at once: threads of the llm worker, and the concurrency of an account
    whose profile gives none. A slow task holds no batch: each has a thread of its own."""
    max_retries: int = Field(5, ge=0, le=1000)
    """`AgentLimits.max_retries` of the agent's tasks, where it is set here."""
    heartbeat_interval: int = Field(5, ge=1, le=3600)
    """With the next two the longest time after which a dropped task is taken back, `stale_seconds`: interval x threshold +
    grace. The lease of the task's node is that long, or the setting `lease_seconds` (3 s) if that is shorter."""
    missed_heartbeats_threshold: int = Field(5, ge=1, le=1000)
    """See `heartbeat_interval`."""
    missed_heartbeats_grace_period: int = Field(5, ge=0, le=3600)
    """See `heartbeat_interval`."""
    turn_timeout: Seconds = 120
    """`AgentLimits.turn_timeout_seconds` of the agent's tasks, where it is set here."""

    @model_validator(mode="after")
    def _fits_one_machine(self) -> Self:
        if self.turns_at_once > MOST_TURNS_AT_ONCE:
            raise UnsupportedOption(
                "AgentWorkerConfig.workers x batch_size",
                f"{self.turns_at_once} turns at once are more than one llm worker's {MOST_TURNS_AT_ONCE} threads",
                "Start more llm workers on other machines: `celery -A orchestrator worker -Q llm -P threads`",
            )
        return self

    @property
    def turns_at_once(self) -> int:
        """How many turns wait for a model at once."""
        return self.workers * self.batch_size

    @property
    def stale_seconds(self) -> float:
        """After so long a task of a worker that was not heard of is taken back at the latest."""
        return float(self.heartbeat_interval * self.missed_heartbeats_threshold + self.missed_heartbeats_grace_period)

    def limits(self) -> dict[str, Any]:
        """The agent's limits that are set here; the others stay as the agent declares them."""
        names = {"max_retries": "max_retries", "turn_timeout": "turn_timeout_seconds"}
        return {ours: getattr(self, theirs) for theirs, ours in names.items() if theirs in self.model_fields_set}


class TaskTTLConfig(_Config):
    """How long an ended task is kept."""

    completed_ttl: Seconds = 3600
    """The setting `done_ttl_seconds`."""
    failed_ttl: Seconds = 86_400
    """The setting `failed_ttl_seconds`."""
    cancelled_ttl: Seconds = 1800
    """The setting `cancelled_ttl_seconds`."""


class MetricsTimelineConfig(_Config):
    """The timeline of metrics, which Chordal does not keep: other values than the defaults are refused."""

    timeline_duration: int = 3600
    """Refused if set."""
    bucket_size: Literal["seconds", "minutes", "hours", "days"] = "minutes"
    """Refused if set."""
    retention_multiplier: float = 2.0
    """Refused if set."""

    @model_validator(mode="after")
    def _not_kept(self) -> Self:
        for field in type(self).model_fields:
            self._refuse(
                field,
                "no timeline of metrics is kept",
                "Leave it out; counts and times follow from each goal's events (`chordal events`), the line before the "
                "models shows in `chordal llm status`, and Flower draws Celery's",
            )
        return self


class MaintenanceWorkerConfig(_Config):
    """The upkeep, which is beat's. It is the fleet's: two runners cannot differ in it."""

    interval: Seconds = 10
    """The setting `sweep_seconds`: how often every open goal is looked at. What is due is looked for every second besides."""
    workers: int = Field(1, ge=1)
    """One. More are refused: of several beats one ticks and the others stand by."""
    task_ttl: TaskTTLConfig = TaskTTLConfig()
    """How long ended tasks are kept."""
    max_cleanup_batch: int = Field(100, ge=1)
    """The setting `duty_limit`: the most tasks that one round of upkeep handles."""
    metrics_timeline: MetricsTimelineConfig = MetricsTimelineConfig()
    """Not kept; see there."""

    @model_validator(mode="after")
    def _one_beat(self) -> Self:
        self._refuse(
            "workers",
            "the upkeep is one process, beat",
            "Leave it out; for a stand-by start `celery -A orchestrator beat` on another machine",
        )
        return self

    def settings(self) -> dict[str, Any]:
        """The settings that follow."""
        ttl = self.task_ttl
        return {
            "sweep_seconds": float(self.interval),
            "duty_limit": self.max_cleanup_batch,
            "done_ttl_seconds": float(ttl.completed_ttl),
            "failed_ttl_seconds": float(ttl.failed_ttl),
            "cancelled_ttl_seconds": float(ttl.cancelled_ttl),
        }


class ObservabilityConfig(_Config):
    """The dashboard of nFactorial, which had no login and listened everywhere. Here it is off, and turning it on is refused."""

    enabled: bool = False
    """Refused if true (there it is true by default)."""
    host: str = "127.0.0.1"
    """Without `enabled` nothing listens, so it has no effect, as there."""
    port: int = Field(8080, ge=1, le=65_535)
    """As `host`."""
    cors_origins: tuple[str, ...] = ()
    """As `host`."""
    dashboard_name: str | None = None
    """As `host`."""

    @model_validator(mode="after")
    def _no_dashboard(self) -> Self:
        self._refuse(
            "enabled",
            "this process serves no dashboard",
            "Leave it out; look with `chordal watch`, `chordal agents` and `chordal transcript`, or start Flower",
        )
        return self
