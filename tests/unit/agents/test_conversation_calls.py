"""Tool calls as a hostile model writes them: which are carried out, and what is said of the others."""

from __future__ import annotations

import json
from typing import Any

import pytest

from orchestrator.agents.conversation.decide import AskAgain, CallTools, results_of
from orchestrator.agents.conversation.transcript import Answered, Results
from orchestrator.llm.messages import ToolCall
from support.talks import HELPER, LOOK, START_GOAL, call, follow, kit, reply, round_of

TEAM = kit(LOOK, HELPER, START_GOAL)


def fault_of(step: object) -> str:
    """Why the only call was refused."""
    assert isinstance(step, AskAgain)
    answered, results = step.entries
    assert isinstance(answered, Answered)
    assert isinstance(results, Results)
    assert results.turn == answered.turn
    assert results.results[0].failed
    assert answered.calls[0].node == ""
    assert results.results[0].text == f"refused: {answered.calls[0].fault}"
    return answered.calls[0].fault


def test_calls_among_text_are_carried_out_and_the_others_are_told_why_not() -> None:
    step = follow(
        reply("Let me see.", call(id_="a"), call("rm", id_="b"), call(arguments={"word": "y", "times": 2}, id_="c"))
    )
    assert isinstance(step, CallTools)
    assert step.answered.text == "Let me see."
    assert [(one.called.id, one.index, one.called.node, one.arguments) for one in step.calls] == [
        ("a", 0, "n.t.0", {"word": "x"}), ("c", 2, "n.t.2", {"word": "y", "times": 2}),
    ]  # fmt: skip
    assert [(one.name, one.node) for one in step.answered.calls] == [("look", "n.t.0"), ("rm", ""), ("look", "n.t.2")]
    results = results_of(step.answered, {})
    assert [(one.id, one.text) for one in results.results] == [
        ("a", "no result"), ("b", "refused: there is no tool 'rm'; there are: look"), ("c", "no result"),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("arguments", "fault"),
    [
        ("{", "not JSON"),
        ("[]", "must be a JSON object"),
        ('"text"', "must be a JSON object"),
        ("null", "must be a JSON object"),
        ('{"word": NaN}', "NaN"),
        ('{"word": 1e999}', "out of range"),
        ('{"word": "a", "word": "b"}', "stands twice"),
        ('{"word": "a", "shell": "rm -rf /"}', "there is no field 'shell'"),
        ('{"times": 1}', "'word' missing"),
        ('{"word": 3}', "word: must be of type string"),
        ('{"word": "a", "times": 0}', "times: does not follow the schema's minimum 1"),
        ('{"word": "\\udc00"}', "surrogate"),
        ('{"word": ' + "[" * 70 + "]" * 70 + "}", "inside each other"),
        ("[" * 30_000, "nested too deeply"),
        ("9" * 5_000, "digits"),
        (json.dumps({"word": "x" * 70_000}), "70012 bytes, the limit is 65536"),
    ],
)
def test_arguments_that_do_not_fit_are_refused(arguments: str, fault: str) -> None:
    said = fault_of(follow(reply("", call(arguments=arguments))))
    assert fault in said
    assert len(said) < 500


def test_no_arguments_are_an_empty_object() -> None:
    bare = LOOK.model_copy(update={"parameters": {"type": "object", "properties": {}}})
    step = follow(reply("", call(arguments=" ")), kit_=kit(bare))
    assert isinstance(step, CallTools)
    assert step.calls[0].arguments == {}


def test_arguments_that_are_too_large_are_not_kept() -> None:
    step = follow(reply("", call(arguments="\u20ac" * 100_000)), argument_bytes=1000)
    assert isinstance(step, AskAgain)
    answered = step.entries[0]
    assert isinstance(answered, Answered)
    assert len(answered.calls[0].arguments.encode()) == 999


@pytest.mark.parametrize("name", ["look ", "LOOK", "", "../look", "look\n", "x" * 10_000, "\u200blook"])
def test_only_the_exact_name_of_a_tool_calls_it(name: str) -> None:
    step = follow(reply("", call(name)))
    assert "there is no tool" in fault_of(step)
    assert len(fault_of(step)) < 200


def test_a_name_that_providers_refuse_is_mended_in_the_transcript() -> None:
    step = follow(reply("", call("no such\ntool!"), call("", id_="d")))
    assert isinstance(step, AskAgain)
    answered = step.entries[0]
    assert isinstance(answered, Answered)
    assert [one.name for one in answered.calls] == ["no_such_tool_", "unnamed"]


