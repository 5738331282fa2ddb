"""The operator's commands on a real server: what they print, their JSON, their exit codes."""

from __future__ import annotations

import json
from typing import Any

import pytest
from click.testing import CliRunner, Result

from orchestrator.cli.main import chordal
from orchestrator.domain.errors import NodeFailed
from orchestrator.store.fleet import Tick, Worker
from orchestrator.store.store import Store
from support.crew import Crew


def boom() -> None:
    raise NodeFailed("boom \x1b[31m")


@pytest.fixture
def fleet(crew: Crew) -> Crew:
    """A worker that holds nothing, a goal that is done, one that failed, one that waits."""
    crew.store.fleet.beat(Worker("w1@a", 7, 4, ("default",), "prefork", 0.0))
    crew.store.fleet.record_ticks({"reap": Tick(0.01, 1.0, "")})
    crew.function(boom)
    crew.submit(["a"], goal_id="well", owner="ann")
    crew.submit([{"id": "a", "call": "boom"}], goal_id="bad", owner="bob")
    crew.submit([{"id": "ask", "kind": "approval"}], goal_id="asks")
    crew.work()
    return crew


def run(store: Store, *words: str, code: int = 0) -> Result:
    result = CliRunner().invoke(chordal, ["--redis-url", store.url, *words])
    assert result.exit_code == code, result.output
    return result


def document(store: Store, *words: str, code: int = 0) -> Any:
    return json.loads(run(store, *words, "--json", code=code).stdout)


def lines(store: Store, *words: str) -> list[Any]:
    return [json.loads(line) for line in run(store, *words, "--json").stdout.splitlines()]


def test_why(fleet: Crew) -> None:
    said = run(fleet.store, "why", "asks").stdout.splitlines()
    assert said[0] == "asks: RUNNING"
    assert said[1].startswith("  waits for somebody: ask: it has been waiting for a person's yes or no for")
    assert said[2] == "      chordal approve asks ask, or chordal reject asks ask"
    found = document(fleet.store, "why", "asks", "ask")
    assert (found["goal_id"], found["node"], found["node_state"]) == ("asks", "ask", "WAITING")
    assert found["reasons"][0]["cause"] == "approval"
    assert found["reasons"][0]["level"] == "waits for somebody"
    assert document(fleet.store, "why", "ghost", code=2)["error"]["type"] == "GoalNotFound"
    assert document(fleet.store, "why", "asks", "ghost", code=2)["error"]["type"] == "NodeNotFound"
    assert "\x1b" not in run(fleet.store, "why", "bad").stdout


def test_workers(fleet: Crew) -> None:
    (worker,) = document(fleet.store, "workers")
    assert (worker["name"], worker["alive"], worker["slots"], worker["queues"], worker["holds"]) == (
        "w1@a", True, 4, ["default"], [],
    )  # fmt: skip
    assert "w1@a    alive  7    0/4    default" in run(fleet.store, "workers").stdout
    fleet.store.fleet.leave("w1@a")
    assert "no workers" in run(fleet.store, "workers").stderr


def test_history_and_its_figures(fleet: Crew) -> None:
    assert {one["goal_id"] for one in document(fleet.store, "history")} == {"well", "bad"}
    assert [one["goal_id"] for one in document(fleet.store, "history", "--state", "FAILED")] == ["bad"]
    assert [one["goal_id"] for one in document(fleet.store, "history", "--owner", "ann", "--since", "1h")] == ["well"]
    assert document(fleet.store, "history", "--limit", "1")[0]["goal_id"] == "bad", "the latest end first"
    figures = document(fleet.store, "history", "--stats")
    assert (figures["goals"], figures["states"], figures["success_percent"], figures["nodes_failed"]) == (
        2, {"DONE": 1, "FAILED": 1}, 50.0, 1,
    )  # fmt: skip
    assert figures["owners"] == {"ann": 1, "bob": 1}
    assert "2 goals have ended: 1 DONE, 1 FAILED; success 50 %" in run(fleet.store, "history", "--stats").stdout
    assert "no goal has ended that fits" in run(fleet.store, "history", "--owner", "eve").stderr
    assert run(fleet.store, "history", "--stats", "--owner", "eve").stdout.startswith("0 goals have ended: none")
    run(fleet.store, "history", "--since", "soon", code=2)


def test_dead_letters_from_list_to_drop(fleet: Crew) -> None:
    (letter,) = document(fleet.store, "dead", "list")
    assert (letter["id"], letter["kind"], letter["reason"], letter["owner"]) == ("bad/a", "node", "error", "bob")
    assert r"boom \x1b[31m" in run(fleet.store, "dead", "show", "bad/a").stdout
    assert run(fleet.store, "dead", "drop", "bad/a", "--reason", "known").stdout == "bad/a: dropped\n"
    assert document(fleet.store, "dead", "drop", "bad/a") == {"letter": "bad/a", "outcome": "known"}
    assert "no dead letters" in run(fleet.store, "dead", "list").stderr
    assert [one["id"] for one in document(fleet.store, "dead", "list", "--all", "--goal", "bad")] == ["bad/a"]
    assert document(fleet.store, "dead", "show", "well/a", code=2)["error"]["type"] == "LetterNotFound"
    run(fleet.store, "dead", "show", "bad/../x", code=2)


