"""Agents' nodes on a real store, step by step: turns, steering, failures, recovery, memory, instructions."""

from __future__ import annotations

import json
from typing import Any

import pytest

from orchestrator.agents.agent import AGENTS, Agent, AgentEvent, Agents
from orchestrator.agents.desk import BadMessage
from orchestrator.domain.errors import IllegalTransition
from orchestrator.events.check import check_goal
from orchestrator.llm.scripted import Step
from support.agent_steps import Talks, desk, said, submit, turn, wants


def test_an_agent_without_tools_answers_once(talks: Talks) -> None:
    one = talks(turn(1, "the answer"))
    submit(one, {"name": "writer", "instructions": "Write well."})
    one.work()
    assert one.crew.state() == "DONE"
    output = one.crew.output("n")
    assert (output["text"], output["output"], output["turns"]) == ("the answer", "the answer", 1)
    (call,) = one.provider.calls
    assert "Write well." in call.request.messages[0].text
    assert "the task" in call.request.messages[1].text
    assert check_goal(one.crew.store, "g") == []


def test_between_two_steps_an_agent_holds_nothing(talks: Talks) -> None:
    one = talks(turn(1, "", wants("look", word="x")), turn(2, "done"))
    submit(one, {"name": "writer", "tools": ["look"]})
    one.crew.work()
    assert one.crew.states() == {"n": "WAITING"}
    assert one.crew.store.client.zcard("dag:{g}:leases") == 0
    one.step()
    assert one.crew.states()["n"] == "WAITING"
    assert one.crew.store.client.zcard("dag:{g}:leases") == 0
    assert not one.limiter.status("first").leases
    one.work()
    assert one.crew.state() == "DONE"


def test_messages_are_taken_in_in_order_at_the_next_turn_and_only_once(talks: Talks) -> None:
    one = talks(turn(1, "", wants("look", word="x")), turn(2, "done"))
    submit(one, {"name": "writer", "tools": ["look"]})
    one.crew.work()
    assert desk(one).steer("g", "n", ["first", {"role": "system", "content": "second"}], id="m") == "steered"
    assert desk(one).steer("g", "n", ["first", {"role": "system", "content": "second"}], id="m") == "known"
    assert [entry.get("waiting") for entry in desk(one).transcript("g", "n")] == [True, True]
    one.work()
    asked = [[message.text for message in call.request.messages] for call in one.provider.calls]
    assert asked[0][-2:] == ["first", "second"]
    assert asked[1].count("first") == 1
    assert said(one) == ["steered", "steered", "answer", "results", "answer"]
    with pytest.raises(IllegalTransition, match="DONE"):
        desk(one).steer("g", "n", "too late")
    with pytest.raises(BadMessage):
        desk(one).steer("g", "n", [{"role": "tool", "content": "x"}])


@pytest.mark.parametrize("name", ["", "a b", "x" * 129, "a\n", "\ud800", "ä", "a\x00b"])
def test_the_id_of_a_message_is_checked_before_it_is_stored(talks: Talks, name: str) -> None:
    one = talks(turn(1, "done"))
    submit(one, {"name": "writer"})
    one.crew.work()
    with pytest.raises(BadMessage, match="1 to 128"):
        desk(one).steer("g", "n", "listen", id=name)
    assert desk(one).transcript("g", "n") == []
    assert desk(one).steer("g", "n", "listen", id="A.b_c:1-" + "x" * 120) == "steered"


def test_half_a_character_in_a_message_is_replaced(talks: Talks) -> None:
    one = talks(turn(1, "done"))
    submit(one, {"name": "writer"})
    one.crew.work()
    assert desk(one).steer("g", "n", "half \ud83d") == "steered"
    one.work()
    assert "half ?" in [message.text for message in one.provider.calls[0].request.messages]


def test_what_was_sent_before_is_known_when_the_node_has_ended(talks: Talks) -> None:
    one = talks(turn(1, "done"))
    submit(one, {"name": "writer"})
    one.crew.work()
    desk(one).steer("g", "n", ["first", "second"], id="m")
    one.work()
    assert one.crew.state() == "DONE"
    assert desk(one).steer("g", "n", ["first", "second"], id="m") == "known"


