"""How a call of a model can fail: the classes, what each means for the next attempt, and the errors that callers see.

Texts are made of statuses, codes and names only. A provider's own message is never used: it may quote the prompt or the key.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from orchestrator.domain.errors import ChordalError, Fault
from orchestrator.llm.errors import LlmError
from orchestrator.llm.messages import Usage

FIRST_BACKOFF_SECONDS: Final = 5.0
BACKOFF_CAP_SECONDS: Final = 300.0
_CODE: Final = re.compile(r"[a-z][a-z_]{0,47}")
_RETRIED_STATUSES: Final = frozenset({408, 409, 425})


class FailureKind(StrEnum):
    """The class of a failed attempt."""

    FATAL = "fatal"  # HTTP 4xx that no repetition mends, redirects, refused addresses: never tried again
    QUOTA = "quota"  # `insufficient_quota`: never tried again, opens the account's breaker; the chain's next model
    RATE_LIMIT = "rate_limit"  # HTTP 429: the account is held as long as the provider says, then tried again
    SERVER = "server"  # HTTP 408, 409, 425 or 5xx: tried again after a back-off
    TIMEOUT = "timeout"  # no whole answer within the time limit, however it drips: tried again after a back-off
    CONNECTION = "connection"  # no connection, or it broke: tried again after a back-off
    INVALID = "invalid"  # cut off, not JSON, not of the requested schema: tried again after a back-off
    CANCELLED = "cancelled"  # the caller did not want the answer any more and the connection was cut: never tried again


_NEVER_AGAIN: Final = frozenset({FailureKind.FATAL, FailureKind.QUOTA, FailureKind.CANCELLED})


@dataclass(frozen=True, slots=True)
class Failure:
    """One attempt that failed."""

    kind: FailureKind
    code: str = ""
    """The provider's short code, or ours: `truncated`, `not_json`, `schema`, `redirect`, `address`."""
    status: int | None = None
    request_id: str = ""
    retry_after_seconds: float | None = None
    usage: Usage | None = None
    """Tokens that are known to be spent in spite of the failure."""
    sent: bool = True
    """False: the provider cannot have seen the request, so nothing is spent."""

    @property
    def retried(self) -> bool:
        """May the same model be asked again?"""
        return self.kind not in _NEVER_AGAIN

    @property
    def spends_nothing(self) -> bool:
        """Is it certain that no tokens were spent?"""
        return not self.sent or (self.status is not None and 400 <= self.status < 500 and self.status != 408)

    def __str__(self) -> str:
        said = [
            f"HTTP {self.status}" if self.status else "",
            self.code,
            self.request_id and f"request {self.request_id}",
        ]
        return f"{self.kind}: {', '.join(part for part in said if part)}".removesuffix(": ")


def of_status(status: int, codes: Sequence[object]) -> tuple[FailureKind, str]:
    """The class of an HTTP status with the provider's codes (`error.code`, `error.type`), and the code that is shown."""
    known = [code for code in codes if isinstance(code, str) and _CODE.fullmatch(code)]
    shown = known[0] if known else ""
    if "insufficient_quota" in known or status == 402:
        return FailureKind.QUOTA, "insufficient_quota"
    if status == 429:
        return FailureKind.RATE_LIMIT, shown
    if status in _RETRIED_STATUSES or status >= 500:
        return FailureKind.SERVER, shown
    return FailureKind.FATAL, shown or ("redirect" if 300 <= status < 400 else "")


class CallFailed(LlmError):
    """A call gave no answer. `failure` is the last attempt's, `attempts` how many there were at the last model."""

    def __init__(self, message: str, account: str = "", failure: Failure | None = None, attempts: int = 0) -> None:
        super().__init__(message, account)
        self.failure = failure
        self.attempts = attempts

    def __reduce__(self) -> tuple[type[CallFailed], tuple[str, str, Failure | None, int]]:
        return type(self), (str(self), self.account, self.failure, self.attempts)


class LlmRefused(CallFailed):
    """The provider refused the request for good (HTTP 400, 401, 403, 404, 422, ...). Mend the request, key or profile."""


class LlmQuotaSpent(CallFailed):
    """The account has no quota left. Pay or raise it at the provider; until then its breaker stays open."""


class LlmUnavailable(CallFailed):
    """Every attempt met limits, server errors, time-outs or broken connections. Try later or add a fallback model."""


class LlmInvalidAnswer(CallFailed):
    """Every attempt's answer was cut off, was not JSON or did not follow the schema. Look at the schema and the model."""


class LlmDeadline(LlmError):
    """The call's total time ran out. Raise `total_seconds` in the profiles, or ask for less."""


class LlmCancelled(LlmError):
    """The caller cancelled: between attempts, or while one was in flight, which was then cut off."""


class ContextTooLong(LlmError):
    """The request and its reservation do not fit into the model's context. Shorten one, or use a larger model."""


class UnknownModel(LlmError):
    """The profiles have neither a model nor a chain of this name."""


class MissingExtra(LlmError):
    """A package of the extra `llm` is not installed: ``pip install "chordal[llm]"``."""


class InvalidProfiles(ChordalError):
    """The settings file of models has faults; all of them are in `faults`. Nothing was called."""

    def __init__(self, faults: Sequence[Fault]) -> None:
        self.faults = tuple(faults)
        shown = "\n".join(f"  - {fault}" for fault in self.faults)
        super().__init__(f"the profiles of models are not valid:\n{shown}")

    def __reduce__(self) -> tuple[type[InvalidProfiles], tuple[tuple[Fault, ...]]]:
        return type(self), (self.faults,)


def error_of(failure: Failure, model: str, account: str, attempts: int) -> CallFailed:
    """The error that a caller gets when `failure` was the last one."""
    kinds: dict[FailureKind, type[CallFailed]] = {
        FailureKind.FATAL: LlmRefused,
        FailureKind.QUOTA: LlmQuotaSpent,
        FailureKind.INVALID: LlmInvalidAnswer,
    }
    count = f"{attempts} attempt{'s' if attempts != 1 else ''}"
    text = f"no answer from model {model!r} of account {account!r} after {count}: {failure}"
    return kinds.get(failure.kind, LlmUnavailable)(text, account, failure, attempts)
