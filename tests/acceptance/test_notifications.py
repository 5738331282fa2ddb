"""Webhooks and callbacks of real workers: nothing is missed when receivers are away and workers are killed."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

from orchestrator.notify.signing import verify
from support.receiver import Receiver, receiver
from support.servers import Fleet, Server, until

SECRET = "a long enough secret"
WORK = """
import os
from orchestrator import node, on

@node
def fails():
    raise ValueError("no luck")

@on("goal.*", "node.failed", name="book")
def book(notice):
    with open("book.txt", "a") as file:
        file.write(f"{notice.goal} {notice.type} {notice.id}\\n")
"""
WANTED = ["node.failed", "goal.done"]
BOOKED = ["goal.submitted", "goal.started", *WANTED]


def submit(fleet: Fleet, goal: str) -> None:
    fleet.chordal().submit(
        {
            "goal_id": goal,
            "nodes": [{"id": "a"}, {"id": "b", "call": "work:fails"}, {"id": "c"}],
            "edges": [{"source": "a", "target": "b"}, {"source": "b", "target": "c", "on": "failed"}],
        }
    )


def by_goal(hook: Receiver) -> dict[str, list[str]]:
    """The types that came for each goal, in order, without repetitions."""
    found: dict[str, dict[str, str]] = {}
    with hook.lock:
        for one in hook.got:
            found.setdefault(one.json["goal"], {}).setdefault(one.headers["Chordal-Event-Id"], one.json["type"])
    return {goal: list(types.values()) for goal, types in found.items()}


def booked(path: Path) -> dict[str, list[str]]:
    """The same of the callback."""
    found: dict[str, dict[str, str]] = {}
    for line in path.read_text().splitlines() if path.exists() else ():
        goal, kind, name = line.split()
        found.setdefault(goal, {}).setdefault(name, kind)
    return {goal: list(types.values()) for goal, types in found.items()}


def test_each_outcome_is_told_although_the_receiver_is_away_and_workers_are_killed(
    fleet: Callable[..., Fleet],
    redis_server: Server,
) -> None:
    with receiver() as hook:
        one = fleet(
            {"work.py": WORK}, CHORDAL_IMPORTS="work", CHORDAL_WEBHOOK_URL=hook.url, CHORDAL_WEBHOOK_SECRET=SECRET,
            CHORDAL_NOTIFY_BACKOFF_SECONDS=0.5,
        )  # fmt: skip
        first = one.worker("w1")
        one.worker("w2")
        one.beat()
        hook.status = 503
        goals = [f"g{index}" for index in range(12)]
        for goal in goals:
            submit(one, goal)
        until(lambda: len(booked(one.folder / "book.txt")) == len(goals), 40, "the callback is told meanwhile")
        until(lambda: len(hook.got) >= 2, 20, "the webhook was tried")
        first.kill()
        hook.status = 204
        until(lambda: by_goal(hook) == dict.fromkeys(goals, WANTED), 60, "all outcomes, in order")
        until(lambda: one.chordal().store.tell.waiting()[0] == 0, 90, "nothing is left to tell")
        told = booked(one.folder / "book.txt")
        assert told == dict.fromkeys(goals, BOOKED)
        assert all(verify(SECRET, got.headers, got.body, time.time()) for got in hook.got)
        assert one.chordal().store.tell.untold() == []
        assert not [proc.log for proc in one.procs if SECRET in proc.text()]
        kept = [path for path in redis_server.folder.rglob("*.aof*") if path.is_file()]
        assert any(b"node.failed" in path.read_bytes() for path in kept)
        assert not [path for path in kept if SECRET.encode() in path.read_bytes()]


def test_an_end_is_told_at_once_and_a_failure_on_the_way_within_seconds(fleet: Callable[..., Fleet]) -> None:
    with receiver() as hook:
        one = fleet({"work.py": WORK}, CHORDAL_IMPORTS="work", CHORDAL_WEBHOOK_URL=hook.url)
        one.worker("w1")
        one.beat()
        chordal = one.chordal()
        nodes = [{"id": "b", "call": "work:fails"}, {"id": "person", "kind": "approval"}]
        chordal.submit({"goal_id": "g", "nodes": nodes})
        until(lambda: hook.told() == [("g", "node.failed", "b")], 15, "the failure")
        chordal.approve("g", "person")
        begun = time.monotonic()
        until(lambda: len(hook.got) == 2, 15, "the end")
        assert time.monotonic() - begun < 3.0
        assert hook.told()[-1] == ("g", "goal.failed", "")
        assert "Chordal-Signature" not in hook.got[0].headers
