"""Task lists become a goal without a model, and the same list the same goal."""

from __future__ import annotations

from pathlib import Path

import pytest

from orchestrator.agents.declare.instructions import read_instructions, tasks_goal
from orchestrator.agents.declare.tasks import open_tasks
from orchestrator.domain.validate import read_goal

TEXT = """# T

Be good.

## Agents
### a
- Goal: g
- Instructions: Work.
  - [ ] First *thing*
    with more to say
  - [x] Done before
    with a text
    - [ ] and a part of it
  - [ ] Second
### b
- Goal: g
- [ ] First thing
- [ ] First thing
1. [ ] Ünïcode, and a tail that is far longer than any id may be, whatever happens
- [ ] 日本語
"""


def test_items(tmp_path: Path) -> None:
    found = read_instructions(tmp_path / "INSTRUCTIONS.md", TEXT)
    assert found.tasks["a"] == ("First *thing*\nwith more to say", "Second")
    assert len(found.tasks["b"]) == 4


def test_the_goal_has_a_chain_an_agent(tmp_path: Path) -> None:
    found = read_instructions(tmp_path / "INSTRUCTIONS.md", TEXT).for_goal("g")
    document = tasks_goal(found)
    goal = read_goal(document)
    ids = [node.id for node in goal.nodes]
    assert ids == [
        "a-first-thing", "a-second", "b-first-thing", "b-first-thing-2",
        "b-unicode-and-a-tail-that-is-far-longer-tha", "b-77710aed",
    ]  # fmt: skip
    assert [(edge.source, edge.target) for edge in goal.edges] == [
        (ids[0], ids[1]), (ids[2], ids[3]), (ids[3], ids[4]), (ids[4], ids[5]),
    ]  # fmt: skip
    assert (goal.goal_id, goal.title, goal.instructions) == ("g", "T", "Be good.")
    assert [card.name for card in goal.agents] == ["a", "b"]
    assert (goal.nodes[0].title, goal.nodes[0].inputs) == ("First *thing*", {"task": "First *thing*\nwith more to say"})
    assert (goal.nodes[1].title, goal.nodes[1].inputs) == ("Second", None)
    assert document == tasks_goal(read_instructions(tmp_path / "INSTRUCTIONS.md", TEXT).for_goal("g"))


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("- [ ] a\n- [X] b\n* [ ] c\n+ [ ] d\n2) [ ] e", ("a", "c", "d", "e")),
        ("- [ ]\n- [] b\n- [y] c\n-[ ] d\n[ ] e", ()),
        ("```\n- [ ] a\n```\n- [ ] b\n~~~\n- [ ] c\n~~~", ("b",)),
        ("- [ ] a\n\n  more\nother text\n  not more", ("a\nmore",)),
        ("- [x] a\n  - [ ] part\n- [ ] b", ("b",)),
        ("text\n  - [ ] a\n  - [ ] b\n- [ ] c", ("a", "b", "c")),
    ],
)
def test_what_is_an_open_item(text: str, found: tuple[str, ...]) -> None:
    assert open_tasks(text) == found


def test_a_long_title_is_cut_and_told_whole(tmp_path: Path) -> None:
    found = read_instructions(tmp_path / "INSTRUCTIONS.md", f"## Agents\n### a\n- [ ] {'word ' * 100}\n")
    node = tasks_goal(found)["nodes"][0]
    assert len(node["title"]) == 200
    assert node["inputs"]["task"].count("word") == 100


def test_many_items_of_one_text_have_names_of_their_own(tmp_path: Path) -> None:
    found = read_instructions(tmp_path / "INSTRUCTIONS.md", "## Agents\n### a\n" + "- [ ] again\n" * 300)
    ids = [node["id"] for node in tasks_goal(found)["nodes"]]
    assert len(set(ids)) == 300
    assert max(map(len, ids)) <= 48
