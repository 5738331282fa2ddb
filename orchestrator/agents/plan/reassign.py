"""A duty of beat: ready nodes of agents whose queue no worker serves go to agents that are there, or say that they are stuck.

A queue counts as unserved when no live worker named it, and invitations to it were sent in vain. So a look costs two
reads for a page of goals while all is well, and a worker that restarts has time to come back.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Final

from orchestrator.agents.plan.scene import read_cards
from orchestrator.agents.roles import choose
from orchestrator.domain.agent import AgentCard
from orchestrator.domain.states import GoalState
from orchestrator.engine.dispatch import Sender, Slots
from orchestrator.store.records import Reassigned
from orchestrator.store.store import Store

log = logging.getLogger(__name__)

GOALS: Final = 200
"""Goals that one look takes in, page after page."""
NODES: Final = 200
"""Nodes of one queue of one goal that one look hands on."""
OPEN_MS: Final = 65_000
"""An open goal is looked at by beat at least this often; those that have ended wait for their time to live."""
IN_VAIN: Final = 1
"""Invitations that nobody answered, before a queue counts as unserved."""


@dataclass(slots=True)
class Reassigner:
    """Looks at open goals, a page at a time. Two beats at once are harmless: each move is decided by a script."""

    store: Store
    sender: Sender
    slots: Slots
    _start: int = field(default=0, init=False)

    def look(self, live_queues: Collection[str]) -> str:
        """One look; `live_queues` are those that live workers serve. Returns what it did, for the note of the tick."""
        if not live_queues:  # nobody is there at all: no agent is better than another
            return "no workers, nothing reassigned"
        goals = self.store.goals.due(self.store.goals.clock_ms() + OPEN_MS, GOALS, self._start)
        # Places in the index move between two looks: who is passed over is met in the next round.
        self._start = self._start + GOALS if len(goals) == GOALS else 0
        moved = stuck = 0
        for goal, waits in zip(goals, self.store.nodes.unanswered(goals), strict=True):
            lost = [queue for queue, count in waits.items() if count >= IN_VAIN and queue not in live_queues]
            if lost and self.store.goals.field(goal, "state") == GoalState.RUNNING:
                cards = read_cards(self.store, goal)
                for queue in lost:
                    found = self._hand_on(goal, queue, cards, live_queues)
                    moved, stuck = moved + found[0], stuck + found[1]
        return f"{moved} nodes reassigned, {stuck} stuck"

    def _hand_on(
        self, goal: str, queue: str, cards: dict[str, AgentCard], live_queues: Collection[str]
    ) -> tuple[int, int]:
        """The ready nodes of one queue: how many moved, and how many are newly known to be stuck."""
        moves = []
        for node, text in self.store.nodes.ready(goal, queue, NODES).items():
            spec = json.loads(text)
            if spec.get("kind") != "agent":
                continue
            choice = choose({**spec, "queue": spec.get("queue", queue)}, cards, live_queues)
            data = {"agent": choice.agent, "queue": choice.queue, "reason": choice.reason}
            if choice.stuck:
                moves.append(Reassigned(node, queue, "", "", json.dumps(data)))
            elif choice.queue != queue:
                changed = {**spec, "agent": choice.agent, "queue": choice.queue}
                before = json.dumps({**data, "before": spec.get("agent", "")})
                moves.append(Reassigned(node, queue, choice.queue, json.dumps(changed), before))
        if not moves:
            return 0, 0
        outcomes, invitations = self.store.nodes.reassign(goal, moves, slots=self.slots.json())
        self.sender.invite(invitations)
        for move, outcome in zip(moves, outcomes, strict=True):
            if outcome in ("moved", "noted"):
                log.warning("%s in %s: %s", move.node, goal, json.loads(move.data)["reason"])
        return outcomes.count("moved"), outcomes.count("noted")
