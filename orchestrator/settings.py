"""Every setting, its default and its unit. Read once, from the environment, where the parts are put together.

Each field is the environment variable `CHORDAL_<FIELD>`; a value given to `Settings(...)` wins. Nothing below the
composition root reads the environment.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AliasChoices, Field, SecretStr, field_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

Seconds = Annotated[float, Field(gt=0, allow_inf_nan=False)]


def default_data_dir() -> Path:
    """Where the embedded stack keeps its data: the platform's place for user data."""
    home = Path.home()
    if sys.platform == "darwin":
        return home / "Library" / "Application Support" / "chordal"
    return home / ".local" / "share" / "chordal"


class Settings(BaseSettings):
    """Chordal's settings. Times are seconds, sizes bytes."""

    model_config = SettingsConfigDict(env_prefix="CHORDAL_", frozen=True, extra="ignore", populate_by_name=True)

    redis_url: str | None = Field(None, validation_alias=AliasChoices("CHORDAL_REDIS_URL", "REDIS_URL"))
    """`redis://`, `rediss://` (TLS), `unix://`, `sentinel://host:port;host:port/db?service=name` or
    `cluster://host:port`. Without it the embedded server of the data directory is used."""
    broker_url: str | None = None
    """Celery's broker, where it is not the state's Redis (a Cluster cannot be a Celery broker)."""
    data_dir: Path = Field(default_factory=default_data_dir)
    """Embedded server, supervisor and large outputs live here."""
    imports: Annotated[tuple[str, ...], NoDecode] = ()
    """Modules that workers import: their `@node` functions and Celery tasks. Comma-separated in the environment."""
    key_prefix: str = Field("", pattern=r"^[A-Za-z0-9._:-]{0,64}$")
    """Put in front of every Redis key."""

    lease_seconds: Seconds = 3.0
    """How long a claim is valid without renewal; a node's own `lease_seconds` wins."""
    slice_seconds: Seconds = 0.05
    """How long one Celery message may go on claiming nodes before it makes room for other messages."""
    pack_limit: int = Field(16, ge=1, le=256)
    """The most short nodes that are claimed by one script."""
    node_retries: int = Field(0, ge=0, le=1000)
    """Retries of a node that fails, where the node does not say."""
    backoff_seconds: float = Field(1.0, ge=0)
    """Base of the exponential back-off between retries, where the node does not say."""
    backoff_cap_seconds: Seconds = 300.0
    """The longest back-off."""
    node_timeout_seconds: Seconds | None = None
    """Time limit of a node that does not say; none by default."""
    lost_limit: int = Field(3, ge=1)
    """How many times a node may lose its worker before it fails and is listed as dead."""
    inline_bytes: int = Field(65_536, ge=1024)
    """Outputs up to this size stay in Redis; larger ones go to `artifacts_url`."""
    output_limit_bytes: int = Field(1_073_741_824, ge=1024)
    """The largest output that is accepted."""
    artifacts_url: str | None = None
    """fsspec URL for large outputs; by default a folder in the data directory."""
    events_limit: int = Field(10_000, ge=100)
    """Events kept a goal: this many, or 8 a node, whichever is more."""
    record_digests: bool = False
    """Write into every `node.done` event what the node read and gave, as short digests, for `chordal doctor --history`."""

    llm_file: Path | None = None
    """Accounts and models, YAML or JSON (see the LLM reference); without it what `OPENAI_API_KEY` and `OPENAI_BASE_URL` say."""
    llm_max_concurrency: int = Field(
        6, ge=1, validation_alias=AliasChoices("CHORDAL_LLM_MAX_CONCURRENCY", "PORKI_LLM_MAX_CONCURRENCY")
    )
    """Model calls in flight at once on an account whose profile gives no concurrency, over the whole fleet."""
    llm_concurrency_wait_seconds: Seconds = Field(
        900.0,
        validation_alias=AliasChoices("CHORDAL_LLM_CONCURRENCY_WAIT_SECONDS", "PORKI_LLM_CONCURRENCY_WAIT_SECONDS"),
    )
    """The longest wait for a model call's turn, where the file of profiles does not say."""

    done_ttl_seconds: Seconds = 3600.0
    """A goal that is DONE is removed this long after its end."""
    failed_ttl_seconds: Seconds = 86_400.0
    """A goal that FAILED is removed this long after its end."""
    cancelled_ttl_seconds: Seconds = 1800.0
    """A goal that was CANCELLED is removed this long after its end."""
    building_ttl_seconds: Seconds = 60.0
    """A submission that stopped half-way is removed after this long."""
    idempotency_ttl_seconds: Seconds = 86_400.0
    """How long an idempotency key is remembered."""

    policy: str = "development"
    """Who may give which commands: `production` (nobody any), `monitoring` (PAUSE, RESUME, HOLD, RELEASE), `development` (all),
    or names of commands with commas."""
    policy_file: Path | None = None
    """A YAML file that says it by door and sender (see the commands reference); it wins over `policy`."""
    command_ttl_seconds: Seconds = 86_400.0
    """How long the id of a command is remembered."""
    audit_limit: int = Field(100_000, ge=100)
    """Entries kept in the audit trail, about."""

    webhook_url: str | None = None
    """Where outcomes of goals and nodes are posted as JSON: https, or http on this machine."""
    webhook_secret: SecretStr | None = None
    """What webhooks are signed with (HMAC-SHA256); without it they are not signed."""
    webhook_events: Annotated[tuple[str, ...], NoDecode] = ("goal.done", "goal.failed", "goal.cancelled", "node.failed")
    """Types of events that are posted, or patterns (`node.*`). Comma-separated in the environment."""
    webhook_timeout_seconds: float = Field(10.0, gt=0, le=100)
    """The longest that one post may take in all."""
    webhook_insecure: bool = False
    """Allow http to other machines."""
    notify_seconds: Seconds = 1.0
    """Beat: how often goals are looked for that have outcomes to tell webhooks and callbacks of."""
    notify_queue: str = "default"
    """The Celery queue of the messages that have a worker tell them."""
    callback_timeout_seconds: float = Field(30.0, gt=0, le=100)
    """The longest that one call of a callback may take."""
    notify_attempts: int = Field(12, ge=1, le=1000)
    """Tries to tell a receiver of one event before it is given up."""
    notify_backoff_seconds: Seconds = 2.0
    """Base of the exponential back-off between these tries; at most an hour."""
    notify_keep_seconds: Seconds = 86_400.0
    """A goal whose outcomes could not be told is not removed before its end is so long ago."""

    reap_seconds: Seconds = 1.0
    """Beat: how often expired leases, due timers and lost messages are looked for."""
    scan_seconds: Seconds = 1.0
    """Beat: how often worker heartbeats are scanned."""
    sweep_seconds: Seconds = 10.0
    """Beat: how often every open goal is looked at, whatever the index says."""
    ttl_seconds: Seconds = 1.0
    """Beat: how often goals are removed whose time has passed."""
    hygiene_seconds: Seconds = 10.0
    """Beat: how often the next 2,000 keys are looked at for what goals left behind."""
    metrics_seconds: Seconds = 10.0
    """Beat: how often what was counted is written into the timelines."""
    health_seconds: Seconds = 30.0
    """Beat: how often a sample of Redis is taken."""
    order_seconds: Seconds = 5.0
    """Beat: how often commands are looked for that were begun and not finished."""
    llm_tick_seconds: Seconds = 5.0
    """Beat: how often lines of model calls are looked for that no process tends."""
    archive_hook: str = Field("", pattern=r"^([A-Za-z_][\w.]*:[A-Za-z_][\w.]*)?$")
    """A function, `module:function`, that beat calls with the whole of a goal (a dict) before it is removed. Where it fails the
    goal stays, and it is called again 30 s later."""
    dispatch_seconds: Seconds = 2.0
    """An invitation that no worker took within this long, or three times the queue's usual wait, is sent again."""
    heartbeat_seconds: Seconds = 2.0
    """Beat and the watcher of heartbeat files: how often they are looked at where the system tells of no change."""
    worker_stale_seconds: Seconds = 5.0
    """A worker that was silent this long counts as dead."""
    duty_limit: int = Field(500, ge=1)
    """The most goals that one tick of a beat duty handles."""

    log_level: str = "INFO"
    """Of the workers and beat that `chordal up` starts; `-l` of `celery` for others."""
    """The least severe messages that are logged: DEBUG, INFO, WARNING or ERROR."""
    log_style: Literal["concise", "event", "json"] = "concise"
    """`concise`: one line for people; `event`: `key=value` pairs; `json`: one JSON object a line."""
    log_json: bool = False
    """The same as the style `json`."""

    @field_validator("imports", "webhook_events", mode="before")
    @classmethod
    def _split(cls, value: object) -> object:
        return tuple(part.strip() for part in value.split(",") if part.strip()) if isinstance(value, str) else value

    @property
    def resolved_artifacts_url(self) -> str:
        """Where large outputs go."""
        return self.artifacts_url or f"file://{self.data_dir / 'artifacts'}"
