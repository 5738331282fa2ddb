"""Where an agent's node stands: its agent, what it may use, what was said, and what waits to be said to it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

from orchestrator.agents.conversation.transcript import Entry, Steered
from orchestrator.agents.plan.judges import Ruling
from orchestrator.agents.turns.keeping import Keeping
from orchestrator.domain.agent import AgentCard, Kit, ToolKind
from orchestrator.domain.errors import ChordalError
from orchestrator.domain.lease import Lease
from orchestrator.engine.ends import Turn
from orchestrator.store.store import Store

KITS_KEPT: Final = 256
"""Kits that a process keeps; a digest always stands for the same one."""


NOTHING: Final = Turn()


class UnknownAgent(ChordalError):
    """A node names an agent that neither its goal brings along nor any imported module declares."""


@dataclass(frozen=True, slots=True)
class Standing:
    """What the next step of a node builds on."""

    card: AgentCard
    kit: Kit
    entries: tuple[Entry, ...]
    """What is committed, and what this step has added so far."""
    steering: tuple[Steered, ...]
    """Messages that wait; the next request takes them in."""
    depth: int
    """0: a node of the plan; 1: a sub-agent of one, and so on."""
    judge: Callable[[Any], list[str]] | None = None
    """More faults of a final output than its schema knows of."""
    first: Turn = NOTHING
    """What the first step of the node must leave behind besides: its kit, and a card that the goal did not bring."""

    def with_entries(self, *more: Entry) -> Standing:
        """As it stands after these."""
        return replace(self, entries=(*self.entries, *more))

    def steered(self) -> Standing:
        """As it stands once the waiting messages are taken in."""
        return replace(self, entries=(*self.entries, *self.steering), steering=())

    def spawned(self) -> int:
        """Sub-agents and sub-goals that it has had."""
        costly = {tool.name for tool in self.kit.tools if tool.kind in (ToolKind.AGENT, ToolKind.GOAL)}
        calls = (call for entry in self.entries for call in getattr(entry, "calls", ()))
        return sum(bool(call.node) and call.name in costly for call in calls)


class Standings:
    """Reads them."""

    def __init__(
        self,
        store: Store,
        declared: Callable[[str], AgentCard | None],
        kit_of: Callable[[AgentCard, Mapping[str, AgentCard]], Kit],
        ruling: Callable[[str, str, Mapping[str, Any], Mapping[str, AgentCard]], Ruling | None],
        keeping: Keeping,
    ) -> None:
        """`declared` finds an agent of the imported modules; `kit_of` says what an agent may use, among these agents;
        `ruling` what is asked of the output of nodes with `inputs.judge`."""
        self._store = store
        self._declared = declared
        self._kit_of = kit_of
        self._ruling = ruling
        self._keeping = keeping
        self._kits: dict[str, Kit] = {}

    def read(self, lease: Lease, spec: Mapping[str, Any]) -> Standing:
        """Where the node stands. Raises UnknownAgent, and UnknownTool at its first step."""
        name = spec["agent"]
        said = self._store.agents.said(lease.goal, lease.node, name)
        first = NOTHING
        if said.card:
            card = AgentCard.model_validate_json(said.card)
        else:
            found = self._declared(name)
            if found is None:
                raise UnknownAgent(self._not_found(lease.goal, name))
            card, first = found, replace(first, cards=((name, found.model_dump_json(exclude_defaults=True)),))
        judged = "judge" in (spec.get("inputs") or {})
        cards = self.cards(lease.goal) if judged or (card.tools and not said.kit) else {}
        ruling = self._ruling(lease.goal, lease.node, spec, cards) if judged else None
        if said.kit:
            kit = self._kit(lease.goal, said.kit)
        else:
            kit = self._kit_of(card, cards | {card.name: card})
            if ruling is not None:
                kit = kit.model_copy(update={"output_schema": ruling.schema})
            first = replace(
                first,
                kit=(kit.digest(), kit.model_dump_json(exclude_defaults=True)),
                cards=(*first.cards, *self._others(kit, cards)),
            )
        entries = tuple(self._keeping.entry(text) for text in said.entries)
        steering = tuple(Steered.model_validate_json(text) for text in said.steering)
        depth = spec.get("_depth") or (spec.get("metadata") or {}).get("agent_depth", 0)
        return Standing(card, kit, entries, steering, int(depth), ruling.judge if ruling else None, first)

    def _others(self, kit: Kit, known: Mapping[str, AgentCard]) -> Iterator[tuple[str, str]]:
        """The agents of the kit that the goal did not bring: any worker can go on with them then."""
        for tool in kit.tools:
            if tool.kind is ToolKind.AGENT and tool.call not in known and (found := self._declared(tool.call)):
                yield tool.call, found.model_dump_json(exclude_defaults=True)

    def cards(self, goal: str) -> dict[str, AgentCard]:
        """The agents that a goal brings along."""
        return {
            name: AgentCard.model_validate_json(text) for name, text in self._store.agents.cards(goal).items()
        }  # fmt: skip

    def _kit(self, goal: str, digest: str) -> Kit:
        if (known := self._kits.get(digest)) is not None:
            return known
        text = self._store.agents.kit(goal, digest)
        if text is None:
            raise UnknownAgent(f"the kit {digest} of goal {goal!r} is gone; the goal was removed")
        if len(self._kits) >= KITS_KEPT:
            self._kits.clear()
        return self._kits.setdefault(digest, Kit.model_validate_json(text))

    def _not_found(self, goal: str, name: str) -> str:
        known = ", ".join(sorted(self._store.agents.cards(goal))) or "none"
        return (
            f"there is no agent {name!r}: the goal brings {known}, and no module imported here declares it; "
            "name its module in CHORDAL_IMPORTS, or give the goal's document the agent"
        )