def test_an_agent_whose_last_turn_brought_too_much_goes_on_with_parts_of_it(talks: Talks) -> None:
    one = talks(
        turn(1, "", *(wants("look", word="w" * 30_000) for _ in range(16))),
        turn(2, "done"),
        models={"a": {"account": "first", "context_tokens": 16_000}},
    )
    submit(one, {"name": "writer", "tools": ["look"]})
    one.crew.work()
    desk(one).steer("g", "n", ["z" * 60_000] * 20)
    one.work()
    assert one.crew.state() == "DONE"
    texts = [message.text for message in one.provider.calls[-1].request.messages]
    assert any(text.endswith(" bytes]") for text in texts)
    assert check_goal(one.crew.store, "g") == []


def test_a_message_that_comes_during_the_last_turn_is_read_before_the_agent_ends(talks: Talks) -> None:
    one = talks(turn(1, "early"), turn(2, "whole"))
    submit(one, {"name": "writer"})
    one.crew.work()
    send = one.provider.send

    def interrupted(call: Any) -> Any:
        if len(one.provider.calls) == 0:
            desk(one).steer("g", "n", "wait, also this")
        return send(call)

    one.provider.send = interrupted  # type: ignore[method-assign]
    one.work()
    assert one.crew.state() == "DONE"
    assert one.crew.output("n")["text"] == "whole"
    assert said(one) == ["answer", "steered", "answer"]
    assert check_goal(one.crew.store, "g") == []


def test_a_message_survives_a_turn_that_failed(talks: Talks) -> None:
    failing = Step.model_validate({"failure": {"kind": "server", "status": 500}, "times": 2})
    one = talks(failing, turn(1, "done"), retry={"attempts": 1, "backoff_seconds": 0.0})
    submit(one, {"name": "writer"})
    one.crew.work()
    desk(one).steer("g", "n", "listen")
    for _ in range(4):
        one.later(400)
        one.work()
    assert one.crew.state() == "DONE"
    assert len(one.provider.calls) == 3
    assert all("listen" in [message.text for message in call.request.messages] for call in one.provider.calls)
    assert said(one) == ["steered", "answer"]
    assert check_goal(one.crew.store, "g") == []


def test_a_final_output_that_breaks_its_schema_is_given_back(talks: Talks) -> None:
    schema = {
        "type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"], "additionalProperties": False,
    }  # fmt: skip
    one = talks(turn(1, "not json"), turn(2, '{"n": "x"}'), turn(3, '{"n": 3}'))
    submit(one, {"name": "writer", "output_schema": schema})
    one.work()
    assert one.crew.output("n")["output"] == {"n": 3}
    assert said(one) == ["answer", "told", "answer", "told", "answer"]
    assert check_goal(one.crew.store, "g") == []


def test_an_agent_that_gives_up_fails_with_the_faults_and_goes_on_when_it_is_retried(talks: Talks) -> None:
    schema = {"type": "object"}
    bad = Step(text="not json", times=2)
    one = talks(bad, Step(text='{"a": 1}', times=None))
    submit(one, {"name": "writer", "output_schema": schema, "limits": {"repairs": 1}})
    one.work()
    assert one.crew.state() == "FAILED"
    assert "JSON" in one.failure("n")
    assert one.crew.reopener.retry("g") == "retried"
    one.work()
    assert one.crew.state() == "DONE"
    assert [entry["turn"] for entry in desk(one).transcript("g", "n") if entry["kind"] == "answer"] == [1, 2, 3]
    assert check_goal(one.crew.store, "g") == []


