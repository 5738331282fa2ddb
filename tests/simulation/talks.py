"""Agents of the simulated goals: their turns are as the engine's are stored, and what they say is drawn from the seed."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

from orchestrator.agents.conversation.transcript import (
    Answered,
    Called,
    Entry,
    Result,
    Results,
    Steered,
    as_text,
    of_text,
    turns,
    waiting,
)
from orchestrator.agents.names import child_name
from orchestrator.engine.ends import Done, End, Failed, Parked, Turn
from orchestrator.engine.upstream import Upstream
from orchestrator.store.records import Claimed, NodeRow
from simulation.fakes import work_for

if TYPE_CHECKING:
    from orchestrator.wiring import Chordal
    from simulation.world import World

AGENT: Final = {"kind": "agent", "agent": "talker"}
SECRET: Final = "secret"
"""Of every deferred tool."""
ENDED: Final = ("DONE", "FAILED", "DROPPED", "SKIPPED", "CANCELLED")
CARD: Final = (("talker", '{"name":"talker"}'),)
KIT: Final = ("kit", '{"agent":"talker"}')


class Talkers:
    """The engine's `AgentNodes` in a simulated process: a step is one commit, without a model in between."""

    def __init__(self, world: World, parts: Chordal) -> None:
        self._world = world
        self._parts = parts

    def turn(self, claimed: Claimed, spec: Mapping[str, Any], upstream: Upstream) -> End:  # noqa: ARG002
        """Gather what the tools gave; then say something, call tools, fail, or end."""
        lease, world = claimed.lease, self._world
        said = self._parts.store.agents.said(lease.goal, lease.node, "talker")
        entries: list[Entry] = [of_text(text) for text in said.entries]
        new: list[Entry] = []
        if (called := waiting(entries)) is not None:
            names = [call.node for call in called.calls]
            states = self._parts.store.nodes.states(lease.goal, names)
            if any(one.get("state") not in ENDED for one in states):
                return Parked("tools", "ready")
            given = tuple(Result(id=call.id, text=call.node) for call in called.calls)
            new.append(Results(turn=called.turn, results=given))
        world.note("turn", f"{lease.goal} {lease.node} token {lease.token}")
        work_for(world.duration_ms() / 1000)
        if world.rng.random() < 0.1:
            return Failed("error", "the model is away", retries=3, seconds=0.2)
        taken = [Steered.model_validate_json(text) for text in said.steering]
        return self._answer(claimed, [*entries, *new], [*new, *taken], len(taken))

    def _answer(self, claimed: Claimed, before: Sequence[Entry], new: list[Entry], taken: int) -> End:
        lease, rng = claimed.lease, self._world.rng
        number = turns(before) + 1
        names = [child_name(lease.node, f"t{number}.{index}") for index in range(rng.choice([0, 1, 1, 2, 3]))]
        if number > 4:
            names = []
        calls = tuple(Called(id=name, name="work", arguments="{}", node=name) for name in names)
        answered = Answered(turn=number, text="said", calls=calls, final=not names)
        rows = tuple(self._row(lease.node, name) for name in names)
        turn = Turn(
            tuple(as_text(entry) for entry in (*new, answered)), taken, {"turn": number}, KIT, CARD, rows, "" if names else "again"
        )  # fmt: skip
        if not names:
            return Done({"v": rng.randrange(4)}, turn=turn)
        return Parked("tools", "ready", turn=turn)

    def _row(self, parent: str, name: str) -> NodeRow:
        spec: dict[str, Any] = {"kind": "tool", "call": "work", "_literal": True}
        if self._world.rng.random() < 0.1:
            spec = dict(AGENT)
        elif self._world.rng.random() < 0.2:
            spec["deferred"] = SECRET
        return NodeRow(name, json.dumps(spec), "", f"{parent}:i", 0, None, 0, "", "", None)

    def tool(self, claimed: Claimed, spec: Mapping[str, Any], upstream: Upstream) -> End:  # noqa: ARG002
        """Does its work, or fails."""
        work_for(self._world.duration_ms() / 1000)
        if self._world.rng.random() < 0.15:
            return Failed("tool", "the tool failed", final=True)
        if "deferred" in spec:
            return Parked("deferred", "failed")
        return Done({"by": claimed.lease.node})

    def limit(self, spec: Mapping[str, Any]) -> float | None:  # noqa: ARG002
        """Its tools have none."""
        return None
