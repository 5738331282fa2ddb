"""What agents call, step by step on a real store: tools, people, other agents; approved, deferred, large, dropped."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from orchestrator.agents.agent import Agent
from orchestrator.agents.desk import BadToken
from orchestrator.agents.tools.toolbox import ToolContext, tool
from orchestrator.domain.errors import InvalidGoal
from orchestrator.events.check import check_goal
from orchestrator.llm.scripted import Step
from support.agent_steps import SEEN, Talks, desk, reaped, said, submit, turn, wants
from support.servers import until


def test_tools_of_a_turn_are_nodes_and_their_results_come_back_in_order(talks: Talks) -> None:
    one = talks(
        turn(1, "", wants("look", word="b"), wants("broken"), wants("look", word="a"), wants("unknown")),
        turn(2, "done"),
    )
    submit(one, {"name": "writer", "tools": ["look", "broken"]})
    one.work()
    assert one.crew.states() == {"n": "DONE", "n.t1.0": "DONE", "n.t1.1": "FAILED", "n.t1.2": "DONE"}
    assert one.crew.state() == "DONE"
    tools = [message.text for message in one.provider.calls[1].request.messages if message.speaker.value == "tool"]
    assert tools[0] == "b means something"
    assert "RuntimeError: it is broken" in tools[1]
    assert tools[2] == "a means something"
    assert "unknown" in tools[3]
    assert said(one) == ["answer", "results", "answer"]
    assert check_goal(one.crew.store, "g") == []


def test_what_is_large_lies_outside_redis_and_goes_with_the_goal(talks: Talks, tmp_path: Path) -> None:
    @tool(result_bytes=500_000)
    def dump() -> str:
        """Gives much."""
        return "y" * 200_000

    models = {"models": {"a": {"account": "first", "context_tokens": 1_000_000}}}
    one = talks(turn(1, "x" * 100_000, wants("dump")), turn(2, "done"), **models)
    submit(one, {"name": "writer", "tools": ["dump"]})
    one.work()
    assert one.crew.state() == "DONE"
    first, results, _ = desk(one).transcript("g", "n")
    assert len(first["text"]) == 100_000
    assert len(results["results"][0]["text"]) == 200_000
    assert one.crew.store.client.memory_usage("task:{g}:n:turns") < 5_000
    assert "y" * 1000 in one.provider.calls[1].request.messages[-1].text
    assert check_goal(one.crew.store, "g") == []
    assert len(list((tmp_path / "artifacts" / "g").iterdir())) >= 2
    one.crew.payloads.forget("g")
    assert not (tmp_path / "artifacts" / "g").exists()


def test_a_call_that_needs_approval_waits_for_a_person(talks: Talks) -> None:
    one = talks(turn(1, "", wants("pay", amount=3)), turn(2, "ok"))
    submit(one, {"name": "writer", "tools": ["pay"]})
    one.work()
    assert one.crew.states() == {"n": "WAITING", "n.t1.0": "WAITING"}
    assert SEEN == []
    one.crew.control.approve("g", "n.t1.0")
    one.work()
    assert one.crew.state() == "DONE"
    ((amount, key, token),) = SEEN
    assert (amount, key) == (3, "g:n.t1.0")
    assert token > 0
    assert "paid 3" in one.provider.calls[1].request.messages[-1].text


def test_a_call_that_is_rejected_is_told_to_the_model(talks: Talks) -> None:
    one = talks(turn(1, "", wants("pay", amount=3)), turn(2, "ok"))
    submit(one, {"name": "writer", "tools": ["pay"]})
    one.work()
    one.crew.control.reject("g", "n.t1.0", "too much")
    one.work()
    assert SEEN == []
    assert "too much" in one.provider.calls[1].request.messages[-1].text
    assert one.crew.state() == "DONE"


def test_a_deferred_call_is_completed_by_its_token_once(talks: Talks) -> None:
    one = talks(turn(1, "", wants("order")), turn(2, "ok"))
    submit(one, {"name": "writer", "tools": ["order"]})
    one.work()
    (token,) = SEEN
    assert one.crew.states() == {"n": "WAITING", "n.t1.0": "WAITING"}
    with pytest.raises(BadToken):
        desk(one).complete_deferred(f"{token}x", 1)
    assert desk(one).complete_deferred(token, {"price": 7}) == "completed"
    assert desk(one).complete_deferred(token, {"price": 7}) == "completed", "an answer that was lost changes nothing"
    with pytest.raises(BadToken, match="another result"):
        desk(one).complete_deferred(token, {"price": 8})
    one.work()
    assert one.crew.state() == "DONE"
    assert '"price":7' in one.provider.calls[1].request.messages[-1].text.replace(" ", "")


def test_a_question_is_answered_by_a_person(talks: Talks) -> None:
    one = talks(turn(1, "", wants("ask_person", question="which one?")), turn(2, "ok"))
    submit(one, {"name": "writer", "tools": ["ask_person"]})
    one.work()
    one.crew.control.approve("g", "n.t1.0", "the red one")
    one.work()
    assert "the red one" in one.provider.calls[1].request.messages[-1].text
    assert one.crew.state() == "DONE"


def test_a_sub_agent_is_a_node_and_its_answer_comes_back(talks: Talks) -> None:
    one = talks(
        turn(1, "", wants("agent_helper", task="help me"), role="boss"),
        turn(1, "helped", role="helper"),
        turn(2, "ok", role="boss"),
    )
    submit(one, {"name": "boss", "tools": ["agent:helper"]}, {"name": "helper"})
    one.work()
    assert one.crew.states() == {"n": "DONE", "n.t1.0": "DONE"}
    assert one.crew.output("n.t1.0")["text"] == "helped"
    assert "helped" in one.provider.calls[2].request.messages[-1].text
    assert check_goal(one.crew.store, "g") == []


@pytest.mark.parametrize("end", ["failed", "dropped", "lost"])
def test_a_sub_agent_that_does_not_end_well_does_not_hang_its_parent(talks: Talks, end: str) -> None:
    one = talks(turn(1, "", wants("agent_helper", task="x"), role="boss"), turn(2, "ok", role="boss"))
    submit(one, {"name": "boss", "tools": ["agent:helper"]}, {"name": "helper", "limits": {"max_retries": 0}})
    one.step()
    if end == "dropped":
        one.crew.patcher.apply("g", {"drop_nodes": ["n.t1.0"]})
    elif end == "lost":
        for _ in range(3):  # its worker is killed, again and again
            (claimed,) = one.crew.store.nodes.claim(
                "g", "default", worker="w", nonce="n", lease_ms=1, most=1, slots="{}", hint="n.t1.0"
            ).claims
            assert claimed.lease.node == "n.t1.0"
            until(lambda: reaped(one).get("n.t1.0") != "RUNNING", what="a lease that ran out")
    one.work()
    assert one.crew.states()["n"] == "DONE", one.crew.states()
    assert one.crew.state() == "DONE"


def test_the_last_turn_offers_no_tools_and_ends_the_node(talks: Talks) -> None:
    one = talks(
        Step.model_validate({"has_tool": "look", "tool_calls": [wants("look", word="x")], "times": None}),
        Step(text="enough", times=None),
    )
    submit(one, {"name": "writer", "tools": ["look"], "limits": {"max_turns": 3}})
    one.work()
    assert one.crew.output("n")["text"] == "enough"
    assert one.crew.output("n")["turns"] == 3


def test_what_a_dropped_agent_had_started_goes_with_it(talks: Talks) -> None:
    one = talks(
        turn(1, "", wants("agent_helper", task="x"), role="boss"), turn(1, "", wants("pay", amount=1), role="helper")
    )
    submit(one, {"name": "boss", "tools": ["agent:helper"]}, {"name": "helper", "tools": ["pay"]})
    one.work()
    assert one.crew.states() == {"n": "WAITING", "n.t1.0": "WAITING", "n.t1.0.t1.0": "WAITING"}
    one.crew.patcher.apply("g", {"drop_nodes": ["n"], "add_nodes": [{"id": "instead"}]})
    one.work()
    assert set(one.crew.states().values()) == {"DROPPED", "DONE"}
    assert one.crew.state() == "DONE"
    assert check_goal(one.crew.store, "g") == []


def test_a_node_that_is_added_runs_on_the_queue_of_its_agent(talks: Talks) -> None:
    one = talks(Step(text="done", times=None))
    submit(one, {"name": "writer"}, {"name": "far", "queue": "far"}, nodes=[{"id": "n"}, {"id": "m"}])
    one.crew.patcher.apply("g", {"add_nodes": [{"id": "new", "kind": "agent", "agent": "far"}]})
    assert one.crew.store.nodes.states("g", ["new"])[0]["queue"] == "far"
    with pytest.raises(InvalidGoal, match="tool call of 'new'"):
        one.crew.patcher.apply("g", {"add_nodes": [{"id": "new.t1.0"}]})


@pytest.mark.parametrize("gift", [{"result": {"price": 7}}, {"error": "sold out"}, {"result": "z" * 300_000}])
def test_a_result_that_comes_before_its_call_has_parked_is_kept(talks: Talks, gift: dict[str, Any]) -> None:
    one = talks(turn(1, "", wants("hurried")), turn(2, "ok"))

    @tool(deferred=True)
    def hurried(context: ToolContext) -> None:
        """Whoever completes it is faster than we are."""
        assert desk(one).complete_deferred(context.deferred_token, **gift) == "completed"

    submit(one, {"name": "writer", "tools": ["hurried"]})
    one.work()
    assert one.crew.state() == "DONE"
    told = one.provider.calls[1].request.messages[-1].text
    assert str(gift.get("error", "price" if isinstance(gift.get("result"), dict) else "zzz")) in told
    assert not one.crew.store.client.exists("dag:{g}:signals")
    assert one.crew.store.client.memory_usage("task:{g}:n.t1.0") < 2_000, "what was given is not kept twice"
    assert check_goal(one.crew.store, "g") == []


def test_nobody_completes_what_is_over(talks: Talks) -> None:
    one = talks(turn(1, "", wants("order")), turn(2, "ok"))
    submit(one, {"name": "writer", "tools": ["order"]})
    one.work()
    (token,) = SEEN
    goal, node, secret = token.split(":")
    for wrong in (
        "",
        "g",
        "g:n",
        f"{goal}:{node}:",
        f"{goal}:{node}:{secret[:-1]}",
        f"{goal}:n:{secret}",
        f"nowhere:{node}:{secret}",
        "g:../x:y",
    ):
        with pytest.raises(BadToken):
            desk(one).complete_deferred(wrong, 1)
    one.crew.control.cancel("g")
    with pytest.raises(BadToken, match="CANCELLED"):
        desk(one).complete_deferred(token, 1)


def test_agents_of_a_kit_that_only_python_knows_go_with_the_goal(talks: Talks) -> None:
    Agent("far", "Far away.", queue="far")
    one = talks(turn(1, "", wants("agent_far", task="x"), role="boss"), Step(text="done", times=None))
    submit(one, {"name": "boss", "tools": ["agent:far"]})
    one.step()
    assert set(desk(one).cards("g")) == {"boss", "far"}
    assert one.crew.store.nodes.states("g", ["n.t1.0"])[0]["queue"] == "far"
    one.work()
    assert one.crew.state() == "DONE"


def test_a_sub_goal_has_a_part_of_the_budget_that_is_left(talks: Talks) -> None:
    plan = {
        "title": "t",
        "nodes": [{"id": "a", "kind": "agent", "agent": "helper", "inputs": {"task": "x"}}],
        "edges": [],
    }
    one = talks(turn(1, "", wants("start_goal", goal=plan), role="boss"), Step(text="done", times=None))
    submit(
        one,
        {"name": "boss", "tools": ["start_goal", "agent:helper"], "limits": {"spawn": 4}},
        {"name": "helper"},
        budget={"tokens": 100_000},
    )
    one.work()
    assert one.crew.state() == "DONE", one.crew.states()
    budget = json.loads(one.crew.store.goals.field("g.n.t1.0", "budget") or "{}")
    assert 15_000 < budget["tokens"] <= 20_000
    assert one.crew.store.goals.field("g.n.t1.0", "owner") == "default"


def test_the_sub_goal_of_a_dropped_agent_is_cancelled(talks: Talks) -> None:
    plan = {"nodes": [{"id": "a", "kind": "approval"}], "edges": []}
    one = talks(turn(1, "", wants("start_goal", goal=plan)))
    submit(
        one,
        {"name": "boss", "tools": ["start_goal"]},
        nodes=[{"id": "n", "kind": "agent", "agent": "boss"}, {"id": "rest"}],
    )
    one.work()
    assert one.crew.state("g.n.t1.0") == "RUNNING"
    one.crew.patcher.apply("g", {"drop_nodes": ["n"]})
    assert one.crew.state("g.n.t1.0") == "CANCELLED"
    one.work()
    assert one.crew.state() == "DONE"
