"""Every command at work: the goal it is given to, its words for each door, and what can be seen of it afterwards."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from orchestrator.domain.dag import MAX_PRIORITY
from orchestrator.domain.verbs import Verb
from orchestrator.wiring import Chordal
from support.plots import AGENTS, AT_WORK, BUSY, CAUGHT, FAILED, HALF_BAD, LOOSE, ODD, Plot


@dataclass(frozen=True)
class Seen:
    """A goal as it can be seen from outside."""

    chordal: Chordal
    goal: str

    def state(self, node: str) -> str:
        """A node's state; the goal's where there is no name."""
        if not node:
            return self.chordal.summary(self.goal).state.value
        return self.chordal.status(self.goal).nodes[node].state.value

    def are(self, **states: str) -> bool:
        return all(self.state(node) == state for node, state in states.items())

    def output(self, node: str) -> Any:
        return self.chordal.status(self.goal).nodes[node].output

    @property
    def record(self) -> Mapping[str, str]:
        return self.chordal.store.goals.record(self.goal)

    def nodes_of(self, kind: str) -> list[str]:
        """Which nodes the events of a type are of."""
        return [one.node for one in self.chordal.events(self.goal, limit=10_000) if one.type == kind]


Look = Callable[[Seen], bool]
"""Whether the effect is to be seen."""


@dataclass(frozen=True, eq=False)
class Scene:
    """One command at work."""

    verb: Verb
    line: str
    """In a heartbeat file of the goal."""
    words: str
    """On the command line; GOAL stands for the goal, and _ for a space inside a word."""
    seen: str
    """The effect, in words."""
    look: Look
    payload: Mapping[str, Any] = field(default_factory=dict)
    """Beside the command's name and the goal."""
    before: tuple[Mapping[str, Any], ...] = ()
    """Commands that are given first, by Python."""
    after: tuple[Mapping[str, Any], ...] = ()
    """Commands that bring the effect to light."""
    plot: Plot = AT_WORK
    name: str = ""
    """What its goal is called, beside the door."""

    @property
    def title(self) -> str:
        return self.name or self.verb.lower()

    def command(self, goal: str, id: str) -> dict[str, Any]:
        """The command as JSON."""
        return {"command": self.verb.value, "goal": goal, "id": id, **json.loads(json.dumps(self.payload))}

    def argv(self, goal: str) -> list[str]:
        """The command line."""
        return [word.replace("GOAL", goal).replace("_", " ") for word in self.words.split(" ")]


def _paused(seen: Seen) -> bool:
    return seen.state("") == "PAUSED" and seen.state("next") == "READY" and "next" not in seen.nodes_of("node.claimed")


def _aside(seen: Seen) -> bool:
    return seen.state("next") == "READY" and "next" in seen.chordal.store.changes.aside(seen.goal)


def _edited(seen: Seen) -> bool:
    return seen.state("last") == "DONE" and seen.output("last") == 2


def _steered(seen: Seen) -> bool:
    said = [one["text"] for one in seen.chordal.agents.transcript(seen.goal, "write") if one.get("waiting")]
    return said == ["Be kind."]


def _stopped(seen: Seen) -> bool:
    return seen.are(busy="READY") and seen.nodes_of("node.stopped") == ["busy"]


def _placed(seen: Seen) -> bool:
    score = int(seen.chordal.store.nodes.states(seen.goal, ["next"])[0]["score"])
    return -score % (MAX_PRIORITY + 1) == 9


def _again(seen: Seen) -> bool:
    return seen.are(bad="DONE", after="DONE") and seen.nodes_of("node.claimed").count("after") == 2


def _is(**states: str) -> Look:
    return lambda seen: seen.are(**states)


