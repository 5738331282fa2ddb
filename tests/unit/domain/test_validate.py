"""A document is read as a whole: every fault is reported at once, with its place."""

from __future__ import annotations

import itertools
import pickle
import time
from typing import Any

import pytest

from orchestrator.domain.errors import Fault, InvalidGoal
from orchestrator.domain.limits import Limits
from orchestrator.domain.validate import read_goal
from support.sim import EdgeLike, document


def faults(raw: Any, limits: Limits | None = None) -> list[Fault]:
    with pytest.raises(InvalidGoal) as caught:
        read_goal(raw) if limits is None else read_goal(raw, limits)
    return list(caught.value.faults)


def faults_of(nodes: list[Any], edges: list[EdgeLike] | None = None, **head: Any) -> list[Fault]:
    return faults(document(nodes, edges or [], **head))


def only(found: list[Fault]) -> Fault:
    assert len(found) == 1, found
    return found[0]


def nested(value: Any, levels: int) -> Any:
    for _ in range(levels):
        value = [value]
    return value


def chain(length: int) -> dict[str, Any]:
    names = [f"n{index}" for index in range(length)]
    return document(names, list(itertools.pairwise(names)))


def test_a_sound_document_is_read_in_order() -> None:
    goal = read_goal(document(["b", "a", "c"], [("a", "b"), ("c", "b")], goal_id="g", owner="me"))
    assert [node.id for node in goal.nodes] == ["b", "a", "c"]
    assert [(edge.source, edge.target) for edge in goal.edges] == [("a", "b"), ("c", "b")]
    assert (goal.goal_id, goal.owner) == ("g", "me")


@pytest.mark.parametrize(
    ("raw", "kind"), [([], "a list"), ("x", "a text"), (None, "null"), (3, "a number"), (True, "true or false")]
)
def test_a_goal_is_an_object(raw: Any, kind: str) -> None:
    assert only(faults(raw)) == Fault("document", f"a goal is an object, this is {kind}")


def test_every_fault_is_reported_at_once_with_its_place() -> None:
    found = faults(
        {
            "goal_id": "no good",
            "owner": "me",
            "colour": "red",
            "priority": -1,
            "nodes": [
                {"id": "a", "retrys": 3},
                {"id": "b", "kind": "agent"},
                {"id": "c", "kind": "python"},
                {"id": "d", "join": 2},
                {"id": "d"},
                {"title": "nameless"},
                {"id": "e", "call": "m:f", "inputs": {"x": {"from": "ghost"}}},
                "not an object",
            ],
            "edges": [
                {"source": "a", "target": "d"},
                {"source": "b", "target": "nowhere"},
                {"source": "c", "target": "c"},
                {"source": "a", "target": "d"},
                {"source": "x y", "target": "d"},
                {"source": "b", "target": "d", "on": "failed", "when": "x"},
            ],
        }
    )
    places = {fault.place for fault in found}
    assert places >= {
        "goal_id", "colour", "priority", "nodes[0].retrys", "nodes[1]", "nodes[2]", "nodes[3].join", "nodes[4].id",
        "nodes[5].id", "nodes[6].inputs", "nodes[7]", "edges[1].target", "edges[2]", "edges[3]", "edges[4].source",
        "edges[5]",
    }  # fmt: skip


def test_the_message_lists_twenty_faults_and_counts_the_rest() -> None:
    with pytest.raises(InvalidGoal) as caught:
        read_goal({"nodes": [{"id": f"n{index}", "bad": 1} for index in range(25)]})
    text = str(caught.value)
    assert "25 faults" in text
    assert text.count("\n  - ") == 20
    assert text.endswith("... and 5 more")


def test_faults_survive_pickling() -> None:
    with pytest.raises(InvalidGoal) as caught:
        read_goal({"nodes": []})
    again = pickle.loads(pickle.dumps(caught.value))
    assert again.faults == caught.value.faults


@pytest.mark.parametrize(
    ("raw", "place", "said"),
    [
        ({}, "nodes", "it is missing"),
        ({"nodes": []}, "nodes", "it is empty"),
        ({"nodes": {}}, "nodes", "must be a list, this is an object"),
        ({"nodes": [{"id": "a"}], "edges": None}, "edges", "must be a list, this is null"),
        ({"nodes": [{"id": "a"}], "edges": "x"}, "edges", "must be a list, this is a text"),
    ],
)
def test_nodes_and_edges_are_lists(raw: Any, place: str, said: str) -> None:
    fault = only(faults(raw))
    assert fault.place == place
    assert said in fault.message


