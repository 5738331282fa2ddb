"""Every setting, its default and its unit. Read once, from the environment, where the parts are put together.

Each field is the environment variable `CHORDAL_<FIELD>`; a value given to `Settings(...)` wins. Nothing below the
composition root reads the environment.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

from pydantic import AliasChoices, Field, field_validator
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

    reap_seconds: Seconds = 1.0
    """Beat: how often expired leases, due timers and lost messages are looked for."""
    scan_seconds: Seconds = 1.0
    """Beat: how often worker heartbeats are scanned."""
    sweep_seconds: Seconds = 10.0
    """Beat: how often every open goal is looked at, whatever the index says."""
    dispatch_seconds: Seconds = 2.0
    """An invitation that no worker took within this long, or three times the queue's usual wait, is sent again."""
    worker_stale_seconds: Seconds = 5.0
    """A worker that was silent this long counts as dead."""
    duty_limit: int = Field(500, ge=1)
    """The most goals that one tick of a beat duty handles."""

    log_level: str = "INFO"
    """Of the workers and beat that `chordal up` starts; `-l` of `celery` for others."""
    """The least severe messages that are logged: DEBUG, INFO, WARNING or ERROR."""
    log_json: bool = False
    """One JSON object a line in place of console text."""

    @field_validator("imports", mode="before")
    @classmethod
    def _split(cls, value: object) -> object:
        return tuple(part.strip() for part in value.split(",") if part.strip()) if isinstance(value, str) else value

    @property
    def resolved_artifacts_url(self) -> str:
        """Where large outputs go."""
        return self.artifacts_url or f"file://{self.data_dir / 'artifacts'}"