def test_requeue_of_a_node_is_a_retry(fleet: Crew) -> None:
    answer = document(fleet.store, "dead", "requeue", "bad/a", "--reason", "mended")
    assert (answer["command"], answer["outcome"], answer["goal_id"], answer["node"]) == ("RETRY", "retried", "bad", "a")
    assert fleet.state("bad") == "RUNNING"
    assert document(fleet.store, "dead", "list") == []
    document(fleet.store, "dead", "requeue", "bad/a", code=2)
    told = [one for one in lines(fleet.store, "audit") if one["command"] == "RETRY"]
    assert [one["outcome"] for one in told] == ["retried", "refused"]
    fleet.wired.cancel("bad")
    fleet.store.client.delete(*fleet.store.client.keys("_kombu*"), *fleet.store.client.keys("default*"))


def test_under_a_read_only_policy_no_letter_is_dropped(fleet: Crew, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CHORDAL_POLICY", "production")
    for words in (("drop", "bad/a"), ("requeue", "bad/a"), ("drop", "m-000000000000"), ("requeue", "m-000000000000")):
        assert document(fleet.store, "dead", *words, code=2)["error"]["type"] == "Denied"
    assert len(document(fleet.store, "dead", "list")) == 1


def test_audit(fleet: Crew) -> None:
    run(fleet.store, "pause", "asks", "--reason", "lunch \x1b[2J")
    run(fleet.store, "resume", "asks")
    run(fleet.store, "pause", "well", code=2)
    found = lines(fleet.store, "audit")
    assert [(one["command"], one["target"], one["outcome"]) for one in found] == [
        ("PAUSE", "goal asks", "paused"), ("RESUME", "goal asks", "resumed"), ("PAUSE", "goal well", "refused"),
    ]  # fmt: skip
    assert [one["command"] for one in lines(fleet.store, "audit", "--limit", "1")] == ["PAUSE"]
    assert [one["target"] for one in lines(fleet.store, "audit", "--after", found[1]["id"])] == ["goal well"]
    assert len(lines(fleet.store, "audit", "--target", "asks")) == 2
    assert lines(fleet.store, "audit", "--sender", "python:") == []
    assert [one["command"] for one in lines(fleet.store, "audit", "--target", "asks", "--limit", "1")] == ["RESUME"]
    text = run(fleet.store, "audit").stdout
    assert 'PAUSE goal asks  paused, because "lunch \\x1b[2J"' in text


def test_an_entry_is_found_behind_many_others(fleet: Crew, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("orchestrator.cli.history.PAGE", 3)
    for target in ("old", *["busy"] * 9):
        fleet.store.control.close("", "", 100, {"command": "PAUSE", "target": f"goal {target}"})
    (found,) = lines(fleet.store, "audit", "--target", "old")
    assert len(lines(fleet.store, "audit", "--limit", "4")) == 4
    after = lines(fleet.store, "audit", "--target", "busy", "--after", found["id"], "--limit", "7")
    assert [one["id"] for one in after] == sorted(one["id"] for one in after)
    assert len(after) == 7


@pytest.mark.parametrize("words", [("audit",), ("events", "well")])
@pytest.mark.parametrize("id", ["xx", "1-2-3", f"{2**64}-0", "-1"])
def test_an_id_that_is_none_is_refused(fleet: Crew, words: tuple[str, ...], id: str) -> None:
    assert "no such id" in document(fleet.store, *words, f"--after={id}", code=2)["error"]["message"]


def test_top(fleet: Crew) -> None:
    found = document(fleet.store, "top")
    assert [(row["goal"], row["waiting"], row["ended"], row["total"]) for row in found["goals"]] == [("asks", 1, 0, 1)]
    assert (found["open_goals"], found["beat_late"], found["workers"][0]["name"]) == (1, False, "w1@a")
    text = run(fleet.store, "top").stdout
    assert "1 open goals, 1 workers, 0/4 slots busy" in text
    assert "asks" in text
    fleet.store.control.hold("c", ["fleet"], '{"by": "cli:ann", "reason": "x", "at": 1}')
    assert "the fleet is stopped by cli:ann" in run(fleet.store, "top", "--once").stdout


def test_events_by_kind_and_the_last_of_them(fleet: Crew) -> None:
    every = lines(fleet.store, "events", "well")
    assert lines(fleet.store, "events", "well", "--last", "2") == every[-2:]
    assert lines(fleet.store, "events", "well", "--last", "0") == []
    assert [one["type"] for one in lines(fleet.store, "events", "well", "--type", "node.*")] == [
        "node.claimed",
        "node.done",
    ]
    run(fleet.store, "events", code=2)
    run(fleet.store, "events", "--follow", "--last", "3", code=2)


def test_doctor_quiet(fleet: Crew) -> None:
    assert any(one["ok"] for one in document(fleet.store, "doctor"))
    quiet = document(fleet.store, "doctor", "--quiet")
    assert not any(one["ok"] for one in quiet)
    assert "goal asks" in {one["name"] for one in quiet}
