"""The service behind every door: once for an id, answered as the first time, refused with the state, all of it in the trail."""

from __future__ import annotations

import json
from typing import Any

import pytest

from orchestrator.control import service as module
from orchestrator.control.acts import act_on
from orchestrator.control.policy import Policy
from orchestrator.control.service import Commands
from orchestrator.domain.command import Answer, Code, Door, read_command
from orchestrator.domain.errors import GoalNotFound, IllegalTransition
from orchestrator.store.connection import ConnectionFailed, Refused
from support.crew import Crew
from support.servers import until


def give(crew: Crew, name: str, /, door: Door = Door.CLI, sender: str = "ann", **given: Any) -> Answer:
    return crew.wired.commands.carry_out(read_command({"command": name, **given}, door, sender))


def trail(crew: Crew) -> list[dict[str, str]]:
    return [dict(entry.fields) for entry in crew.store.control.audit()]


def applied(crew: Crew, goal: str = "g") -> list[dict[str, Any]]:
    return [
        json.loads(fields["data"])
        for _, fields in crew.store.goals.events(goal, "0", 10_000)
        if fields["type"] == "command.applied"
    ]


def state(crew: Crew, goal: str = "g") -> str:
    return str(crew.store.goals.record(goal)["state"])


def test_a_command_acts_answers_and_stands_in_the_trail_and_in_the_history(crew: Crew) -> None:
    crew.submit(["a"])
    answer = give(crew, "PAUSE", goal="g", reason="lunch", id="p1")
    assert (answer.code, answer.outcome, answer.receivers, answer.repeated) == (Code.OK, "paused", 1, False)
    assert state(crew) == "PAUSED"
    (event,) = applied(crew)
    assert {name: event[name] for name in ("command", "by", "reason", "outcome")} == {
        "command": "p1", "by": "cli:ann", "reason": "lunch", "outcome": "paused",
    }  # fmt: skip
    (entry,) = trail(crew)
    assert entry["command_id"] == "p1"
    assert (entry["command"], entry["target"], entry["door"], entry["sender"]) == ("PAUSE", "goal g", "cli", "ann")
    assert (entry["reason"], entry["outcome"], entry["code"]) == ("lunch", "paused", "200")


def test_the_same_id_acts_once_and_is_answered_as_the_first_time(crew: Crew) -> None:
    crew.submit(["a"])
    first = give(crew, "PAUSE", goal="g", id="p1")
    give(crew, "RESUME", goal="g")
    again = give(crew, "PAUSE", goal="g", id="p1", door=Door.CELERY, sender="other")
    assert (again.outcome, again.repeated, again.effects) == ("paused", True, first.effects)
    assert state(crew) == "RUNNING", "a repetition that comes late pauses nothing"
    assert [entry["outcome"] for entry in trail(crew)] == ["paused", "resumed", "repeated"]


def test_an_id_of_another_command_is_refused(crew: Crew) -> None:
    crew.submit(["a"])
    give(crew, "PAUSE", goal="g", id="p1")
    answer = give(crew, "CANCEL", goal="g", id="p1")
    assert answer.code == Code.REFUSED
    assert "another command" in answer.message
    assert state(crew) == "PAUSED"


def test_an_impossible_command_is_refused_with_the_state_it_met(crew: Crew) -> None:
    crew.submit(["a"])
    crew.work()
    answer = give(crew, "PAUSE", goal="g", reason="too late")
    assert answer.code == Code.REFUSED
    assert "DONE" in answer.message
    assert (trail(crew)[0]["outcome"], trail(crew)[0]["code"]) == ("refused", "409")
    assert give(crew, "PAUSE", goal="absent").code == Code.NOT_FOUND
    with pytest.raises(GoalNotFound):
        crew.wired.command("PAUSE", goal="absent")
    with pytest.raises(IllegalTransition, match="DONE"):
        crew.wired.pause("g")


