"""Which agent does a node: families of roles, the choice when a plan is made, and the one when a worker is missing."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

from orchestrator.domain.agent import AgentCard


class Family(StrEnum):
    """What a role is there for."""

    MANAGER = "manager"
    REVIEWER = "reviewer"
    BUILDER = "builder"


MANAGERS: Final = frozenset({"owner", "team-lead", "lead", "manager"})
REVIEWERS: Final = frozenset({"qa", "test", "tester", "review", "reviewer"})
DEFAULT_QUEUE: Final = "default"


@dataclass(frozen=True, slots=True)
class Choice:
    """Who takes a node now, and why it is not who the plan names."""

    agent: str
    queue: str
    reason: str = ""
    """Empty where nothing changes."""
    stuck: bool = False
    """Nobody can take it; the reason says what is missing."""


def family(role: str) -> Family:
    """What a role is there for: by the whole name, else by its last word, else by its first (`qa_agent`, `tech-lead`)."""
    name = role.lower().replace("_", "-").replace(".", "-")
    words = name.split("-")
    for part in (name, words[-1], words[0]):
        if part in MANAGERS:
            return Family.MANAGER
        if part in REVIEWERS:
            return Family.REVIEWER
    return Family.BUILDER


def of_family(wanted: Family, cards: Mapping[str, AgentCard]) -> list[AgentCard]:
    """The agents whose roles are of a family, in the order of their declaration."""
    return [card for card in cards.values() if family(card.resolved_role) is wanted]


def candidates(role: str, fallbacks: Sequence[str], hard: bool, cards: Mapping[str, AgentCard]) -> list[AgentCard]:
    """The agents that may do what asks for a role, the best group of them; empty where there is none.

    Exactly that role, or an agent of that name; a reviewer or manager also for the others of its family. Where the
    assignment is soft also the fallback roles, in their order, and then any builder for a builder's role.
    """
    for name in (role, *(() if hard else fallbacks)):
        if found := _exactly(name, cards):
            return found
        if (group := family(name)) is not Family.BUILDER and (found := of_family(group, cards)):
            return found
    return of_family(Family.BUILDER, cards) if not hard and family(role) is Family.BUILDER else []


def assign(nodes: Sequence[Mapping[str, Any]], cards: Mapping[str, AgentCard]) -> list[dict[str, Any]]:
    """The nodes with the `agent` that metadata.required_role asks for, and his queue.

    Work for a role that several agents have is spread evenly, in the order of their declaration. A node that nobody may
    do is left as it is; the rules for plans name it.
    """
    load = Counter(str(node["agent"]) for node in nodes if node.get("agent"))
    made = []
    for node in nodes:
        assigned = dict(node)
        if assigned.get("kind") == "agent":
            if not assigned.get("agent"):
                metadata = assigned.get("metadata", {})
                able = candidates(metadata.get("required_role", ""), fallback_roles(metadata), is_hard(metadata), cards)
                if able:
                    chosen = min(able, key=lambda card: load[card.name])  # the first of those with least to do
                    assigned["agent"] = chosen.name
                    load[chosen.name] += 1
            card = cards.get(assigned.get("agent", ""))
            if card is not None and card.queue is not None:
                assigned.setdefault("queue", card.queue)
        made.append(assigned)
    return made


def choose(node: Mapping[str, Any], cards: Mapping[str, AgentCard], live_queues: Collection[str]) -> Choice:
    """Who takes a node that is ready, given the queues that live workers serve.

    `node` has the fields of a node of a goal. Nothing changes while its queue is served. A hard assignment stays, and the
    reason says what is missing.
    """
    agent, metadata = str(node.get("agent", "")), node.get("metadata") or {}
    card = cards.get(agent)
    queue = str(node.get("queue") or (card.queue if card else None) or DEFAULT_QUEUE)
    if queue in live_queues:
        return Choice(agent, queue)
    role = metadata.get("required_role") or (card.resolved_role if card else agent)
    missing = f"no worker serves the queue {queue!r} of agent {agent!r}"
    if is_hard(metadata) or (node.get("inputs") or {}).get("judge"):  # plans and reviews are not everybody's
        return Choice(agent, queue, f"{missing}, and its role {role!r} is hard: start such a worker", stuck=True)
    fallbacks = fallback_roles(metadata) or (card.fallback_roles if card else ())
    for name in (role, *fallbacks):
        for other in _exactly(name, cards):
            if _served(other, agent, live_queues):
                return Choice(
                    other.name, other.queue or DEFAULT_QUEUE, f"{missing}; {name!r} is done by {other.name!r}"
                )
    if family(role) is Family.BUILDER:
        for other in of_family(Family.BUILDER, cards):
            if _served(other, agent, live_queues):
                better = f"{missing}; {other.name!r} takes it, although {role!r} would be better"
                return Choice(other.name, other.queue or DEFAULT_QUEUE, better)
    names = ", ".join(map(repr, dict.fromkeys((role, *fallbacks))))
    return Choice(agent, queue, f"{missing}, and nobody else may take it ({names}): start such a worker", stuck=True)


def is_hard(metadata: Mapping[str, str]) -> bool:
    """Whether a node may be done by its role only."""
    return metadata.get("role_assignment", "soft").strip().lower() == "hard"


def fallback_roles(metadata: Mapping[str, str]) -> tuple[str, ...]:
    """The roles of metadata.fallback_roles, a text with commas."""
    return tuple(name for part in metadata.get("fallback_roles", "").split(",") if (name := part.strip()))


def _exactly(role: str, cards: Mapping[str, AgentCard]) -> list[AgentCard]:
    found = [card for card in cards.values() if card.resolved_role == role]
    return found or ([cards[role]] if role in cards else [])


def _served(card: AgentCard, instead_of: str, live_queues: Collection[str]) -> bool:
    return card.name != instead_of and (card.queue or DEFAULT_QUEUE) in live_queues
