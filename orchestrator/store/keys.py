"""Every Redis key that Chordal writes: its name, type, writer and end. Nothing else may be left behind."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class KeySpec:
    """One family of keys. `{goal}` with its braces is part of the name: the hash tag that keeps a goal in one slot."""

    pattern: str
    type: str
    writer: str
    ttl: str
    meaning: str


_GOAL_END: Final = "removed with the goal"
_ACCOUNT_END: Final = "none, one an account"

CATALOGUE: Final = (
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
    KeySpec("goals:index", "zset", "submit, remove", "entry removed with the goal", "Every goal by its creation, ms."),
    KeySpec(
        "goals:due",
        "zset",
        "every operation",
        "entry removed with the goal",
        "Every goal by the time at which beat must look at it, ms.",
    ),
    KeySpec(
        "goals:idem:<owner>:<key>",
        "string",
        "submit",
        "`idempotency_ttl_seconds`",
        "The goal that an idempotency key stands for, and `stored` once it was.",
    ),
    KeySpec(
        "fleet:workers",
        "hash",
        "workers, beat",
        "entry removed when the worker is dead",
        "Worker to the JSON of its last heartbeat.",
    ),
    KeySpec(
        "{llm:<key>}:state",
        "hash",
        "every operation on the account",
        _ACCOUNT_END,
        "An account of LLM calls: sums of the window, fence, pacing, factor, hold, breaker, who ticks and when.",
    ),
    KeySpec(
        "{llm:<key>}:cells",
        "list",
        "begin, tick",
        "cells leave with the window",
        "Cells that hold charges, by their end, ms.",
    ),
    KeySpec(
        "{llm:<key>}:charges",
        "hash",
        "begin, release",
        "with their cells",
        "Requests, input and output tokens by cell.",
    ),
    KeySpec(
        "{llm:<key>}:leases",
        "zset",
        "acquire, renew, release",
        "the lease",
        "Permit by the end of its claim or lease, ms.",
    ),
    KeySpec(
        "{llm:<key>}:held",
        "hash",
        "acquire, begin, release",
        "with their leases",
        "Permit to its JSON: reserved, fence, cell.",
    ),
    KeySpec(
        "{llm:<key>}:owners", "zset", "acquire, tick", "while they wait", "Owner by its start tag: the least is next."
    ),
    KeySpec(
        "{llm:<key>}:flows:<key>", "zset", "acquire, tick", "while they wait", "Goals of an owner by their start tags."
    ),
    KeySpec(
        "{llm:<key>}:virtual",
        "hash",
        "acquire, tick",
        "while they wait",
        "Owner to the virtual time of its goals' turns.",
    ),
    KeySpec(
        "{llm:<key>}:queue",
        "zset",
        "acquire, tick, cancel",
        "while they wait",
        "Waiters by owner, goal, priority and order.",
    ),
    KeySpec(
        "{llm:<key>}:waiters",
        "hash",
        "acquire, tick, cancel",
        "while they wait",
        "Waiter to the JSON of what it asks for.",
    ),
    KeySpec(
        "{llm:<key>}:live",
        "zset",
        "every operation on the account",
        "60 s after the process",
        "Processes by when they count as dead, ms.",
    ),
    KeySpec(
        "{llm:<key>}:in:<key>",
        "list",
        "acquire, release, tick",
        "60 s unread, `in:gate` a day",
        "Inbox of a process: grants and refusals for its waiters. `in:gate` is shared: those of gated calls.",
    ),
    KeySpec(
        "{llm:<key>}:recent",
        "zset",
        "release",
        "60 s, at the next release",
        "Releases by time: one that is sent again is known.",
    ),
    KeySpec(
        "{llm:<key>}:budgets",
        "hash",
        "an operator, a goal",
        "`forget`",
        "Budgets of owners and goals: tokens, micro-USD.",
    ),
    KeySpec(
        "{llm:<key>}:spend",
        "hash",
        "acquire, release",
        "`forget`; the account and its owners stay",
        "Reserved and spent against them.",
    ),
    KeySpec(
        "{llm:<key>}:learned:<key>",
        "list",
        "release",
        "7 days after the last",
        "Output tokens of a model's latest 200 answers in a role, newest first.",
    ),
    KeySpec(
        "{llm:<key>}:events",
        "stream",
        "acquire, release, tick",
        "the newest 10,000",
        "Permits: granted, settled, released.",
    ),
    KeySpec(
        "{llm:<key>}:stated",
        "hash",
        "llm workers",
        _ACCOUNT_END,
        "Limits that were set because the provider stated them.",
    ),
    KeySpec(
        "llm:cache:<key>",
        "string",
        "llm workers",
        "the request's `cache_seconds`",
        "Kept answer, by the request's hash.",
    ),
    KeySpec(
        "{llm-flight:<key>}:lease",
        "string",
        "llm workers",
        "10 s without renewal",
        "Who makes the call that others ask too, by the request's hash.",
    ),
    KeySpec(
        "{llm-flight:<key>}:out",
        "string",
        "llm workers",
        "30 s",
        "What became of the last one: answer or failure, JSON.",
    ),
    KeySpec("fleet:slots", "string", "beat", "60 s", "JSON: slots of the live fleet by queue."),
    KeySpec(
        "fleet:poison",
        "list",
        "workers",
        "the newest 100",
        "JSON of broker messages that could not be read: reason, body, headers, when.",
    ),
    KeySpec("beat:ticks", "hash", "beat", "none, one field a duty", "Duty to the JSON of its last tick."),
    KeySpec("redbeat:*", "hash, zset, string", "celery-redbeat", "by redbeat", "The beat schedule and its lock."),
    KeySpec(
        "agent:<name>:memory:<owner>",
        "list",
        "agents",
        "`flush_memory`; the newest 50, or as the agent says",
        "What an agent remembers for an owner, newest first.",
    ),
)


@dataclass(frozen=True, slots=True)
class Keys:
    """Names of keys under one prefix."""

    prefix: str = ""

    def goal(self, goal: str) -> str:
        """The goal's record; the goal's other keys begin with it."""
        return f"{self.prefix}dag:{{{goal}}}"

    def tasks(self, goal: str) -> str:
        """What the keys of the goal's nodes begin with."""
        return f"{self.prefix}task:{{{goal}}}"

    def pair(self, goal: str) -> tuple[str, str]:
        """The two keys that every script on a goal declares."""
        return self.goal(goal), self.tasks(goal)

    def part(self, goal: str, name: str) -> str:
        """One of the goal's keys, such as `nodes` or `events`."""
        return f"{self.goal(goal)}:{name}"

    def task(self, goal: str, node: str) -> str:
        """The node's record."""
        return f"{self.tasks(goal)}:{node}"

    def idempotency(self, owner: str, key: str) -> str:
        """Where an idempotency key is remembered."""
        return f"{self.prefix}goals:idem:{owner}:{key}"

    def llm(self, account: str) -> str:
        """The record of an account of LLM calls; its other keys begin with the same tag."""
        return f"{self.prefix}{{llm:{account}}}:state"

    def llm_part(self, account: str, name: str) -> str:
        """One of the account's keys, such as `events`."""
        return f"{self.prefix}{{llm:{account}}}:{name}"

    def llm_cache(self, request: str) -> str:
        """A kept answer, by the hash of its request."""
        return f"{self.prefix}llm:cache:{request}"

    def llm_flight(self, request: str, name: str) -> str:
        """A part of a call that several wait for, by the hash of its request."""
        return f"{self.prefix}{{llm-flight:{request}}}:{name}"

    def memory(self, owner: str, agent: str) -> str:
        """What an agent remembers for an owner."""
        return f"{self.prefix}agent:{agent}:memory:{owner}"

    @property
    def index(self) -> str:
        """Every goal by creation."""
        return f"{self.prefix}goals:index"

    @property
    def due(self) -> str:
        """Every goal by when it must be looked at."""
        return f"{self.prefix}goals:due"

    @property
    def workers(self) -> str:
        """Heartbeats of worker processes."""
        return f"{self.prefix}fleet:workers"

    @property
    def slots(self) -> str:
        """Slots of the live fleet by queue."""
        return f"{self.prefix}fleet:slots"

    @property
    def poison(self) -> str:
        """Broker messages that could not be read."""
        return f"{self.prefix}fleet:poison"

    @property
    def ticks(self) -> str:
        """Last tick of each beat duty."""
        return f"{self.prefix}beat:ticks"