def test_a_refusal_is_repeated_too(crew: Crew) -> None:
    crew.submit(["a"])
    crew.work()
    give(crew, "PAUSE", goal="g", id="p1")
    again = give(crew, "PAUSE", goal="g", id="p1")
    assert (again.code, again.repeated) == (Code.REFUSED, True)
    with pytest.raises(IllegalTransition, match="DONE"):
        crew.wired.commands.act(read_command({"command": "PAUSE", "goal": "g", "id": "p1"}, Door.CLI, "ann"))


def test_what_the_policy_forbids_leaves_a_trace_and_nothing_else(crew: Crew, monkeypatch: pytest.MonkeyPatch) -> None:
    crew.submit(["a"])
    with monkeypatch.context() as patch:
        patch.setitem(crew.wired.commands.__dict__, "policy", Policy(frozenset(), said="production"))
        answer = give(crew, "PAUSE", goal="g", id="p1")
    assert answer.code == Code.DENIED
    assert "production" in answer.message
    assert state(crew) == "RUNNING"
    assert trail(crew)[0]["outcome"] == "denied"
    assert give(crew, "PAUSE", goal="g", id="p1").outcome == "paused", "once it is allowed the id is as good as new"


def test_a_broadcast_reaches_each_goal_once_and_says_where_it_could_not(crew: Crew) -> None:
    for name, owner in (("a1", "a"), ("a2", "a"), ("b1", "b"), ("a3", "a")):
        crew.submit(["x"], goal_id=name, owner=owner)
    crew.wired.pause("a2")
    answer = give(crew, "PAUSE", owner="a", id="p1")
    assert {effect.goal: effect.outcome for effect in answer.effects} == {
        "a1": "paused", "a2": "unchanged", "a3": "paused",
    }  # fmt: skip
    assert (answer.outcome, answer.receivers) == ("done", 3)
    assert state(crew, "b1") == "RUNNING"
    give(crew, "RESUME", all=True)
    assert [state(crew, name) for name in ("a1", "a2", "a3", "b1")] == ["RUNNING"] * 4
    assert give(crew, "PAUSE", owner="a", id="p1").repeated
    assert state(crew, "a1") == "RUNNING"


