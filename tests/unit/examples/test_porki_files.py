"""The folder in porki's format: read without faults, with a plan that holds."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from orchestrator.agents.declare.instructions import find_instructions, read_instructions
from orchestrator.agents.plan.judges import judge_plan
from orchestrator.agents.plan.proposal import Scene
from orchestrator.cli.load import read_source
from orchestrator.domain.document import parse_yaml
from orchestrator.llm.profile_file import load_profiles

FOLDER = Path(__file__).resolve().parents[3] / "examples" / "porki"


def test_the_declaration() -> None:
    path = find_instructions(FOLDER)
    assert path == FOLDER / "instructions" / "INSTRUCTIONS.md"
    found = read_instructions(path)
    assert found.goals == ("goal-001",)
    assert [card.resolved_role for card in found.cards] == ["owner", "researcher", "writer", "qa"]
    assert all((path.parent / str(card.heartbeat)).is_file() for card in found.cards)
    assert found.wanted == found.cards[0].instructions


def test_the_stand_ins_plan_passes_the_judge() -> None:
    steps: list[dict[str, Any]] = parse_yaml((FOLDER / "answers.yaml").read_text())
    plan = next(step["value"] for step in steps if step["role"] == "planner")
    cards = {card.name: card for card in read_source(str(FOLDER), {}).goal.agents}
    assert judge_plan(cards, Scene("goal-002"))(plan) == [], "it is a plan for any goal that is made from these files"
    assert list(load_profiles(FOLDER / "llm.yaml", {}).models) == ["any"]


def test_the_services_of_systemg_depend_on_each_other() -> None:
    services = parse_yaml((FOLDER / "systemg.yaml").read_text())["services"]
    assert {name for one in services.values() for name in one.get("depends_on", ())} <= set(services)
