"""Which models there are, who serves them under which limits, and what takes over: one settings file, read strictly."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Annotated, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationInfo, field_validator
from pydantic_core import PydanticCustomError

from orchestrator.llm.address import fault_of_url
from orchestrator.llm.failures import BACKOFF_CAP_SECONDS, FIRST_BACKOFF_SECONDS, UnknownModel
from orchestrator.llm.limits import Charges, Limits

Seconds = Annotated[float, Field(gt=0, le=86_400, allow_inf_nan=False)]
Rate = Annotated[int, Field(ge=1)]
Dollars = Annotated[float, Field(ge=0, le=1_000_000, allow_inf_nan=False)]
NAME: Final = r"^[A-Za-z0-9][A-Za-z0-9._:/-]{0,127}$"
Name = Annotated[str, Field(pattern=NAME)]


class _Record(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, hide_input_in_errors=True)


class Kind(StrEnum):
    """What is particular about a provider."""

    OPENAI = "openai"  # limits on requests and tokens together; `max_completion_tokens`
    ANTHROPIC = "anthropic"  # limits on input and output tokens apart, cached input is not counted; `max_tokens`
    SELF_HOSTED = "self-hosted"  # a server of your own, mostly limited by concurrency; `max_tokens`; free unless priced
    SCRIPTED = "scripted"  # no provider: answers come from a file, for tests and demonstrations; free unless priced


_FREE: Final = frozenset({Kind.SELF_HOSTED, Kind.SCRIPTED})
"""Kinds that cost nothing where nobody says what they cost."""


class LimitsProfile(_Record):
    """What an account may do in any window of time. What is left out is not limited."""

    requests_per_minute: Rate | None = None
    """Requests in any window."""
    input_tokens_per_minute: Rate | None = None
    """Input tokens in any window."""
    output_tokens_per_minute: Rate | None = None
    """Output tokens in any window."""
    tokens_per_minute: Rate | None = None
    """Input and output tokens together in any window."""
    concurrency: Rate | None = None
    """Calls at the same time, over the whole fleet."""
    window_seconds: Seconds = 60.0
    """The length of the window; with 60 the limits are what providers call per minute."""
    burst_seconds: float | None = Field(None, ge=0, allow_inf_nan=False)
    """How far calls may go out ahead of an even pace; a sixtieth of the window where it is left out."""
    breaker_failures: Rate = 5
    """So many failures of the provider in a row open the circuit breaker."""
    breaker_seconds: Seconds = 10.0
    """How long it stays open the first time."""
    charges: Charges | None = None
    """What the provider counts against limits of tokens: what a call `used`, or what it `reserved`. Without it: `reserved`
    for the kind `openai`, which counts `max_completion_tokens` and gives nothing back; else `used`."""

    def as_limits(self, kind: Kind) -> Limits:
        """As the limiter takes them, for an account of this kind."""
        charges = self.charges or ("reserved" if kind is Kind.OPENAI else "used")
        return Limits(**self.model_dump(exclude={"charges"}), charges=charges)


class Price(_Record):
    """What a model costs, in US dollars a million tokens; it wins over the built-in table."""

    input: Dollars
    """Input tokens."""
    cached_input: Dollars | None = None
    """Input tokens that the provider had in its cache; as other input where it is left out."""
    output: Dollars
    """Output tokens."""


class Account(_Record):
    """One key at one provider: everything that shares its limits."""

    kind: Annotated[Kind, Field(strict=False)] = Kind.OPENAI
    """What is particular about the provider."""
    base_url: str = Field("", validate_default=True)
    """Where its OpenAI-compatible API is, `https://api.openai.com/v1` for one. Link-local and metadata addresses are
    refused, redirects are not followed. Required, but of the kind `scripted`, which has none."""
    script: str | None = Field(None, min_length=1, max_length=1000, validate_default=True)
    """Kind `scripted`: the file with the answers, relative to the profiles' file."""
    api_key_env: Annotated[str, Field(pattern=r"^[A-Z][A-Z0-9_]{0,127}$")] | None = None
    """Name of the environment variable that holds the key. The key itself never stands in the file."""
    api: Literal["chat", "responses"] = "chat"
    """Which API is spoken: chat completions or responses."""
    organization: str | None = Field(None, max_length=128)
    """OpenAI's organisation, if the key has several."""
    project: str | None = Field(None, max_length=128)
    """OpenAI's project, if the key has several."""
    provider: str | None = Field(None, pattern=r"^[a-z0-9-]{1,64}$")
    """Whose prices the built-in table is asked for; `openai` or `anthropic` after the kind, none if self-hosted."""
    limits: LimitsProfile = LimitsProfile()
    """What the account may do."""
    timeout_seconds: Seconds = 120.0
    """Time limit of one attempt by the wall clock, from the connection to the last byte."""
    lease_seconds: float = Field(5.0, ge=2, le=3600, allow_inf_nan=False)
    """How long a permit is valid without renewal; the process that makes the call renews it. So long the slots of a
    process that was killed stay taken, and a process that stands still longer than this is taken for dead."""
    connect_seconds: Seconds = 10.0
    """Time limit of a connection."""
    silence_seconds: Seconds = 60.0
    """The longest wait for the next byte."""

    @field_validator("base_url")
    @classmethod
    def _callable(cls, value: str, info: ValidationInfo) -> str:
        if info.data.get("kind") is Kind.SCRIPTED:
            if value:
                raise ValueError("an account of the kind 'scripted' calls nobody: leave it out")
            return value
        if not value:
            raise PydanticCustomError("missing", "it is missing")
        if fault := fault_of_url(value):
            raise ValueError(fault)
        return value.rstrip("/")

    @field_validator("script")
    @classmethod
    def _of_its_kind(cls, value: str | None, info: ValidationInfo) -> str | None:
        scripted = info.data.get("kind") is Kind.SCRIPTED
        if scripted and value is None:
            raise PydanticCustomError("missing", "it is missing")
        if value is not None and not scripted and "kind" in info.data:
            raise ValueError("only accounts of the kind 'scripted' have one")
        return value

    @property
    def free(self) -> bool:
        """Do its calls cost nothing where no price is known?"""
        return self.kind in _FREE

    @property
    def price_provider(self) -> str | None:
        """Whose prices count."""
        return self.provider or (None if self.free else self.kind.value)