def test_ids_are_made_unique_and_stay_the_same() -> None:
    asked = [call(id_=id_) for id_ in ("", "id1", "new", "new", "call_2_3", "bad id", "x" * 200, "call_2_0")]
    first = follow(reply("", *asked), round_of(1))
    assert isinstance(first, CallTools)
    ids = [one.id for one in first.answered.calls]
    assert ids == ["call_2_0", "call_2_1", "new", "call_2_3", "call_2_4", "call_2_5", "call_2_6", "call_2_7"]
    assert follow(reply("", *asked), round_of(1)) == first


def test_an_id_that_was_made_for_another_call_is_not_taken_twice() -> None:
    step = follow(reply("", call(id_="call_1_1"), call(id_=""), call(id_="call_1_1_0")))
    assert isinstance(step, CallTools)
    ids = [one.id for one in step.answered.calls]
    assert len(set(ids)) == 3


def test_calls_above_the_limit_are_refused_and_floods_forgotten() -> None:
    step = follow(reply("", *(call(id_=f"c{index}") for index in range(10_000))), tools_per_turn=3)
    assert isinstance(step, CallTools)
    assert len(step.calls) == 3
    assert len(step.answered.calls) == 3 + 16
    assert "more than 3 calls in one turn" in step.answered.calls[3].fault
    assert "9981 more calls were dropped" in step.answered.calls[-1].fault


def test_sub_agents_are_bounded_by_number_and_depth() -> None:
    tasks = [call("helper", {"task": "do it"}, f"c{index}") for index in range(4)]
    step = follow(reply("", *tasks), kit_=TEAM, spawn=3, spawned=1)
    assert isinstance(step, CallTools)
    assert [bool(one.fault) for one in step.answered.calls] == [False, False, True, True]
    assert "all 3 sub-agents" in step.answered.calls[2].fault
    assert "as deep" in fault_of(follow(reply("", tasks[0]), kit_=TEAM, depth=3))
    assert isinstance(follow(reply("", tasks[0]), kit_=TEAM, depth=2), CallTools)
    assert isinstance(follow(reply("", call()), kit_=TEAM, depth=3), CallTools)


def goal(*nodes: Any, **fields: Any) -> ToolCall:
    """A call that starts a goal."""
    return call("start_goal", {"goal": {"nodes": list(nodes), **fields}})


STEP = {"id": "a", "kind": "agent", "agent": "helper", "inputs": {"task": "x"}}


def test_a_sub_goal_of_agents_approvals_and_waits_is_started() -> None:
    nodes = (STEP, {"id": "b", "kind": "approval"}, {"id": "c", "kind": "wait", "inputs": {"seconds": 1}})
    step = follow(reply("", goal(*nodes, title="t", edges=[{"source": "a", "target": "b"}])), kit_=TEAM)
    assert isinstance(step, CallTools)


@pytest.mark.parametrize(
    ("asked", "fault"),
    [
        (goal({"id": "x", "kind": "python", "call": "os:system"}), "kind must be one of agent, approval, wait"),
        (goal({"id": "x", "call": "os:system"}), "kind must be one of"),
        (goal({"id": "x"}), "kind must be one of"),
        (goal({"id": "x", "kind": "task", "call": "shop.pay"}), "kind must be one of"),
        (goal({"id": "x", "kind": "tool", "call": "look"}), "kind must be one of"),
        (goal({"id": "x", "kind": "goal", "goal": {"nodes": [STEP]}}), "kind must be one of"),
        (goal({"id": "x", "kind": ["agent"]}), "kind must be one of"),
        (goal(STEP | {"agent": "root"}), "agent must be one of: helper"),
        (goal(STEP | {"queue": "gpu"}), "there is no field 'queue'"),
        (goal(STEP | {"metadata": {"agent_depth": "-9"}}), "there is no field 'metadata'"),
        (goal(STEP, agents=[{"name": "helper", "tools": ["rm"]}]), "there is no field 'agents'"),
        (goal(STEP, owner="root"), "there is no field 'owner'"),
        (goal(STEP, goal_id="other"), "there is no field 'goal_id'"),
        (goal(STEP, STEP), "already the id"),
        (goal(STEP, edges=[{"source": "a", "target": "a"}]), "wait for itself"),
        (goal(), "it is empty"),
        (goal(3), "goal.nodes[0]"),
        (goal(*(STEP | {"id": f"n{index}"} for index in range(200))), "the limit is 100"),
        (goal(*(STEP | {"id": f"n{index}"} for index in range(11))), "more than 10 are agents"),
        (call("start_goal", {"goal": {"nodes": "all"}}), "must be a list"),
        (call("start_goal", {"goal": []}), "goal: must be of type object"),
    ],
)
def test_a_sub_goal_that_a_model_may_not_start_is_refused_with_its_faults(asked: ToolCall, fault: str) -> None:
    said = fault_of(follow(reply("", asked), kit_=TEAM))
    assert fault in said
    assert len(said) < 3500