OPEN_GATE: Final = {"command": "APPROVE", "node": "gate"}
V: Final = Verb
SCENES: Final = (
    Scene(
        V.PAUSE, "PAUSE", "pause GOAL", "the goal is PAUSED; `gate` is opened, and nobody claims `next`, which is READY", _paused,
        after=(OPEN_GATE,),
    ),
    Scene(
        V.PAUSE, "PAUSE stop", "pause GOAL --stop", "`busy`, which ran, is READY; what its worker still returns is refused",
        _stopped, {"mode": "stop"}, plot=BUSY, name="pause-stop",
    ),
    Scene(
        V.PAUSE, "PAUSE node next", "pause GOAL --node next", "`next` is READY, and a claim that met it has set it aside", _aside,
        {"node": "next"}, after=(OPEN_GATE,), name="pause-node",
    ),
    Scene(
        V.PAUSE, "PAUSE agent writer", "pause GOAL --agent writer", "the nodes of `writer` are held",
        lambda seen: "a:writer" in seen.chordal.store.changes.held(seen.goal), {"agent": "writer"}, name="pause-agent",
    ),
    Scene(V.RESUME, "RESUME", "resume GOAL", "the goal goes on: `last` is DONE", _is(last="DONE"), before=({"command": "PAUSE"}, OPEN_GATE)),
    Scene(V.CANCEL, "CANCEL", "cancel GOAL", "the goal is CANCELLED", lambda seen: seen.state("") == "CANCELLED"),
    Scene(
        V.DROP_TASK, "DROP-TASK next", "drop GOAL next", "`next` is DROPPED, `last`, which needed it, SKIPPED",
        _is(next="DROPPED", last="SKIPPED"), {"node": "next"}, after=(OPEN_GATE,),
    ),
    Scene(
        V.DROP_TASK, "DROP-TASK next fail", "drop GOAL next --dependants fail", "`next` is DROPPED, and what runs on its failure is DONE",
        _is(next="DROPPED", rescue="DONE"), {"node": "next", "dependants": "fail"}, plot=CAUGHT, name="drop-fail",
    ),
    Scene(
        V.DROP_TASK, "DROP-TASK next rewire", "drop GOAL next --dependants rewire", "`next` is DROPPED, `last` has run after `gate`",
        _is(next="DROPPED", last="DONE"), {"node": "next", "dependants": "rewire"}, after=(OPEN_GATE,), plot=LOOSE, name="drop-rewire",
    ),
    Scene(V.RETRY, "RETRY", "retry GOAL", "`bad`, which had failed, is DONE", _is(bad="DONE"), plot=FAILED),
    Scene(
        V.RETRY, "RETRY bad", "retry GOAL --node bad", "`bad` is DONE; the goal had not ended", _is(bad="DONE", gate="WAITING"), {"node": "bad"},
        plot=HALF_BAD, name="retry-node",
    ),
    Scene(
        V.RETRY, "RETRY bad descendants", "retry GOAL --node bad --descendants", "`bad` is DONE, `after`, which was DONE, has run again",
        _again, {"node": "bad", "descendants": True}, plot=FAILED, name="retry-descendants",
    ),
    Scene(
        V.EDIT, 'EDIT next: {"value": 2}', "edit GOAL next --set value=2", "`next` has run with 2 in place of 1", _edited,
        {"node": "next", "set": {"value": 2}}, after=(OPEN_GATE,),
    ),
    Scene(
        V.EDIT, 'EDIT bad retry: {"value": 2}', "edit GOAL bad --set value=2 --retry", "`bad`, which had failed with 1, is DONE with 2",
        _is(bad="DONE"), {"node": "bad", "set": {"value": 2}, "retry": True}, plot=ODD, name="edit-retry",
    ),
    Scene(
        V.SET_PRIORITY, "ELEVATE 9", "priority GOAL 9", "the goal's priority is 9", lambda seen: seen.record.get("priority") == "9",
        {"priority": 9},
    ),
    Scene(
        V.SET_PRIORITY, "ELEVATE next 9", "priority GOAL 9 --node next", "`next` goes before nodes of a lower priority than 9", _placed,
        {"node": "next", "priority": 9}, name="priority-node",
    ),
    Scene(
        V.REPARSE, "REPARSE", "reparse GOAL INSTRUCTIONS.md", "`writer` has the new instructions",
        lambda seen: seen.chordal.agents.cards(seen.goal)["writer"].instructions.strip() == "Be long.",
        {"agents": [{**AGENTS[1], "instructions": "Be long."}]},
    ),
    Scene(
        V.FLUSH_MEMORY, "FLUSH-MEMORY writer", "flush-memory GOAL --agent writer", "`writer` remembers nothing",
        lambda seen: not seen.chordal.agents.memory(f"o-{seen.goal}", "writer"), {"agent": "writer"},
    ),
    Scene(
        V.STEER, "STEER write: Be kind.", "steer GOAL write Be_kind.", "the message waits for the next turn of `write`", _steered,
        {"node": "write", "message": "Be kind."},
    ),
    Scene(
        V.STEER, "STEER agent writer: Be kind.", "steer GOAL --agent writer Be_kind.", "it waits for the next turn of each of its nodes",
        _steered, {"agent": "writer", "message": "Be kind."}, name="steer-agent",
    ),
    Scene(
        V.APPROVE, "APPROVE gate: fine", "approve GOAL gate --comment fine", "`gate` is DONE", _is(gate="DONE"),
        {"node": "gate", "comment": "fine"},
    ),
    Scene(
        V.REJECT, "REJECT gate: no", "reject GOAL gate --comment no", "`gate` is FAILED", _is(gate="FAILED"), {"node": "gate", "comment": "no"},
    ),
    Scene(
        V.SIGNAL, 'SIGNAL paid: {"sum": 3}', 'signal GOAL paid {"sum":3}', "`paid` is DONE, with the payload as its output",
        lambda seen: seen.output("paid") == {"sum": 3}, {"name": "paid", "payload": {"sum": 3}},
    ),
    Scene(
        V.REPLAN, "REPLAN: in French", "replan GOAL --reason in_French", "the planner has a node to do it with, `replan-1`",
        lambda seen: "replan-1" in seen.chordal.status(seen.goal).nodes, {"reason": "in French"},
    ),
    Scene(
        V.SET_BUDGET, "BUDGET tokens 500", "budget GOAL --tokens 500", "the goal may spend 500 tokens",
        lambda seen: json.loads(seen.record.get("budget", "{}")).get("tokens") == 500, {"tokens": 500},
    ),
    Scene(
        V.HOLD, "HOLD node next", "hold GOAL --node next", "`next` is READY, and a claim that met it has set it aside", _aside, {"node": "next"},
        after=(OPEN_GATE,),
    ),
    Scene(
        V.RELEASE, "RELEASE node next", "release GOAL --node next", "`next` is claimed: `last` is DONE", _is(last="DONE"), {"node": "next"},
        before=({"command": "HOLD", "node": "next"}, OPEN_GATE),
    ),
)  # fmt: skip
"""Commands on goals. What reaches queues, owners and the fleet has tests of its own."""
