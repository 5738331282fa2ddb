"""The keys of the fleet: workers, beat, commands, agents."""

from __future__ import annotations

from typing import Final

from orchestrator.store.key_spec import KeySpec

FLEET_KEYS: Final = (
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
        "{control}:order:<key>",
        "hash",
        "commands",
        "`command_ttl_seconds`",
        "A command by its id: what it asks for, until when, what came of it.",
    ),
    KeySpec(
        "{control}:open", "zset", "commands", "while unanswered", "Commands that were taken in and not answered yet."
    ),
    KeySpec(
        "{control}:audit",
        "stream",
        "commands",
        "the newest `audit_limit`",
        "Who gave which command, and what came of it.",
    ),
    KeySpec(
        "{control}:files",
        "hash",
        "heartbeat files",
        "with the goal, or `chordal heartbeat --remove`",
        "Heartbeat file to the JSON of for whom it is read and where it lies; `*`: the last change.",
    ),
    KeySpec(
        "{control}:cursors",
        "hash",
        "heartbeat files",
        "with the file",
        "Heartbeat file to the JSON of how far it was read.",
    ),
    KeySpec(
        "{control}:lines:<key>",
        "hash",
        "heartbeat files",
        "with the file",
        "Lines of a heartbeat file that were read and still stand there, by hash: how often.",
    ),
    KeySpec(
        "{control}:reading:<key>", "string", "heartbeat files", "15 s", "Who reads a heartbeat file at the moment."
    ),
    KeySpec(
        "{control}:watcher:<key>",
        "string",
        "workers",
        "8 times `heartbeat_seconds`",
        "The worker that watches the heartbeat files of a machine.",
    ),
    KeySpec(
        "{control}:holds",
        "hash",
        "commands",
        "RELEASE",
        "Queues and agents that are held, and a STOP: by whom, why, since when.",
    ),
    KeySpec(
        "{control}:targets",
        "hash",
        "workers",
        "an hour after no worker knows them",
        "Webhook and callbacks: what each wants to be told, since when it is known, when a worker last knew it.",
    ),
    KeySpec(
        "{control}:telling",
        "zset",
        "workers, beat",
        "entry removed when it is told",
        "Goals with outcomes to tell, by the time at which a worker is asked to, ms.",
    ),
    KeySpec(
        "{control}:untold",
        "list",
        "workers, beat",
        "the newest 1,000",
        "JSON of events that a receiver could not be told of: goal, receiver, event, why, when.",
    ),
    KeySpec(
        "fleet:slots", "string", "beat, commands", "60 s", "JSON: slots of the live fleet by queue, and what is held."
    ),
    KeySpec(
        "fleet:poison",
        "list",
        "workers",
        "the newest 100",
        "JSON of broker messages that could not be read: reason, body, headers, when.",
    ),
    KeySpec("beat:ticks", "hash", "beat", "none, one field a duty", "Duty to the JSON of its last tick."),
    KeySpec(
        "beat:beats", "hash", "beat", "entry removed with the process", "Beat process to the JSON of what it last said."
    ),
    KeySpec(
        "beat:roll",
        "hash",
        "beat",
        "an hour after the worker",
        "Worker to the JSON of its state: alive, late, dead, left.",
    ),
    KeySpec(
        "beat:health",
        "list",
        "beat",
        "the newest 480",
        "JSON samples of Redis: memory, round trip, how far beat is behind.",
    ),
    KeySpec(
        "beat:minutes", "hash", "beat", "a ring of 120", "The timeline by minutes: place to the JSON of its bucket."
    ),
    KeySpec("beat:hours", "hash", "beat", "a ring of 336", "The timeline by hours: place to the JSON of its bucket."),
    KeySpec("beat:totals", "hash", "beat", "none, one field", "What was counted since the beginning."),
    KeySpec("beat:levels", "string", "beat", "600 s", "JSON: what was measured last."),
    KeySpec(
        "beat:kept",
        "hash",
        "beat",
        "entry removed with the goal; at most 100",
        "Goals whose removal is put off, to why.",
    ),
    KeySpec("redbeat:*", "hash, zset, string", "celery-redbeat", "by redbeat", "The beat schedule and its lock."),
    KeySpec(
        "agent:<name>:memory:<owner>",
        "list",
        "agents",
        "`flush_memory`; the newest 50, or as the agent says",
        "What an agent remembers for an owner, newest first.",
    ),
)
