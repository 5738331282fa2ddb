"""What a node reads of those before it: their outputs, and its inputs with these in place."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from orchestrator.domain.lease import Lease
from orchestrator.domain.refs import references, resolve
from orchestrator.engine.payload import Payloads
from orchestrator.store.store import Store


@dataclass(slots=True)
class Upstream:
    """One node's view of the outputs in its goal."""

    store: Store
    payloads: Payloads
    lease: Lease
    ahead: Mapping[str, str] = field(default_factory=dict)
    """Outputs, as they will be stored, of nodes that ran right before this one and are not committed yet."""
    known_parents: Sequence[str] | None = None
    read: dict[str, str] = field(default_factory=dict)
    """What was read, as it is stored, by node."""

    def inputs(self, spec: Mapping[str, Any]) -> dict[str, Any]:
        """The node's inputs with the upstream outputs in place. Raises BadReference."""
        inputs = spec.get("inputs") or {}
        if spec.get("_literal"):
            return dict(inputs)
        names = list(dict.fromkeys(references(inputs)))
        return dict(resolve(inputs, self.outputs(names))) if names else dict(inputs)

    def of_parents(self) -> dict[str, Any]:
        """The outputs of the node's parents, by their ids."""
        parents = self.known_parents
        return self.outputs(self.store.nodes.parents(self.lease.goal, self.lease.node) if parents is None else parents)

    def outputs(self, nodes: Iterable[str]) -> dict[str, Any]:
        """The outputs of nodes, by their ids. Raises ArtifactMissing."""
        names = list(nodes)
        stored = [name for name in names if name not in self.ahead]
        texts: dict[str, str | None] = dict(self.ahead)
        if stored:
            texts.update(zip(stored, self.store.nodes.outputs(self.lease.goal, stored), strict=True))
        self.read.update((name, texts[name] or "") for name in names)
        return {name: self.payloads.unpack(texts[name]) for name in names}