def test_an_unknown_field_names_the_known_ones() -> None:
    fault = only(faults_of([{"id": "a", "retrys": 1}]))
    assert fault.message == "there is no such field"
    assert "retries" in fault.remedy


def test_a_bad_id_is_shown_with_the_rule() -> None:
    fault = only(faults_of(["a b"]))
    assert fault == Fault(
        "nodes[0].id", "'a b' is not an id", "use 1 to 64 letters, digits, dots, underscores or hyphens"
    )


def test_a_duplicate_id_names_the_first() -> None:
    assert "nodes[0]" in only(faults_of(["a", "a"])).message


def test_a_dangling_edge_names_what_is_missing() -> None:
    found = faults_of(["a"], [("a", "ghost"), ("phantom", "a")])
    assert [(fault.place, "'ghost'" in fault.message) for fault in found] == [
        ("edges[0].target", True), ("edges[1].source", False),
    ]  # fmt: skip


def test_an_edge_to_a_node_with_other_faults_is_not_dangling() -> None:
    found = faults_of(["a", {"id": "b", "retries": -1}], [("a", "b")])
    assert [fault.place for fault in found] == ["nodes[1].retries"]


def test_a_cycle_is_shown_with_its_path() -> None:
    fault = only(faults_of(["a", "b", "c", "d"], [("a", "b"), ("b", "c"), ("c", "a"), ("a", "d")]))
    assert fault.place == "edges"
    path = fault.message.removeprefix("there is a cycle: ").split(" -> ")
    assert path[0] == path[-1]
    assert sorted(path[1:]) == ["a", "b", "c"]


def test_a_long_cycle_is_shortened() -> None:
    names = [f"n{index}" for index in range(100)]
    fault = only(faults_of(names, [*itertools.pairwise(names), ("n99", "n0")]))
    assert " -> ... -> " in fault.message
    assert len(fault.message) < 200


def test_a_node_does_not_wait_for_itself() -> None:
    assert "wait for itself" in only(faults_of(["a"], [("a", "a")])).message


@pytest.mark.parametrize(
    ("join", "ways", "said"), [(3, 2, "3 edges and 2 come in"), ("any", 0, "none comes in"), (1, 0, "0 come in")]
)
def test_a_join_that_cannot_fire(join: Any, ways: int, said: str) -> None:
    sources = [f"s{index}" for index in range(ways)]
    fault = only(faults_of([*sources, {"id": "j", "join": join}], [(source, "j") for source in sources]))
    assert fault.place == f"nodes[{ways}].join"
    assert said in fault.message


def test_an_input_comes_from_a_node_that_is_before() -> None:
    wanting = {"id": "b", "call": "m:f", "inputs": {"x": {"from": "a"}}}
    assert read_goal(document(["a", "between", wanting], [("a", "between"), ("between", "b")])).nodes
    assert "does not come after it" in only(faults_of(["a", wanting])).message
    assert "no such node" in only(faults_of([wanting])).message


def test_a_node_of_an_agent_names_one() -> None:
    assert "needs 'agent'" in only(faults_of([{"id": "a", "kind": "agent"}])).message
    assert read_goal({"nodes": [{"id": "a", "kind": "agent", "agent": "writer"}]}).nodes[0].agent == "writer"


@pytest.mark.parametrize("name", ["a.t1.0", "a.r2.0", "a.s1.11"])
def test_an_id_is_not_that_of_a_node_that_an_agent_may_add(name: str) -> None:
    agent = {"id": "a", "kind": "agent", "agent": "writer"}
    assert "tool call of 'a'" in only(faults_of([agent, {"id": name}])).message
    assert read_goal({"nodes": [{"id": "a"}, {"id": name}]}).nodes


def test_two_agents_of_a_goal_have_two_names() -> None:
    with pytest.raises(InvalidGoal) as caught:
        read_goal({"nodes": [{"id": "a"}], "agents": [{"name": "x"}, {"name": "y"}, {"name": "x", "role": "z"}]})
    assert [fault.place for fault in caught.value.faults] == ["agents[2].name"]


@pytest.mark.parametrize("inputs", [{}, {"prompt": "a", "messages": []}])
def test_a_call_of_a_model_asks_one_thing(inputs: dict[str, object]) -> None:
    fault = only(faults_of([{"id": "a", "kind": "llm", "inputs": inputs}]))
    assert "either inputs.prompt (a text) or inputs.messages" in fault.message