class Model(_Record):
    """A model as requests name it."""

    account: Name
    """The account that serves it."""
    name: str | None = Field(None, min_length=1, max_length=128)
    """The provider's name of it; the key of this entry where it is left out."""
    context_tokens: Rate = 128_000
    """Input and output tokens that fit into one call."""
    max_output_tokens: Rate = 16_384
    """The largest reservation."""
    encoding: str | None = Field(None, pattern=r"^[a-z0-9_]{1,32}$")
    """How its tokens are counted: `o200k_base` or `cl100k_base`; known for OpenAI's models, else counted high."""
    price: Price | None = None
    """What it costs, if the built-in table does not know or is wrong."""
    limits: LimitsProfile | None = None
    """What this model may do, beside what its account may; counted under the name `account/model`."""


class Retry(_Record):
    """When an attempt is repeated: exponential back-off with full jitter, as in `orchestrator.domain.retry`."""

    attempts: int = Field(5, ge=1, le=100)
    """Attempts at one model before the next of the chain, or the error."""
    backoff_seconds: float = Field(FIRST_BACKOFF_SECONDS, ge=0, le=3600, allow_inf_nan=False)
    """Base of the back-off."""
    backoff_cap_seconds: Seconds = BACKOFF_CAP_SECONDS
    """The longest back-off."""


class Profiles(_Record):
    """The whole file."""

    accounts: dict[Name, Account] = Field(min_length=1)
    """Accounts by name."""
    models: dict[Name, Model] = Field(min_length=1)
    """Models by the name that requests use."""
    chains: dict[Name, Annotated[tuple[Name, ...], Field(strict=False, min_length=1)]] = Field(default_factory=dict)
    """Fallback chains by name: models in the order in which they are asked. The chain `default`, if there is one, is
    what callers without a wish get."""
    retry: Retry = Retry()
    """Repetition of failed attempts."""
    wait_seconds: Seconds = 900.0
    """The longest wait in the queue."""
    total_seconds: Seconds = 3600.0
    """The longest a call may take with all its waits, attempts and models."""

    def chain(self, name: str) -> list[str]:
        """The models to ask, in order, for what a request names. Raises UnknownModel."""
        if name in self.chains:
            return list(self.chains[name])
        if name in self.models:
            return [name]
        raise UnknownModel(f"there is no model or chain {name!r}; known: {', '.join([*self.models, *self.chains])}")

    def default(self) -> str:
        """What callers without a wish get: the chain `default`, or the only model. Raises UnknownModel."""
        if "default" in self.chains:
            return "default"
        if len(self.models) == 1:
            return next(iter(self.models))
        known = ", ".join([*self.models, *self.chains])
        raise UnknownModel(f"name a model, or write a chain `default` into the profiles; known: {known}")

    def limits(self) -> dict[str, Limits]:
        """The limits of every account, as the limiter takes them."""
        return {name: account.limits.as_limits(account.kind) for name, account in self.accounts.items()}

    def model_and_account(self, name: str) -> tuple[Model, Account]:
        """A model of the file and the account that serves it. Raises UnknownModel."""
        if name not in self.models:
            raise UnknownModel(f"there is no model {name!r}; known: {', '.join(self.models)}")
        return self.models[name], self.accounts[self.models[name].account]


def api_key(account: Account, environ: Mapping[str, str]) -> str | None:
    """The account's key, from the environment variable that its profile names; None if it needs none."""
    return environ.get(account.api_key_env) if account.api_key_env else None