def test_what_its_caller_left_half_done_is_carried_out_by_beat(crew: Crew, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("g1", "g2", "g3"):
        crew.submit(["x"], goal_id=name)
    commands = crew.wired.commands
    acted: list[str] = []
    real = act_on

    def dies(parts: Any, command: Any, goal: str, order: Any) -> Any:
        if acted:
            raise ConnectionFailed[0]("cut")
        acted.append(goal)
        return real(parts, command, goal, order)

    with monkeypatch.context() as patch:
        patch.setattr(module, "act_on", dies)
        with pytest.raises(ConnectionFailed):
            give(crew, "PAUSE", all=True, id="p1")
    assert [state(crew, name) for name in ("g1", "g2", "g3")].count("PAUSED") == 1
    crew.wired.resume(acted[0])
    monkeypatch.setattr(module, "AGAIN_MS", -1)
    assert commands.resume_open() == "1 unanswered commands"
    assert [state(crew, name) for name in sorted({"g1", "g2", "g3"} - set(acted))] == ["PAUSED"] * 2
    assert state(crew, acted[0]) == "RUNNING", "who had acted does not act again"
    assert commands.resume_open() == "none unanswered"
    assert give(crew, "PAUSE", all=True, id="p1").repeated
    assert [entry["sender"] for entry in trail(crew) if entry["command_id"] == "p1"] == ["ann", "ann"]


def test_nothing_acts_after_its_expiry(crew: Crew, monkeypatch: pytest.MonkeyPatch) -> None:
    crew.submit(["a"])
    with monkeypatch.context() as patch:
        patch.setattr(module, "act_on", lambda *_: (_ for _ in ()).throw(ConnectionFailed[0]("cut")))
        with pytest.raises(ConnectionFailed):
            give(crew, "PAUSE", goal="g", id="p1", expires_seconds=0.1)
    now = crew.store.goals.clock_ms()
    until(lambda: crew.store.goals.clock_ms() > now + 100)
    monkeypatch.setattr(module, "AGAIN_MS", -1)
    crew.wired.commands.resume_open()
    assert state(crew) == "RUNNING"
    assert give(crew, "PAUSE", goal="g", id="p1", expires_seconds=0.1).code == Code.EXPIRED


def test_what_redis_does_not_take_now_is_carried_out_later(crew: Crew, monkeypatch: pytest.MonkeyPatch) -> None:
    crew.submit(["a"])
    with monkeypatch.context() as patch:
        refused = Refused("MISCONF Redis is configured to save RDB snapshots")
        patch.setattr(module, "act_on", lambda *_: (_ for _ in ()).throw(refused))
        with pytest.raises(Refused):
            give(crew, "PAUSE", goal="g", id="p1")
        monkeypatch.setattr(module, "AGAIN_MS", -1)
        with pytest.raises(Refused):
            crew.wired.commands.resume_open()
    crew.wired.commands.resume_open()
    assert state(crew) == "PAUSED"


def test_a_fault_of_ours_is_an_answer_and_not_the_end_of_beat(crew: Crew, monkeypatch: pytest.MonkeyPatch) -> None:
    crew.submit(["a"])
    monkeypatch.setattr(module, "act_on", lambda *_: 1 / 0)
    answer = give(crew, "PAUSE", goal="g")
    assert (answer.code, answer.outcome) == (Code.FAILED, "failed")
    assert "ZeroDivisionError" in answer.message


def test_the_trail_shows_no_prompt_and_no_input(crew: Crew) -> None:
    crew.submit([{"id": "a", "inputs": {"x": 1}}])
    give(crew, "EDIT", goal="g", node="a", set={"x": "canary-4711"})
    give(crew, "SIGNAL", goal="g", name="paid", payload={"card": "canary-4711"})
    text = json.dumps(trail(crew))
    assert "canary" not in text
    assert '\\"name\\": \\"paid\\"' in text


def test_holds_and_stop_of_the_fleet_reach_what_every_claim_is_told(crew: Crew) -> None:
    crew.submit([{"id": "a", "queue": "gpu"}, {"id": "b"}])
    assert give(crew, "HOLD", queue="gpu", reason="new driver").outcome == "held"
    assert json.loads(crew.store.fleet.slots() or "{}")["*held"]["queues"] == {"gpu": 1}
    assert give(crew, "HOLD", queue="gpu").outcome == "unchanged"
    assert give(crew, "STOP", all=True).outcome == "stopped"
    assert crew.store.control.holds()["fleet"]["by"] == "cli:ann"
    assert give(crew, "RELEASE", all=True).outcome == "released"
    assert "*held" not in json.loads(crew.store.fleet.slots() or "{}")


def test_the_service_says_why_the_queue_of_calls_is_held_elsewhere(crew: Crew) -> None:
    answer = give(crew, "HOLD", queue="llm")
    assert answer.code == Code.REFUSED
    assert "chordal llm drain" in answer.message


def test_an_agent_forgets_once_for_a_command(crew: Crew) -> None:
    crew.store.agents.remember("o", "writer", "{}", 10)
    assert give(crew, "FLUSH-MEMORY", agent="writer", owner="o", id="f1").extra["entries"] == "1"
    crew.store.agents.remember("o", "writer", "{}", 10)
    assert give(crew, "FLUSH-MEMORY", agent="writer", owner="o", id="f1").repeated
    assert crew.store.agents.memory("o", "writer", 10) == ["{}"]


def test_commands_is_what_chordal_gives(crew: Crew) -> None:
    assert isinstance(crew.wired.commands, Commands)
