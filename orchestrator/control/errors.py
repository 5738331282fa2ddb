"""Between refusals and their codes: what was raised becomes an answer, and an answer can be raised again."""

from __future__ import annotations

from typing import Any, Final

from orchestrator.domain.command import Answer, Code, Command, Denied, Expired, IdTaken
from orchestrator.domain.errors import ChordalError, Faulty, GoalNotFound, IllegalTransition, NodeNotFound

_CODES: Final[tuple[tuple[type[ChordalError], Code], ...]] = (
    (Denied, Code.DENIED),
    (Expired, Code.EXPIRED),
    (GoalNotFound, Code.NOT_FOUND),
    (NodeNotFound, Code.NOT_FOUND),
    (IllegalTransition, Code.REFUSED),
    (IdTaken, Code.REFUSED),
    (Faulty, Code.BAD),
)
_WORDS: Final = {
    Code.BAD: "invalid",
    Code.DENIED: "denied",
    Code.NOT_FOUND: "missing",
    Code.REFUSED: "refused",
    Code.EXPIRED: "expired",
    Code.FAILED: "failed",
}
_RAISED: Final[dict[int, type[ChordalError]]] = {
    Code.DENIED: Denied,
    Code.NOT_FOUND: GoalNotFound,
    Code.REFUSED: IllegalTransition,
    Code.EXPIRED: Expired,
}


class CommandFailed(ChordalError):
    """The command was not carried out; the text says why."""


def code_of(error: Exception) -> int:
    """The code of what was raised."""
    if not isinstance(error, ChordalError):
        return Code.FAILED
    return next((code for kind, code in _CODES if isinstance(error, kind)), Code.BAD)


def word_of(error: Exception) -> str:
    """One word for what was raised."""
    return _WORDS[Code(code_of(error))]


def refusal(command: Command, error: Exception) -> Answer:
    """The answer to a command that was not carried out."""
    extra: dict[str, Any] = {"error": type(error).__name__}
    if faults := getattr(error, "faults", ()):  # those of a plan are no Faulty
        extra["faults"] = [[fault.place, fault.message, fault.remedy] for fault in faults]
    message = str(error) if isinstance(error, ChordalError) else f"{type(error).__name__}; see the log of this process"
    return Answer(
        command.id,
        command.verb.value,
        command.target,
        int(code_of(error)),
        word_of(error),
        message,
        (),
        0,
        False,
        extra,
    )


def demand(answer: Answer) -> Answer:
    """The answer, if the command was carried out. Raises Denied, GoalNotFound, IllegalTransition, Expired or CommandFailed."""
    if answer.ok:
        return answer
    kind = NodeNotFound if answer.extra.get("error") == "NodeNotFound" else _RAISED.get(answer.code, CommandFailed)
    raise kind(answer.message or f"{answer.command} for {answer.target}: {answer.outcome}")
