"""`run` and `plan` with declared agents: which goal comes of a folder, and what it is run with."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click
import pytest

from orchestrator.agents.declare.instructions import InvalidInstructions
from orchestrator.cli import ground
from orchestrator.cli.declared import Wish
from orchestrator.cli.ground import agent_queues, calls_models
from orchestrator.cli.load import read_source
from orchestrator.cli.models import chosen_for
from orchestrator.domain.errors import GoalExists, InvalidGoal
from orchestrator.domain.states import GoalState
from orchestrator.llm.failures import InvalidProfiles
from orchestrator.settings import Settings
from support.door import Door, Run, make_event, make_status

PLAIN = "# Say hello\n\nSay it to everybody.\n\n## Agents\n### a\n- Goal: g\n### b\n- Goal: g\n"
TASKS = PLAIN + "- [ ] First\n- [ ] Second\n"
DAG = {"nodes": [{"id": "x", "kind": "agent", "agent": "a"}, {"id": "y", "call": "steps:work"}]}
SCRIPTED = "accounts:\n  play: {kind: scripted, script: s.yaml}\nmodels: {any: {account: play}}\n"
CALLING = '  thief: {base_url: "https://example.org/v1", api_key_env: OPENAI_API_KEY}'
TEAM = "## Agents\n### lead\n### qa\n### dev\n- [ ] Build\n"


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def ids(path: str, wish: Wish | None = None) -> list[str]:
    """The nodes of the goal that comes of a path."""
    return [node.id for node in read_source(path, {}, wish).goal.nodes]


@pytest.mark.parametrize("place", ["INSTRUCTIONS.md", "instructions/INSTRUCTIONS.md"])
def test_task_lists_are_the_plan(place: str) -> None:
    Path(place).parent.mkdir(exist_ok=True)
    Path(place).write_text(TASKS)
    for path in (".", place):
        source = read_source(path, {})
        assert [node.id for node in source.goal.nodes] == ["b-first", "b-second"]
        assert (source.goal.goal_id, source.goal.title, source.goal.instructions) == (
            "g",
            "Say hello",
            "Say it to everybody.",
        )
        assert [card.name for card in source.goal.agents] == ["a", "b"]
        assert source.folder == Path.cwd()
        assert calls_models(source.goal)
        assert source.declaration is not None
        assert [card.name for card in source.declaration.cards] == ["a", "b"]


def test_a_dag_beside_the_declaration_is_the_plan() -> None:
    Path("INSTRUCTIONS.md").write_text(TASKS)
    Path("goal.json").write_text(json.dumps({**DAG, "title": "Mine"}))
    Path("steps.py").touch()
    source = read_source(".", {})
    assert [node.id for node in source.goal.nodes] == ["x", "y"]
    assert (source.goal.title, source.goal.instructions, source.goal.goal_id) == ("Mine", "Say it to everybody.", "g")
    assert [card.name for card in source.goal.agents] == ["a", "b"]
    assert source.imports == ("steps",)
    assert read_source("goal.json", {}).goal.agents == ()


def test_the_dags_own_agents_stay_and_twins_are_refused() -> None:
    Path("INSTRUCTIONS.md").write_text(PLAIN)
    Path("goal.json").write_text(json.dumps({**DAG, "agents": [{"name": "c"}]}))
    assert [card.name for card in read_source(".", {}).goal.agents] == ["c", "a", "b"]
    Path("goal.json").write_text(json.dumps({**DAG, "agents": [{"name": "b"}]}))
    with pytest.raises(InvalidGoal, match=r"INSTRUCTIONS\.md:8: agent 'b'"):
        read_source(".", {})


def test_a_goal_py_beside_it_takes_settings() -> None:
    Path("INSTRUCTIONS.md").write_text(PLAIN)
    Path("goal.py").write_text("def goal(count):\n    return {'nodes': [{'id': f'n{i}'} for i in range(count)]}\n")
    assert len(read_source(".", {"count": 3}).goal.nodes) == 3
    Path("goal.py").unlink()
    with pytest.raises(click.BadParameter, match="takes settings"):
        read_source(".", {"count": 3})


def test_without_tasks_and_dag_a_model_plans() -> None:
    Path("INSTRUCTIONS.md").write_text(PLAIN)
    assert ids(".") == ["plan", "apply-plan"]
    goal = read_source(".", {}, Wish(text="Wave.", approve_plan=True, owner="me")).goal
    assert [node.id for node in goal.nodes] == ["plan", "approve-plan", "apply-plan"]
    assert (goal.goal_id, goal.instructions, goal.owner, goal.title) == ("g", "Wave.", "me", "Say hello")
    Path("INSTRUCTIONS.md").write_text("---\napprove_plan: true\n---\n" + PLAIN)
    assert ids(".") == ["plan", "approve-plan", "apply-plan"]
    assert ids(".", Wish(approve_plan=False)) == ["plan", "apply-plan"]


def test_what_is_wanted_must_be_said() -> None:
    Path("INSTRUCTIONS.md").write_text("## Agents\n### a\n")
    with pytest.raises(InvalidGoal, match="what is wanted"):
        read_source(".", {})
    assert ids(".", Wish(text="Wave.")) == ["plan", "apply-plan"]


def test_the_wish_goes_with_task_lists_too() -> None:
    Path("INSTRUCTIONS.md").write_text(TASKS)
    goal = read_source(".", {}, Wish(text="Wave.", owner="me")).goal
    assert (goal.instructions, goal.owner) == ("Wave.", "me")


def test_the_role_workflow_of_task_lists() -> None:
    Path("INSTRUCTIONS.md").write_text(TEAM)
    assert ids(".") == ["dev-build"]
    assert set(ids(".", Wish(workflow=True))) >= {"dev-build", "dev-build__qa", "dev-build__integrate"}
    Path("INSTRUCTIONS.md").write_text("---\nworkflow: true\n---\n" + TEAM)
    assert "dev-build__qa" in ids(".")
    assert ids(".", Wish(workflow=False)) == ["dev-build"]
    Path("INSTRUCTIONS.md").write_text("---\nworkflow: true\n---\n" + TASKS)
    with pytest.raises(InvalidGoal, match="no agent reviews"):
        read_source(".", {})


def test_agents_of_several_goals_need_a_choice() -> None:
    Path("INSTRUCTIONS.yaml").write_text(
        "agents: [{name: a, goal: g}, {name: b, goal: h}]\ngoal_instructions: Say hello to all.\n"
    )
    with pytest.raises(click.BadParameter, match="g, h"):
        read_source(".", {})
    goal = read_source(".", {}, Wish(goal_id="h")).goal
    assert goal.goal_id == "h"
    assert {card.name for card in goal.agents} >= {"b"}
    assert "a" not in {card.name for card in goal.agents}
    Path("goal.json").write_text(json.dumps({"goal_id": "g", "nodes": [{"id": "x"}]}))
    assert [card.name for card in read_source(".", {}).goal.agents] == ["a"]


def test_a_changed_declaration_needs_another_id(door: Door, chordal: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def taken(_goal: object) -> str:
        raise GoalExists("another goal 'g' is stored")

    @contextmanager
    def stand_in(settings: Settings, *_: Any, **__: Any) -> Iterator[ground.Ground]:
        yield ground.Ground(settings, ours=False)

    monkeypatch.setattr(ground, "ground", stand_in)
    monkeypatch.setattr(door, "submit", taken)
    Path("INSTRUCTIONS.md").write_text(TASKS)
    result = chordal("run", ".")
    assert result.exit_code == 2
    assert "--goal-id ID" in result.stderr
    assert read_source(".", {}, Wish(goal_id="again")).goal.goal_id == "again"


def test_faults_of_the_declaration_are_told() -> None:
    Path("INSTRUCTIONS.md").write_text("## Agents\n### a b\n")
    with pytest.raises(InvalidInstructions, match=r"INSTRUCTIONS\.md:2"):
        read_source(".", {})


def test_modules_that_the_declaration_names_are_imported() -> None:
    Path("INSTRUCTIONS.md").write_text(TASKS + "## Options\n- Imports: tools_here, gone\n")
    Path("tools_here.py").touch()
    with pytest.raises(InvalidGoal, match="there is no module 'gone'"):
        read_source(".", {})
    Path("gone.py").touch()
    assert read_source(".", {}).imports == ("tools_here", "gone")


def test_options_of_declared_agents_do_not_go_with_other_goals(chordal: Run) -> None:
    Path("goal.json").write_text(json.dumps({"nodes": [{"id": "x"}]}))
    result = chordal("plan", "goal.json", "--workflow")
    assert result.exit_code == 2
    assert "declared agents" in result.stderr


def test_plan_shows_the_dag_of_the_task_lists(chordal: Run) -> None:
    Path("INSTRUCTIONS.md").write_text(TASKS)
    assert "b-first -> b-second" in chordal("plan", ".").stdout
    assert json.loads(chordal("plan", ".", "--json").stdout)["nodes"] == 2


@pytest.mark.parametrize("elsewhere", [False, True])
def test_a_stack_of_the_runs_own_uses_the_profiles_beside_the_declaration(
    door: Door, chordal: Run, monkeypatch: pytest.MonkeyPatch, elsewhere: bool
) -> None:
    used: list[Any] = []

    @contextmanager
    def stand_in(settings: Settings, source: Any, shape: ground.Shape, start: bool) -> Iterator[ground.Ground]:  # noqa: ARG001
        used.extend((settings.llm_file, shape.llm_workers))
        yield ground.Ground(settings, ours=True)

    monkeypatch.setattr(ground, "ground", stand_in)
    monkeypatch.delenv("CHORDAL_LLM_FILE", raising=False)
    if elsewhere:
        monkeypatch.setenv("CHORDAL_LLM_FILE", "other.yaml")
    Path("instructions").mkdir()
    Path("instructions/INSTRUCTIONS.md").write_text(TASKS)
    Path("llm.yaml").write_text(SCRIPTED)
    door.statuses["g"] = make_status("g", GoalState.DONE)
    door.pages = [make_event(1, "goal.started"), make_event(2, "goal.done")]
    assert chordal("run", ".").exit_code == 0
    assert used == [Path("other.yaml") if elsewhere else Path.cwd() / "llm.yaml", 1]


def test_profiles_beside_the_declaration_that_call_somebody_are_not_used_unasked(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("CHORDAL_LLM_FILE", raising=False)
    Path("INSTRUCTIONS.md").write_text(TASKS)
    Path("llm.yaml").write_text(SCRIPTED.replace("models:", f"{CALLING}\nmodels:"))
    with click.Context(click.Command("run")).scope():
        assert chosen_for(read_source(".", {})).llm_file is None
        said = capsys.readouterr().err
        assert "(thief)" in said
        assert f"CHORDAL_LLM_FILE={Path.cwd()}/llm.yaml" in said
        monkeypatch.setenv("CHORDAL_LLM_FILE", "llm.yaml")
        assert chosen_for(read_source(".", {})).llm_file == Path("llm.yaml")
        monkeypatch.delenv("CHORDAL_LLM_FILE")
        Path("llm.yaml").write_text("accounts: 1\n")
        with pytest.raises(InvalidProfiles):
            chosen_for(read_source(".", {}))
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("dag", [True, False])
def test_an_approval_of_a_plan_that_no_model_makes_is_refused(dag: bool) -> None:
    Path("INSTRUCTIONS.md").write_text(TASKS)
    if dag:
        Path("goal.json").write_text(json.dumps({"nodes": [{"id": "x"}]}))
    with pytest.raises(InvalidGoal, match=r"no model makes a plan to approve.*kind approval"):
        read_source(".", {}, Wish(approve_plan=True))
    Path("INSTRUCTIONS.md").write_text("---\napprove_plan: true\n---\n" + TASKS)
    with pytest.raises(InvalidGoal, match="no model makes a plan"):
        read_source(".", {})
    assert ids(".", Wish(approve_plan=False))


def test_workers_of_the_run_serve_the_agents_queues() -> None:
    Path("INSTRUCTIONS.md").write_text(TASKS + "- Queue: slow\n")
    assert agent_queues(read_source(".", {}).goal) == ("slow",)
    node = {"id": "y", "kind": "task", "call": "shop.mail", "queue": "theirs"}
    Path("goal.json").write_text(
        json.dumps({"nodes": [{"id": "x", "kind": "agent", "agent": "a", "queue": "own"}, node]})
    )
    assert agent_queues(read_source("goal.json", {}).goal) == ("own",)


def test_agents_in_sub_goals_call_models() -> None:
    Path("goal.json").write_text(
        json.dumps(
            {"nodes": [{"id": "x", "kind": "goal", "goal": {"nodes": [{"id": "y", "kind": "agent", "agent": "a"}]}}]}
        )
    )
    assert calls_models(read_source("goal.json", {}).goal)
