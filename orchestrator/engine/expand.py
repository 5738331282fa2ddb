"""A map node becomes one node per item, at run time."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from orchestrator.domain.errors import ChordalError
from orchestrator.domain.lease import Lease
from orchestrator.engine.dispatch import Sender, Slots
from orchestrator.engine.encode import score
from orchestrator.engine.payload import to_json
from orchestrator.store.goals import PIECE
from orchestrator.store.records import NodeRow
from orchestrator.store.store import Store

INHERITED = ("retries", "backoff_seconds", "timeout_seconds", "lease_seconds")


class MapFenced(ChordalError):
    """The map node lost its lease while it was adding its items; the next holder goes on."""


class Expander:
    """Adds the items of maps and reads how they ended."""

    def __init__(self, store: Store, sender: Sender, slots: Slots) -> None:
        self._store = store
        self._sender = sender
        self._slots = slots

    def names(self, node: str, count: int) -> list[str]:
        """The ids of a map's items."""
        return [f"{node}.{index}" for index in range(count)]

    def expand(self, lease: Lease, spec: Mapping[str, Any], items: Sequence[Any], shared: Mapping[str, Any]) -> None:
        """Store one node per item, in bounded pieces; repeating it changes nothing. Raises MapFenced."""
        names = self.names(lease.node, len(items))
        title = spec.get("title") or lease.node
        for at in range(0, len(items), PIECE):
            rows = [
                self._row(lease.node, names[index], spec, f"{title} [{index}]", {**shared, "item": items[index]})
                for index in range(at, min(at + PIECE, len(items)))
            ]
            outcome, invitations = self._store.nodes.expand(lease, rows, len(items), slots=self._slots.json())
            if outcome != "stored":
                raise MapFenced(f"the lease of {lease.node!r} is lost")
            self._sender.invite(invitations)

    def _row(self, parent: str, name: str, spec: Mapping[str, Any], title: str, inputs: Mapping[str, Any]) -> NodeRow:
        each = spec.get("each", "python")
        # Data of an item may look like a reference; it is not one.
        fields = {"title": title, "call": spec["call"], "inputs": inputs, "_literal": True}
        fields |= {field: spec[field] for field in INHERITED if field in spec}
        if each == "task":
            fields["kind"] = "task"
            if "queue" in spec:
                fields["queue"] = spec["queue"]
        lease = spec.get("lease_seconds")
        return NodeRow(
            id=name,
            spec=to_json(fields),
            parents="",
            edges=f"{parent}:i",
            need=0,
            open=None,
            score=score(2, spec.get("priority", 0)),
            queue=spec.get("queue", "") if each == "python" else "",
            lane="",
            lease_ms=None if lease is None else int(lease * 1000),
        )

    def failures(self, lease: Lease) -> str:
        """What to say of items that did not end well; empty when all did."""
        record = self._store.nodes.states(lease.goal, [lease.node])[0]
        count = int(record.get("items_failed", 0))
        if not count:
            return ""
        dead = self._store.goals.part(lease.goal, "dead")
        mine = {name: json.loads(raw)["error"] for name, raw in dead.items() if name.startswith(f"{lease.node}.")}
        shown = "; ".join(f"{name}: {error}" for name, error in sorted(mine.items())[:3])
        return f"{count} of its items failed ({shown}{'; ...' if count > 3 else ''})"