def test_recovery_helps_before_the_node_fails(talks: Talks) -> None:
    decision = {"action": "retry", "advice": "write shorter", "steps": []}
    one = talks(
        Step.model_validate({"role": "manager", "value": decision, "times": None}),
        Step.model_validate({"contains": "write shorter", "text": '{"ok": true}', "times": None}),
        Step(text="not json", times=None),
    )
    node = {"id": "n", "kind": "agent", "agent": "writer", "inputs": {"task": "x"}, "metadata": {"recovery": "true"}}
    writer = {"name": "writer", "output_schema": {"type": "object"}, "limits": {"repairs": 0}}
    submit(one, writer, {"name": "boss", "role": "manager"}, nodes=[node])
    one.work()
    assert one.crew.states() == {"n": "DONE", "n.r1.0": "DONE"}, one.crew.states()
    assert one.crew.state() == "DONE"
    assert check_goal(one.crew.store, "g") == []


def test_instructions_that_change_reach_the_next_turn(talks: Talks) -> None:
    one = talks(turn(1, "", wants("look", word="x")), turn(2, "done"))
    submit(one, {"name": "writer", "instructions": "Be old.", "tools": ["look"]})
    one.step()
    card = desk(one).cards("g")["writer"]
    assert desk(one).reparse("g", [card], "file") == []
    changed = card.model_copy(update={"instructions": "Be new.", "tools": ("look", "broken")})
    assert desk(one).reparse("g", [changed], "file") == ["writer"]
    one.work()
    first, second = (call.request for call in one.provider.calls)
    assert "Be old." in first.messages[0].text
    assert "Be new." in second.messages[0].text
    assert [tool.name for tool in second.tools] == ["look"], "what it may use was fixed before"
    (event,) = [fields for _, fields in one.events() if fields["type"] == "goal.reparsed"]
    assert json.loads(event["data"])["changed"] == {"writer": changed.digest()}


def test_an_agent_remembers_for_its_owner(talks: Talks) -> None:
    one = talks(Step(text="done", times=None))
    submit(one, {"name": "writer"}, owner="acme", goal_id="g")
    one.work()
    assert [entry["output"] for entry in desk(one).memory("acme", "writer")] == ["done"]
    submit(one, {"name": "writer"}, owner="acme", goal_id="h")
    submit(one, {"name": "writer"}, owner="other", goal_id="i")
    one.work()
    told = {call.request.goal: call.request.messages[0].text for call in one.provider.calls}
    assert "What you did before" in told["h"]
    assert "What you did before" not in told["i"]
    assert desk(one).flush_memory("acme", "writer") == 2


def test_who_listens_is_told_of_what_is_committed(talks: Talks) -> None:
    told: list[tuple[str, int]] = []

    def listen(event: AgentEvent) -> None:
        told.append((event.moment, event.turn))
        raise RuntimeError("a listener's fault is his own")

    every: dict[str, Any] = dict.fromkeys(("on_start", "on_turn", "on_done", "on_failed"), listen)
    AGENTS.add(Agent("listened", tools=["look"], registry=Agents(), **every))
    one = talks(turn(1, "", wants("look", word="x")), turn(2, "done"))
    one.crew.submit([{"id": "n", "kind": "agent", "agent": "listened"}])
    one.work()
    assert one.crew.state() == "DONE"
    assert told == [("on_start", 0), ("on_turn", 1), ("on_done", 2)]
    assert set(desk(one).cards("g")) == {"listened"}, "any llm worker can go on with it"


def test_an_agent_that_nobody_knows_fails_with_the_remedy(talks: Talks) -> None:
    one = talks()
    one.crew.submit([{"id": "n", "kind": "agent", "agent": "ghost"}])
    one.work()
    assert "CHORDAL_IMPORTS" in one.failure("n")


def test_a_cancelled_goal_makes_no_further_call(talks: Talks) -> None:
    one = talks(turn(1, "", wants("agent_helper", task="x"), role="boss"), Step(text="no", times=None))
    submit(one, {"name": "boss", "tools": ["agent:helper"]}, {"name": "helper"})
    one.step()
    one.crew.work()
    one.crew.control.cancel("g")
    one.work()
    assert len(one.provider.calls) == 1
    assert set(one.crew.states().values()) == {"CANCELLED"}
    assert check_goal(one.crew.store, "g") == []