def test_a_map_leaves_room_for_the_names_of_its_items() -> None:
    fields = {"kind": "map", "call": "m:f", "inputs": {"items": []}}
    assert read_goal(document([{"id": "m" * 56, **fields}])).nodes
    assert "at most 56" in only(faults_of([{"id": "m" * 57, **fields}])).message


def test_a_node_must_not_have_the_name_of_an_item() -> None:
    """The map would take it for its own item and wait for ever."""
    mapped = {"id": "m", "kind": "map", "call": "m:f", "inputs": {"items": [1]}}
    assert only(faults_of([mapped, "m.0"])).place == "nodes[1].id"
    assert read_goal(document([mapped, "m.x", "m.", "n.0"])).nodes


def test_a_sub_goal_is_checked_with_its_place() -> None:
    inner = {"nodes": [{"id": "x"}], "edges": [{"source": "x", "target": "y"}]}
    fault = only(faults_of([{"id": "a", "kind": "goal", "goal": inner}]))
    assert fault.place == "nodes[0].goal.edges[0].target"


@pytest.mark.parametrize("levels", [100, 300, 900])
def test_sub_goals_nested_too_deeply_are_a_fault(levels: int) -> None:
    goal: dict[str, Any] = {"nodes": [{"id": "a"}]}
    for _ in range(levels):
        goal = {"nodes": [{"id": "a", "kind": "goal", "goal": goal}]}
    assert faults(goal)


@pytest.mark.parametrize(
    "value", [{1, 2}, b"bytes", float("nan"), float("inf"), object(), "\ud800", 10**5000], ids=range(7)
)
def test_inputs_must_be_json(value: Any) -> None:
    fault = only(faults_of([{"id": "a", "call": "m:f", "inputs": {"x": value}}]))
    assert fault.place == "nodes[0].inputs"
    assert "it is not JSON" in fault.message


@pytest.mark.parametrize("levels", [300, 5000])
def test_inputs_nested_too_deeply_to_be_stored_are_a_fault(levels: int) -> None:
    assert "not JSON" in only(faults_of([{"id": "a", "call": "m:f", "inputs": {"x": nested(1, levels)}}])).message


@pytest.mark.parametrize("value", [float("nan"), {1}, "\ud800", nested(1, 300)])
def test_conditions_must_be_json(value: Any) -> None:
    edge = {"source": "a", "target": "b", "when": {"path": "x", "op": "==", "value": value}}
    assert only(faults_of(["a", "b"], [edge])).place == "edges[0].when"


def test_a_number_of_thousands_of_digits_is_a_fault_like_any_other() -> None:
    assert only(faults_of([{"id": "a", "priority": 10**5000}])).place == "nodes[0].priority"


def test_a_large_node_says_its_size() -> None:
    inputs = {"x": "é" * 200}
    fault = only(faults(document([{"id": "a", "call": "m:f", "inputs": inputs}]), Limits(node_bytes=300)))
    assert "by reference" in fault.remedy
    assert "the limit is 300" in fault.message


def test_limits_say_how_many_and_how_many_may_be() -> None:
    few = Limits(nodes=2, edges=1, depth=2)
    assert only(faults(document(["a", "b", "c"]), few)).message == "there are 3, the limit is 2"
    assert any(fault.place == "edges" for fault in faults(document(["a", "b"], [("a", "b"), ("b", "a")]), few))
    deep = Limits(depth=2)
    assert "longest path has 3 nodes" in only(faults(document(["a", "b", "c"], [("a", "b"), ("b", "c")]), deep)).message


def test_a_hundred_thousand_and_one_nodes_are_refused() -> None:
    raw = {"nodes": [{"id": f"n{index}"} for index in range(100_001)]}
    assert "100,001" in only(faults(raw)).message


def test_a_chain_of_ten_thousand_is_accepted_and_its_closing_edge_refused() -> None:
    raw = chain(10_000)
    began = time.perf_counter()
    assert len(read_goal(raw).nodes) == 10_000
    assert time.perf_counter() - began < 20, "linear, not quadratic"
    raw["edges"].append({"source": "n9999", "target": "n0"})
    assert "there is a cycle" in only(faults(raw)).message


def test_a_chain_deeper_than_the_limit_is_refused() -> None:
    assert "10,000 nodes, the limit is 9,999" in only(faults(chain(10_000), Limits(depth=9_999))).message
