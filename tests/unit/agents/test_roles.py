"""Who does a node: families of roles, the spread over equals, and who stands in for a missing worker."""

from __future__ import annotations

from typing import Any

import pytest

from orchestrator.agents.roles import Family, assign, candidates, choose, family
from orchestrator.domain.agent import AgentCard


def cards(*made: AgentCard) -> dict[str, AgentCard]:
    return {card.name: card for card in made}


TEAM = cards(
    AgentCard(name="ada", role="research", queue="qa1", fallback_roles=("analysis",)), AgentCard(name="ann", role="analysis", queue="qa2"),
    AgentCard(name="eve", role="writer", queue="qa3"), AgentCard(name="quinn", role="qa", queue="qa4"),
    AgentCard(name="max", role="team-lead", queue="qa5"),
)  # fmt: skip


@pytest.mark.parametrize(
    ("role", "wanted"),
    [
        ("owner", "manager"), ("team-lead", "manager"), ("Team_Lead", "manager"), ("lead", "manager"), ("tech-lead", "manager"),
        ("manager", "manager"), ("qa", "reviewer"), ("QA", "reviewer"), ("test", "reviewer"), ("review", "reviewer"),
        ("reviewer", "reviewer"), ("qa_agent", "reviewer"), ("qa.agent", "reviewer"), ("developer", "builder"),
        ("latest", "builder"), ("leader-board", "builder"), ("owners", "builder"), ("", "builder"),
    ],
)  # fmt: skip
def test_families_are_by_whole_words(role: str, wanted: str) -> None:
    assert family(role) == Family(wanted)


@pytest.mark.parametrize(
    ("role", "fallbacks", "hard", "names"),
    [
        ("research", (), True, ["ada"]), ("ada", (), True, ["ada"]), ("pilot", (), True, []),
        ("pilot", ("writer",), True, []), ("pilot", ("writer",), False, ["eve"]), ("pilot", (), False, ["ada", "ann", "eve"]),
        ("reviewer", (), True, ["quinn"]), ("manager", (), True, ["max"]), ("qa", ("writer",), False, ["quinn"]),
    ],
)  # fmt: skip
def test_a_hard_role_is_done_by_itself_or_its_family(role: str, fallbacks: Any, hard: bool, names: list[str]) -> None:
    assert [card.name for card in candidates(role, fallbacks, hard, TEAM)] == names


def test_without_a_reviewer_a_review_is_nobodys_even_if_soft() -> None:
    assert candidates("qa", (), False, cards(TEAM["ada"])) == []


def test_work_for_equals_is_spread_evenly_and_a_named_agent_counts() -> None:
    pair = cards(AgentCard(name="x", role="r", queue="q"), AgentCard(name="y", role="r"))
    nodes: list[dict[str, Any]] = [{"id": "0", "kind": "agent", "agent": "x"}]
    nodes += [{"id": str(index), "kind": "agent", "metadata": {"required_role": "r"}} for index in range(1, 4)]
    made = assign(nodes, pair)
    assert [one["agent"] for one in made] == ["x", "y", "x", "y"]
    assert [one.get("queue") for one in made] == ["q", None, "q", None]
    assert "agent" not in nodes[1], "the nodes that were given are left as they are"


def test_a_queue_of_its_own_is_kept() -> None:
    assert assign([{"id": "a", "kind": "agent", "agent": "ada", "queue": "own"}], TEAM)[0]["queue"] == "own"


def spec(agent: str, **metadata: str) -> dict[str, Any]:
    return {"kind": "agent", "agent": agent, "metadata": metadata}


def test_nothing_changes_while_the_queue_is_served() -> None:
    choice = choose(spec("ada"), TEAM, {"qa1", "qa2"})
    assert (choice.agent, choice.queue, choice.reason, choice.stuck) == ("ada", "qa1", "", False)


def test_a_soft_node_goes_to_its_fallback_role_and_the_reason_says_why() -> None:
    choice = choose(spec("ada", fallback_roles="pilot, writer"), TEAM, {"qa2", "qa3"})
    assert (choice.agent, choice.queue, choice.stuck) == ("eve", "qa3", False)
    assert choice.reason == "no worker serves the queue 'qa1' of agent 'ada'; 'writer' is done by 'eve'"


def test_the_cards_fallback_counts_where_the_node_names_none() -> None:
    assert choose(spec("ada"), TEAM, {"qa2", "qa3"}).agent == "ann"


def test_without_a_fallback_another_builder_takes_it_and_the_better_role_is_named() -> None:
    choice = choose(spec("eve"), TEAM, {"qa2", "qa4", "qa5"})
    assert choice.agent == "ann"
    assert "although 'writer' would be better" in choice.reason


def test_a_hard_node_waits_and_says_so() -> None:
    choice = choose(spec("ada", role_assignment="hard", fallback_roles="writer"), TEAM, {"qa3"})
    assert (choice.agent, choice.queue, choice.stuck) == ("ada", "qa1", True)
    assert "its role 'research' is hard" in choice.reason


def test_reviews_and_plans_go_to_nobody_else() -> None:
    assert choose({**spec("planner"), "queue": "away", "inputs": {"judge": "plan"}}, TEAM, {"qa3"}).stuck
    assert choose(spec("quinn"), TEAM, {"qa3", "qa5"}).stuck


def test_nobody_at_all_is_stuck_and_names_the_roles() -> None:
    choice = choose(spec("ada", fallback_roles="writer"), TEAM, {"elsewhere"})
    assert choice.stuck
    assert "('research', 'writer')" in choice.reason


def test_an_agent_without_a_queue_is_on_the_default_one() -> None:
    free = cards(AgentCard(name="x"), TEAM["ada"])
    assert choose({"agent": "x"}, free, {"default"}).reason == ""
    assert choose(spec("ada"), free, {"default"}).queue == "default"
