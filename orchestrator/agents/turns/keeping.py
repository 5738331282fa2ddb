"""Entries of transcripts on their way into Redis and out of it: large ones lie beside the large outputs, by reference."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any, Final

from orchestrator.agents.conversation.transcript import Entry, as_text, entry_of, of_text
from orchestrator.domain.lease import Lease
from orchestrator.engine.payload import REFERENCE, Payloads

LARGE: Final = "large"
"""The field of an entry that stands in the place of its texts."""
_KEPT: Final = ("kind", "turn", "final")


@dataclass(frozen=True, slots=True)
class Keeping:
    """Writes and reads entries."""

    payloads: Payloads

    def text(self, lease: Lease, entry: Entry) -> str:
        """As it is stored: whole, or what the history needs of it and a reference to the rest."""
        text = as_text(entry)
        fields = json.loads(text)
        packed = self.payloads.pack(lease.goal, lease.node, fields)
        if not packed.startswith(REFERENCE):
            return text
        short: dict[str, Any] = {name: fields[name] for name in _KEPT if name in fields}
        for name in ("calls", "results"):
            if name in fields:
                short[name] = [{"id": one["id"]} for one in fields[name]]
        return json.dumps({**short, LARGE: packed}, separators=(",", ":"))

    def entry(self, text: str) -> Entry:
        """From `text`. Raises ArtifactMissing."""
        if f'"{LARGE}":' not in text[-1000:]:
            return of_text(text)
        fields = json.loads(text)
        return entry_of(self.payloads.unpack(fields[LARGE])) if LARGE in fields else of_text(text)