def test_an_agent_that_is_declared_no_more_takes_no_further_turn(talks: Talks) -> None:
    one = talks(turn(1, "", wants("look", word="x")), turn(2, "done"))
    submit(one, {"name": "writer", "tools": ["look"]}, {"name": "other"})
    one.step()
    assert desk(one).reparse("g", [], "file", removed=["writer", "nobody"]) == ["writer"]
    one.work()
    assert one.crew.state() == "FAILED"
    assert "there is no agent 'writer'" in one.failure("n")
    assert len(one.provider.calls) == 1


def test_each_turn_reserves_anew(talks: Talks) -> None:
    models = {
        "models": {"a": {"account": "first", "max_output_tokens": 500}, "b": {"account": "second"}},
        "chains": {"default": ["a", "b"]},
    }
    broken = Step.model_validate({"model": "a", "turn": 1, "failure": {"kind": "server", "status": 500}, "times": 2})
    one = talks(broken, turn(1, "", wants("look", word="x")), turn(2, "done"), **models)
    submit(one, {"name": "writer", "tools": ["look"]})
    while one.crew.state() == "RUNNING":
        one.later(400)
        one.work()
    assert one.crew.state() == "DONE"
    limits = [(call.model, call.max_output_tokens) for call in one.provider.calls]
    assert limits[-2][0] == "b"
    assert limits[-1][0] == "a"
    assert limits[-1][1] <= 500


def test_losses_and_failures_before_a_turn_count_no_more_after_it(talks: Talks) -> None:
    looks = [turn(number, "", wants("look", word="x")) for number in (1, 2, 3, 4)]
    one = talks(*looks, turn(5, "done"))
    submit(one, {"name": "writer", "tools": ["look"]})
    for _ in range(4):  # a worker is lost before each turn, more often in all than a node may lose them
        one.crew.store.client.hset("task:{g}:n", mapping={"lost": 2, "failures": 5})
        one.step()
        while one.crew.mail.words or one.crew.mail.invitations:
            if one.crew.store.client.hget("task:{g}:n", "lost") is None:
                break
            one.step()
        assert one.crew.store.client.hmget("task:{g}:n", "lost", "failures") == [None, None]
    one.work()
    assert one.crew.state() == "DONE"


def test_retries_of_the_node_end_in_recovery_too(talks: Talks) -> None:
    decision = {"action": "retry", "advice": "go on", "steps": []}
    failing = Step.model_validate({"role": "writer", "failure": {"kind": "server", "status": 500}, "times": 2})
    helper = Step.model_validate({"role": "manager", "value": decision, "times": None})
    one = talks(failing, helper, turn(1, "done"), retry={"attempts": 1, "backoff_seconds": 0.0})
    node = {
        "id": "n", "kind": "agent", "agent": "writer", "inputs": {"task": "x"}, "metadata": {"recovery": "true"}, "retries": 1,
    }  # fmt: skip
    submit(one, {"name": "writer"}, {"name": "boss", "role": "manager"}, nodes=[node])
    for _ in range(6):
        one.later(400)
        one.work()
    assert one.crew.states() == {"n": "DONE", "n.r1.0": "DONE"}


def test_a_waiting_agent_is_looked_at_without_reading_what_it_says(
    talks: Talks, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = talks(turn(1, "done"))
    submit(one, {"name": "writer"})
    one.crew.work()
    (lost,) = one.crew.mail.words
    one.crew.mail.words.clear()
    account = one.limiter.status("first")
    assert account.leases, "its turn has come, and the message is lost"
    one.limiter.leave("first", lost[1].id)  # the permit went back, and its place with it
    with monkeypatch.context() as patch:
        patch.setattr(one.crew.wired.agent_parts.nodes.standings, "read", lambda *_: pytest.fail("it was read"))
        one.later(31)
        one.crew.work()
    assert one.crew.states() == {"n": "WAITING"}
    assert one.crew.mail.words, "it stands in the line again"
    one.work()
    assert one.crew.output("n")["text"] == "done"
