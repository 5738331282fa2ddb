"""Why a call did not go out, or does not count."""

from __future__ import annotations

from orchestrator.domain.errors import ChordalError


class LlmError(ChordalError):
    """A call of a language model could not be made; `account` says where."""

    def __init__(self, message: str, account: str = "") -> None:
        super().__init__(message)
        self.account = account


class WaitOver(LlmError):
    """The call waited as long as it may and did not get its turn. Wait longer, raise the limits or send less."""

    def __init__(self, account: str, seconds: float, before: int, cause: str) -> None:
        place = f"{before} of its own goal before it" if before else "next of its own goal"
        super().__init__(f"account {account}: no turn within {seconds:g} s, {place}; it waited for {cause}", account)
        self.seconds, self.before, self.cause = seconds, before, cause


class TooLarge(LlmError):
    """The call needs more than the account ever has at once: make it smaller, or use another account."""


class BreakerOpen(LlmError):
    """The provider fails or refuses this account, so no call is sent for now. The message says why and for how long."""


class OverBudget(LlmError):
    """The budget of the owner or goal cannot pay for the call. Raise it, or stop."""


class Withdrawn(LlmError):
    """The call was taken out of the line: its goal was cancelled."""


class IdTaken(LlmError):
    """Another waiter or permit has this id."""


class PermitLost(LlmError):
    """The lease of the permit ran out before the call ended: what it used is booked as reserved. Renew, or ask longer."""
