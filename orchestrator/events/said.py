"""I15: what is stored of an agent's turns agrees with their events: answers in order, one result a call."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

from orchestrator.events.source import chunks
from orchestrator.events.story import Story, Told
from orchestrator.events.violation import Violation
from orchestrator.store.store import Store


def read_said(store: Store, goal: str, nodes: list[str]) -> dict[str, list[dict[str, Any]]]:
    """The transcripts of nodes, entry by entry."""
    found: dict[str, list[dict[str, Any]]] = {}
    for part in chunks(nodes):
        with store.client.pipeline(transaction=False) as pipe:
            for name in part:
                pipe.lrange(f"{store.keys.task(goal, name)}:turns", 0, -1)
            found |= {
                name: [json.loads(text) for text in texts] for name, texts in zip(part, pipe.execute(), strict=True)
            }  # fmt: skip
    return found


def transcripts(said: Mapping[str, list[dict[str, Any]]], story: Story) -> Iterator[Violation]:
    """What is wrong with stored transcripts, beside what the history tells."""
    for name, entries in said.items():
        node = story.node(name)
        latest = 0 if node.turn is None and node.state != Told.UNKNOWN else node.turn
        yield from (Violation("I15", name, "", text) for text in _faults(entries, latest))


def _faults(entries: list[dict[str, Any]], latest: int | None) -> Iterator[str]:
    turn, open_calls = 0, Counter[str]()
    for entry in entries:
        if entry["kind"] == "answer":
            if entry["turn"] != turn + 1:
                yield f"in its transcript turn {entry['turn']} follows turn {turn}"
            if open_calls:
                yield f"turn {entry['turn']} was taken before the calls of turn {turn} had their results"
            turn = entry["turn"]
            open_calls = Counter(call["id"] for call in entry.get("calls", ()))
        elif entry["kind"] == "results":
            given = Counter(result["id"] for result in entry["results"])
            if given != open_calls:
                yield f"the calls of turn {turn} have {given.total()} results, there were {open_calls.total()} calls"
            open_calls = Counter()
    if latest is not None and turn != latest:
        yield f"its transcript ends with turn {turn}, its history with turn {latest}"
