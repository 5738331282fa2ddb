"""What the audit trail says of a command: enough to know what was done, nothing that was meant for a model alone."""

from __future__ import annotations

import hashlib
import json
from typing import Any, Final

from orchestrator.domain.command import Answer, Command

SHOWN: Final = frozenset(
    {"mode", "dependants", "descendants", "retry", "priority", "removed", "source", "name", "approve", "tokens", "micro_usd", "account", "exit"}
)  # fmt: skip
"""Arguments whose values stand in the trail; of the others (prompts, inputs, comments) it says how large they are."""
MESSAGE_CHARACTERS: Final = 1000


def entry_of(command: Command, answer: Answer) -> dict[str, str]:
    """The fields of a command's entry."""
    found = {
        "command_id": command.id,
        "command": command.verb.value,
        "target": command.target,
        "door": command.door.value,
        "sender": command.sender,
        "reason": command.reason[:MESSAGE_CHARACTERS],
        "outcome": "repeated" if answer.repeated else answer.outcome,
        "code": str(int(answer.code)),
        "message": answer.message[:MESSAGE_CHARACTERS],
        "receivers": str(answer.receivers),
    }
    arguments = {
        name: _shown(name, value)
        for name, value in command.arguments.model_dump(mode="json", exclude_defaults=True).items()
    }
    return {**found, "arguments": json.dumps(arguments)} if arguments else found


def _shown(name: str, value: Any) -> Any:
    if name in SHOWN:
        return value
    raw = json.dumps(value, sort_keys=True).encode()
    return {"bytes": len(raw), "sha256": hashlib.sha256(raw).hexdigest()[:16]}
