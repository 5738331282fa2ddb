"""Celery's canvases, read as goals."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from celery import Celery
from celery.canvas import Signature, chain, chord, chunks, group, xstarmap

from orchestrator.compile.canvas import NotAGoal, from_canvas
from orchestrator.compile.canvas.names import Names
from orchestrator.domain.validate import read_goal

APP = Celery("canvases", set_as_current=False)


@APP.task(name="shop.tasks.add")
def add(*numbers: float) -> float:
    return sum(numbers)


@APP.task(name="shop.tasks.mail")
def mail(*_: Any, **__: Any) -> None:
    return None


def read(signature: Any, **options: Any) -> dict[str, Any]:
    """The document, which is JSON and a valid goal."""
    document: dict[str, Any] = json.loads(json.dumps(from_canvas(signature, **options)))
    read_goal(document)
    return document


def args(document: dict[str, Any]) -> dict[str, Any]:
    return {node["id"]: (node.get("inputs") or {}).get("__args__", []) for node in document["nodes"]}


def edges(document: dict[str, Any]) -> list[str]:
    return [
        f"{edge['source']} {edge['on']} {edge['target']}" if "on" in edge else f"{edge['source']} {edge['target']}"
        for edge in document["edges"]
    ]


def ref(name: str) -> dict[str, str]:
    return {"from": name}


def test_one_task_is_one_node() -> None:
    assert read(add.s(1, 2), title="Sum") == {
        "title": "Sum",
        "nodes": [{"id": "add", "kind": "task", "call": "shop.tasks.add", "inputs": {"__args__": [1, 2]}}],
        "edges": [],
    }


def test_a_chain_hands_each_result_to_the_next() -> None:
    made = read(chain(add.s(1, 2), add.s(3), add.si(4), mail.s(to="me")))
    assert edges(made) == ["add add.2", "add.2 add.3", "add.3 mail"]
    assert args(made) == {"add": [1, 2], "add.2": [ref("add"), 3], "add.3": [4], "mail": [ref("add.3")]}
    assert made["nodes"][-1]["inputs"]["to"] == "me"


def test_a_chords_body_gets_the_list_of_its_headers_results() -> None:
    made = read(chord([add.s(1), add.s(2)], mail.s("sum")))
    assert edges(made) == ["add mail", "add.2 mail"]
    assert args(made)["mail"] == [[ref("add"), ref("add.2")], "sum"]


def test_a_chord_of_one_still_gets_a_list_and_a_group_of_one_in_a_chain_does_not() -> None:
    assert args(read(chord([add.s(1)], mail.s())))["mail"] == [[ref("add")]]
    assert args(read(chain(group([add.s(1)]), mail.s())))["mail"] == [ref("add")]


def test_a_group_after_a_task_gets_its_result_in_every_member() -> None:
    made = read(chain(add.s(1), group(add.s(2), group(add.s(3), add.si(4))), mail.s()))
    assert args(made) == {
        "add": [1],
        "add.2": [ref("add"), 2],
        "add.3": [ref("add"), 3],
        "add.4": [4],
        "mail": [[ref("add.2"), ref("add.3"), ref("add.4")]],
    }


def test_a_group_behind_a_group_waits_for_all_of_it() -> None:
    made = read(chain(group(add.s(1), add.s(2)), group(add.s(3), add.s(4)), app=APP))
    assert edges(made) == ["add add.3", "add.2 add.3", "add add.4", "add.2 add.4"]
    assert args(made)["add.4"] == [[ref("add"), ref("add.2")], 4]


def test_a_chain_in_a_header_counts_by_its_end() -> None:
    made = read(chord([chain(add.s(1), group(add.s(2), add.s(3))), add.s(4)], mail.s()))
    assert args(made)["mail"] == [[[ref("add.2"), ref("add.3")], ref("add.4")]]
    assert edges(made)[-3:] == ["add.2 mail", "add.3 mail", "add.4 mail"]


def test_a_long_chain_of_groups_is_no_recursion() -> None:
    steps = [step for _ in range(2_000) for step in (group(add.si(1), add.si(2), app=APP), add.si(3))]
    assert len(from_canvas(chain(steps, app=APP))["nodes"]) == 6_000


def test_a_chord_nested_in_bodies_is_read_like_a_flat_one() -> None:
    folded = chain(*(step for _ in range(15) for step in (group(add.si(1), add.si(2)), add.si(3))))
    flat = chain([step for _ in range(15) for step in (group(add.si(1), add.si(2), app=APP), add.si(3))], app=APP)
    assert read(folded) == read(flat)


def test_a_canvas_that_went_through_json_reads_the_same() -> None:
    canvas = chord([chain(add.s(1), add.s(2)), group(add.s(3))], chain(mail.s(), mail.si(to="you")))
    sent = json.loads(json.dumps(canvas))
    before = json.dumps(sent)
    assert read(sent) == read(canvas)
    assert json.dumps(sent) == before, "what is read is not written to"


def test_links_run_beside_what_follows() -> None:
    made = read(chain(add.s(1).set(link=mail.s("done")), add.s(2)))
    assert sorted(edges(made)) == ["add add.2", "add mail"]
    assert args(made)["mail"] == [ref("add"), "done"]


def test_link_error_is_an_edge_on_failure_for_each_task_that_celery_would_call_it_for() -> None:
    canvas = chain(add.s(1), add.s(2))
    canvas.set(link_error=[mail.si(to="ops")])
    made = read(canvas)
    assert edges(made) == ["add failed mail", "add add.2", "add.2 failed mail.2"]
    assert args(made)["mail"] == []
    told = read(add.s(1).on_error(mail.s()))
    assert args(told)["mail"] == ["add"]


@pytest.mark.filterwarnings("ignore:task_allow_error_cb_on_chord_header")
def test_the_errback_of_a_body_is_called_for_its_header_too() -> None:
    canvas = chord([add.s(1), add.s(2)], add.s())
    canvas.link_error(mail.si())
    assert [edge for edge in edges(read(canvas)) if "failed" in edge] == [
        "add failed mail",
        "add.2 failed mail.2",
        "add.3 failed mail.3",
    ]


def test_a_countdown_is_a_wait_in_front() -> None:
    made = read(chain(add.s(1), add.s(2).set(countdown=30)))
    assert edges(made) == ["add add.2.wait", "add.2.wait add.2"]
    assert {"id": "add.2.wait", "kind": "wait", "inputs": {"seconds": 30}} in made["nodes"]
    assert args(made)["add.2"] == [ref("add"), 2]


def test_the_countdown_of_a_chord_delays_its_header_only() -> None:
    canvas = chord([add.s(1), add.s(2)], mail.s())
    canvas.set(countdown=5)
    waits = [node["id"] for node in read(canvas)["nodes"] if node["kind"] == "wait"]
    assert waits == ["add.wait", "add.2.wait"]


def test_options_become_fields_and_what_is_about_the_message_goes() -> None:
    signature = add.s(1).set(
        queue="slow", time_limit=60, soft_time_limit=50, shadow="Adding up", serializer="json", task_id="x", retry=False
    )
    signature.stamp(team="blue", visits=[1, 2])
    node = read(signature)["nodes"][0]
    assert {key: node[key] for key in ("queue", "timeout_seconds", "title", "metadata")} == {
        "queue": "slow",
        "timeout_seconds": 60,
        "title": "Adding up",
        "metadata": {"team": "blue", "visits": "[1, 2]"},
    }


def test_a_group_lays_its_options_on_its_members_and_a_chain_on_its_first() -> None:
    grouped = group(add.s(1), add.s(2).set(queue="own"))
    grouped.set(queue="outer")
    assert [node["queue"] for node in read(grouped)["nodes"]] == ["outer", "outer"]
    chained = chain(add.s(1), add.s(2))
    chained.set(queue="outer")
    assert [node.get("queue") for node in read(chained)["nodes"]] == ["outer", None]


def test_priorities_are_turned_round_and_no_priority_is_celerys_highest() -> None:
    made = read(group(add.s(1).set(priority=0), add.s(2).set(priority=7), add.s(3)))
    assert [node["priority"] for node in made["nodes"]] == [9, 2, 9]
    assert all("priority" not in node for node in read(group(add.s(1), add.s(2)))["nodes"])


def test_starmaps_are_plain_tasks_and_chunks_their_starmaps() -> None:
    starmap = read(xstarmap(add.s(), [(1, 2), (3, 4)]))["nodes"][0]
    assert starmap["call"] == "celery.starmap"
    assert starmap["inputs"]["it"] == [[1, 2], [3, 4]]
    made = read(chunks(add.s(), zip(range(5), range(5), strict=True), 2))
    assert [len(node["inputs"]["it"]) for node in made["nodes"]] == [2, 2, 1]


def test_a_generator_of_members_is_read() -> None:
    assert len(read(group(add.s(number) for number in range(4)))["nodes"]) == 4


def test_empty_parts_are_nothing() -> None:
    made = read(chain([add.s(1), group([], app=APP), mail.s()], app=APP))
    assert edges(made) == ["add mail"]
    assert args(made)["mail"] == [ref("add")]
    assert args(read(chord([], mail.s())))["mail"] == [[]]


def test_ids_are_valid_readable_and_unique() -> None:
    names = Names()
    long = "a.b." + "x" * 90
    assert [names.of_task(task) for task in ("app.add", "add", "app.größe!", "a.---", long)] == [
        "add",
        "add.2",
        "gr-e",
        "task",
        "x" * 48,
    ]
    assert names.unused("y" * 64) == "y" * 64
    assert names.unused("y" * 64) == "y" * 56 + ".2"


@pytest.mark.parametrize(
    ("canvas", "says"),
    [
        (lambda: add.s(1).set(eta=datetime(2030, 1, 1, tzinfo=UTC)), "option 'eta'.*countdown"),
        (lambda: add.s(1).set(expires=10), "option 'expires'.*deadline_seconds"),
        (lambda: add.s(1).set(headers={"a": 1}), "option 'headers'"),
        (lambda: add.s(datetime(2030, 1, 1, tzinfo=UTC)), "argument 1 of shop.tasks.add is datetime"),
        (lambda: add.s(float("nan")), "argument 1 of shop.tasks.add is nan"),
        (lambda: mail.s(to=[{"who": {1: 2}}]), r"argument 'to'\[0\]\['who'\] of shop.tasks.mail has the key 1"),
        (lambda: mail.s(message={"from": "bob"}), "reads as a reference"),
        (lambda: mail.s(__args__=1), "reserved"),
        (lambda: chord([add.s(1)]), "a chord has no body"),
        (lambda: group(add.s(1)).set(link=mail.s()), "a group has a link"),
        (lambda: chain(), "the canvas has no task"),
        (lambda: "shop.tasks.add", "not a Celery signature"),
        (lambda: Signature({"kwargs": {}}), "not a Celery signature"),
    ],
)
def test_what_no_goal_says_is_refused_by_name(canvas: Any, says: str) -> None:
    with pytest.raises(NotAGoal, match=says):
        from_canvas(canvas())
