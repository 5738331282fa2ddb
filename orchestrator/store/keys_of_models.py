"""The keys of the line before the models."""

from __future__ import annotations

from typing import Final

from orchestrator.store.key_spec import KeySpec

_ACCOUNT_END: Final = "none, one an account"

MODEL_KEYS: Final = (
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
)
