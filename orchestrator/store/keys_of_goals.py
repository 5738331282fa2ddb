"""The keys of goals."""

from __future__ import annotations

from typing import Final

from orchestrator.store.key_spec import KeySpec

_GOAL_END: Final = "removed with the goal"

GOAL_KEYS: Final = (
    KeySpec(
        "dag:{goal}",
        "hash",
        "every operation",
        _GOAL_END,
        "The goal's record: state, owner, counts by state, fencing token, version.",
    ),
    KeySpec(
        "dag:{goal}:nodes",
        "hash",
        "submit, expand, patch",
        _GOAL_END,
        "Node id to its specification, JSON without defaults.",
    ),
    KeySpec("dag:{goal}:deps", "hash", "submit, expand, patch", _GOAL_END, "Node id to the JSON list of its parents."),
    KeySpec(
        "dag:{goal}:edges",
        "hash",
        "submit, expand, patch",
        _GOAL_END,
        "Node id to its targets, `target` or `target:letter` (f failed, a finished, w with a condition, i item of a map).",
    ),
    KeySpec(
        "dag:{goal}:outputs",
        "hash",
        "commit",
        _GOAL_END,
        "Node id to its output: JSON, or `@` and a JSON reference to a large one. No entry: null.",
    ),
    KeySpec(
        "dag:{goal}:dead", "hash", "commit, reap", _GOAL_END, "The dead letters: failed node to the JSON of its reason."
    ),
    KeySpec("dag:{goal}:events", "stream", "every operation", _GOAL_END + "; bounded", "The history of the goal."),
    KeySpec(
        "dag:{goal}:leases",
        "zset",
        "claim, renew, commit, reap",
        _GOAL_END,
        "Leased node by the expiry of its lease, ms.",
    ),
    KeySpec("dag:{goal}:timers", "zset", "commit, reap", _GOAL_END, "Parked node by the time at which it wakes, ms."),
    KeySpec("dag:{goal}:parked", "hash", "commit, wake", _GOAL_END, "Parked node to the JSON of what it waits for."),
    KeySpec("dag:{goal}:children", "hash", "submit", _GOAL_END, "Node of kind goal to the id of its sub-goal."),
    KeySpec(
        "dag:{goal}:chunks",
        "stream",
        "llm workers",
        _GOAL_END + "; an hour after the last piece",
        "Pieces of models' answers while they are written, for calls with `stream`.",
    ),
    KeySpec(
        "dag:{goal}:orders",
        "hash",
        "commands",
        _GOAL_END,
        "Commands that were carried out, `id receiver` to what came of them: each acts once on a receiver.",
    ),
    KeySpec(
        "dag:{goal}:held",
        "hash",
        "hold, release",
        _GOAL_END,
        "What no claim takes: `n:<node>`, `a:<agent>` to the JSON of who holds it, why and since when.",
    ),
    KeySpec(
        "dag:{goal}:aside",
        "zset",
        "claim, release, reap",
        _GOAL_END,
        "READY nodes that a claim met and that are held, by score.",
    ),
    KeySpec(
        "dag:{goal}:told",
        "hash",
        "notifications",
        _GOAL_END,
        "Receivers of the goal's outcomes: how far each was told, JSON; and who tells now.",
    ),
    KeySpec("dag:{goal}:signals", "hash", "wake", _GOAL_END, "Signals that arrived: name to payload."),
    KeySpec("dag:{goal}:ready:<queue>", "zset", "claim, commit", _GOAL_END, "Claimable nodes of a queue, best first."),
    KeySpec("dag:{goal}:lane:<lane>", "zset", "commit", _GOAL_END, "Nodes of a lane in their order."),
    KeySpec(
        "dag:{goal}:dispatch",
        "hash",
        "claim, commit, reap",
        _GOAL_END,
        "Invitations by queue: out, deadline, observed wait, how often unanswered.",
    ),
    KeySpec(
        "dag:{goal}:ripple", "list", "commit, settle", _GOAL_END, "Ended nodes whose edges are still being resolved."
    ),
    KeySpec(
        "task:{goal}:<id>",
        "hash",
        "every operation",
        _GOAL_END,
        "One node: state, attempt, token, what its join still needs.",
    ),
    KeySpec(
        "task:{goal}:<id>:turns",
        "list",
        "commit",
        _GOAL_END,
        "What was said on an agent's node, JSON entry by entry.",
    ),
    KeySpec(
        "task:{goal}:<id>:steer",
        "list",
        "steer, commit",
        _GOAL_END,
        "Messages that wait for the next turn of an agent's node.",
    ),
    KeySpec(
        "dag:{goal}:agents",
        "hash",
        "submit, cards, commit",
        _GOAL_END,
        "Agents that the goal brings, JSON by name; `kit:<digest>`: what an agent may use on its nodes.",
    ),
    KeySpec(
        "task:{goal}:<id>:lock",
        "string",
        "claim, commit, reap",
        "while the node is leased",
        "The lease: token, nonce, worker.",
    ),
)
