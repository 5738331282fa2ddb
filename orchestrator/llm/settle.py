"""What the limiter is told of an attempt: what it may cost before, what it cost and what went wrong after."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from orchestrator.llm.failures import Failure, FailureKind
from orchestrator.llm.limits import Cost
from orchestrator.llm.messages import Usage
from orchestrator.llm.ports import Permit
from orchestrator.llm.prices import micro_usd
from orchestrator.llm.profiles import Account, Kind, Model

QUOTA_SECONDS: Final = 300.0
"""How long the breaker stays open when the provider says that the quota is spent; then one call tries."""
_NOTHING: Final = Cost(0, 0)


@dataclass(frozen=True, slots=True)
class Target:
    """A model of the chain with what is known of the request there."""

    key: str
    model: Model
    account: Account
    encoding: str | None
    input_tokens: int


def cost(target: Target, usage: Usage) -> Cost:
    """As limits count it: Anthropic's leave out the input that was in the provider's cache."""
    free = usage.cached_input_tokens if target.account.kind is Kind.ANTHROPIC else 0
    price = micro_usd(usage, target.key, target.model, target.account) or 0
    return Cost(max(0, usage.input_tokens - free), usage.output_tokens, price)


def settle(
    permit: Permit, failure: Failure | None, used: Cost | None, backoff: Callable[[], float] = float, learn: str = ""
) -> None:
    """End the permit of an attempt; `used` is None where nobody knows what a failure cost.

    `backoff` says for how many seconds to hold the account after a 429 that does not; `learn` names what the length of
    the answer is remembered for. Raises PermitLost.
    """
    if failure is None:
        permit.settle(used or _NOTHING, learn)
        return
    if used is None and failure.spends_nothing:
        used = _NOTHING
    if failure.kind is FailureKind.RATE_LIMIT:
        seconds = failure.retry_after_seconds
        permit.hold(backoff() if seconds is None else seconds, "rate_limit")
        permit.abandon(_NOTHING)
    elif failure.kind is FailureKind.QUOTA:
        permit.open(QUOTA_SECONDS, "insufficient_quota")
        permit.abandon(_NOTHING)
    elif failure.kind in (FailureKind.FATAL, FailureKind.CANCELLED):
        permit.abandon(used) if failure.sent else permit.unused()
    elif failure.kind is FailureKind.INVALID and failure.usage is not None:
        permit.abandon(used)  # the model's weakness, not the provider's
    else:
        permit.fail(str(failure.kind), used)
