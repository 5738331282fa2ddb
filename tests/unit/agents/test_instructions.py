"""The three dialects of declared agents, and what is read out of them."""

from __future__ import annotations

from pathlib import Path

import pytest

from orchestrator.agents.declare.fields import cadence_seconds
from orchestrator.agents.declare.instructions import (
    Declaration,
    InvalidInstructions,
    find_instructions,
    read_instructions,
)

MARKDOWN = """# Build the thing

Everything is written in English.

## Agents

They work together.

### research_agent
- Goal: goal-001
- Heartbeat: ./instructions/heartbeat/research.md
- Role: researcher
- Instructions: instructions/research.md
- Cadence: 5m
- Log-level: INFO
- Model: small
- Tools: search, task:mail.send
- Queue: agents
- Fallback-roles: writer, qa
- Max-turns: 7

### writer
* **Goal:** `goal-001`
* Instructions: Write plainly.
  Use short sentences.

## Rules

No secrets.
"""
VERSION_2 = """instruction_schema_version: "2"
agents:
  - name: lead
    role: team-lead
    goal: goal-001
    heartbeat: heartbeat/LEAD.md
    instructions: LEAD.md
    log-level: DEBUG
    cadence: 10s
  - name: builder
    goal_id: goal-002
    instructions: LEAD.md
    log_level: warn
    cadence_seconds: 15
    fallback-roles: [qa, writer]
    max_turns: 3
    limits: {depth: 1}
    output-schema: {type: object}
"""
FENCED = """# Instructions

Reports go to reports/.

## Agent Configuration

```yaml
agents:
  - name: owner
    goal: ui
    heartbeat: heartbeat/OWNER.md
    instructions: LEAD.md
    log-level: INFO
    cadence: 30s
```

The end.
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with the files that the texts above name."""
    (tmp_path / "instructions").mkdir()
    (tmp_path / "instructions" / "research.md").write_text("Find sources.\n")
    (tmp_path / "LEAD.md").write_text("Lead well.")
    return tmp_path


def read(folder: Path, text: str, name: str = "INSTRUCTIONS.md") -> Declaration:
    """The declaration of a text in a folder."""
    (folder / name).write_text(text, "utf-8")
    return read_instructions(folder / name)


def test_markdown_stanzas(folder: Path) -> None:
    found = read(folder, MARKDOWN)
    research, writer = found.cards
    assert research.model_dump(exclude_defaults=True, exclude={"limits"}) == {
        "name": "research_agent", "goal": "goal-001", "role": "researcher", "instructions": "Find sources.",
        "heartbeat": "instructions/heartbeat/research.md", "cadence_seconds": 300.0, "log_level": "info",
        "model": "small", "tools": ("search", "task:mail.send"), "queue": "agents", "fallback_roles": ("writer", "qa"),
    }  # fmt: skip
    assert research.limits.max_turns == 7
    assert (writer.goal, writer.resolved_role, writer.instructions) == (
        "goal-001", "writer", "Write plainly.\nUse short sentences.",
    )  # fmt: skip
    assert found.title == "Build the thing"
    assert found.instructions.split("\n\n") == [
        "Everything is written in English.", "They work together.", "## Rules", "No secrets.",
    ]  # fmt: skip
    assert found.goals == ("goal-001",)
    assert sorted(found.files) == ["INSTRUCTIONS.md", "instructions/research.md"]


@pytest.mark.parametrize("name", ["INSTRUCTIONS.yaml", "INSTRUCTIONS.yml", "INSTRUCTIONS.md"])
def test_yaml_with_a_version_whatever_the_file_is_called(folder: Path, name: str) -> None:
    lead, builder = read(folder, VERSION_2, name).cards
    assert (lead.role, lead.goal, lead.log_level, lead.cadence_seconds) == ("team-lead", "goal-001", "debug", 10.0)
    assert (lead.instructions, lead.heartbeat) == ("Lead well.", "heartbeat/LEAD.md")
    assert (builder.goal, builder.log_level, builder.cadence_seconds) == ("goal-002", "warning", 15.0)
    assert builder.fallback_roles == ("qa", "writer")
    assert (builder.limits.max_turns, builder.limits.depth, builder.output_schema) == (3, 1, {"type": "object"})


def test_the_older_block_in_markdown(folder: Path) -> None:
    found = read(folder, FENCED)
    assert [(card.name, card.goal, card.cadence_seconds) for card in found.cards] == [("owner", "ui", 30.0)]
    assert found.title == "Instructions"
    assert found.instructions == "Reports go to reports/.\n\n## Agent Configuration\n\nThe end."


@pytest.mark.parametrize("name", ["INSTRUCTIONS.md", "agents.yaml"])
@pytest.mark.parametrize(
    "text", ["agents:\n- name: a\n- name: b\n", "# agents\n- name: a\n- name: b\n", "---\n- name: a\n- {name: b}\n"]
)
def test_bare_yaml_with_agents_or_a_list_at_the_root(folder: Path, name: str, text: str) -> None:
    assert [card.name for card in read(folder, text, name).cards] == ["a", "b"]


def test_a_yaml_block_that_declares_nothing_is_text(folder: Path) -> None:
    found = read(folder, "```yaml\nreplicas: 2\n```\n\n```yaml\nagents: [{name: a}]\n```\n")
    assert [card.name for card in found.cards] == ["a"]
    assert "replicas" in found.instructions


def test_stanzas_win_over_blocks_and_blocks_in_stanzas_are_text(folder: Path) -> None:
    found = read(folder, "## Agents\n### a\n- Role: x\n```yaml\nagents: [{name: b}]\n- Goal: no\n```\n")
    assert [card.name for card in found.cards] == ["a"]
    assert found.cards[0].goal is None
    assert "agents: [{name: b}]" in found.cards[0].instructions


def test_text_in_a_stanza_is_for_the_agent(folder: Path) -> None:
    found = read(
        folder, "## Agents\n### a\n- Instructions: LEAD.md\n\nBe brief.\n- Remember: this is text\n- Goal: g\n"
    )
    assert found.cards[0].instructions == "Lead well.\n\nBe brief.\n- Remember: this is text"
    assert found.cards[0].goal == "g"


def test_lists_may_go_on_below_their_field(folder: Path) -> None:
    found = read(folder, "## Agents\n### a\n- Tools:\n  - search\n  - `fetch`\n- Role: x\n")
    assert found.cards[0].tools == ("search", "fetch")
    assert found.cards[0].role == "x"


def test_limits_and_schemas_in_markdown_are_yaml(folder: Path) -> None:
    text = "## Agents\n### a\n- Limits:\n  depth: 1\n  max_turns: 4\n- Output-schema: {type: object}\n- Role: x\n"
    card = read(folder, text).cards[0]
    assert (card.limits.depth, card.limits.max_turns, card.output_schema, card.role) == (1, 4, {"type": "object"}, "x")


def test_front_matter_of_an_agents_file_says_fields_and_the_declaration_wins(folder: Path) -> None:
    (folder / "a.md").write_text(
        "---\nname: a\nmodel: big\nqueue: slow\ntools: [x, y]\ndescription: Helps.\n---\nDo it.\n"
    )
    card = read(folder, "agents: [{name: a, instructions: a.md, queue: fast}]").cards[0]
    assert (card.model, card.queue, card.tools, card.instructions) == ("big", "fast", ("x", "y"), "Do it.")


def test_a_rule_at_the_top_of_a_file_is_no_front_matter(folder: Path) -> None:
    (folder / "a.md").write_text("---\nDo it.\n")
    assert read(folder, "agents: [{name: a, instructions: a.md}]").cards[0].instructions == "---\nDo it."


@pytest.mark.parametrize(
    "text",
    [
        "---\nworkflow: true\napprove-plan: false\nspawn: {limit: 4}\nrecovery: no\ntitle: T\n---\n## Agents\n### a\n",
        "## Agents\n### a\n## Options\n- Workflow: yes\n- Approve: off\n- Spawn: {limit: 4}\n- Recovery: false\n- Title: T\n",
        "workflow: true\napprove_plan: false\nspawn: {limit: 4, mode: dynamic}\nrecovery: false\ntitle: T\nagents: [{name: a}]",
    ],
)
def test_options_of_the_whole(folder: Path, text: str) -> None:
    found = read(folder, text)
    assert (found.options.workflow, found.options.approve_plan, found.options.recovery) == (True, False, False)
    assert found.title == "T"
    assert found.instructions == ""
    limits = found.cards[0].limits
    assert (limits.spawn, limits.recoveries) == (4, 0)


def test_what_is_wanted_may_stand_in_a_file(folder: Path) -> None:
    found = read(folder, "goal_instructions: LEAD.md\nagents: [{name: a}]")
    assert found.instructions == "Lead well."
    assert "LEAD.md" in found.files


def test_a_path_as_seen_from_the_folder_above(folder: Path) -> None:
    below = folder / "instructions"
    card = read(
        below,
        "## Agents\n### a\n- Instructions: ./instructions/research.md\n- Heartbeat: instructions/heartbeat/a.md\n",
    ).cards[0]
    assert (card.instructions, card.heartbeat) == ("Find sources.", "heartbeat/a.md")


@pytest.mark.parametrize(
    ("written", "seconds"),
    [(5, 5), (2.5, 2.5), ("5", 5), ("5s", 5), ("5m", 300), (" 2 H ", 7200), ("1d", 86_400), ("0.5s", 0.5)],
)
def test_cadence(written: object, seconds: float) -> None:
    assert cadence_seconds(written) == seconds


@pytest.mark.parametrize("written", ["", "m", "5 minutes", "-5s", "5ms", "1e3", None, True, [5], "５s" + "x", 10**400])
def test_no_cadence(written: object) -> None:
    with pytest.raises(ValueError, match="seconds"):
        cadence_seconds(written)


def test_one_goals_agents(folder: Path) -> None:
    found = read(folder, "agents: [{name: a, goal: g}, {name: b, goal: h}, {name: c}, {name: a, goal: h}]")
    assert found.goals == ("g", "h")
    assert [card.name for card in found.for_goal("g").cards] == ["a", "c"]
    assert [card.name for card in found.for_goal("h").cards] == ["b", "c", "a"]
    assert found.for_goal("h").head()["goal_id"] == "h"
    assert [card.name for card in found.for_goal("i").cards] == ["c"]


def test_the_only_goal_can_go_by_another_id(folder: Path) -> None:
    found = read(folder, "agents: [{name: a, goal: g}, {name: b}]").for_goal("again")
    assert [card.name for card in found.cards] == ["a", "b"]
    assert found.head()["goal_id"] == "again"


def test_the_digest_follows_every_file(folder: Path) -> None:
    first = read(folder, MARKDOWN)
    assert read_instructions(first.path).digest == first.digest
    (folder / "instructions" / "research.md").write_text("Find more sources.\n")
    second = read_instructions(first.path)
    assert second.digest != first.digest
    assert second.files["INSTRUCTIONS.md"] == first.files["INSTRUCTIONS.md"]


def test_a_text_can_be_given_in_place_of_the_file(folder: Path) -> None:
    path = folder / "INSTRUCTIONS.md"
    assert read_instructions(path, "## Agents\n### a\n").cards[0].name == "a"
    assert not path.exists()
    with pytest.raises(InvalidInstructions, match="not UTF-8"):
        read_instructions(path, "\ud800")


def test_windows_line_ends_and_a_byte_order_mark(folder: Path) -> None:
    (folder / "INSTRUCTIONS.md").write_bytes("\ufeff# T\r\n## Agents\r\n### a\r\n- Role: x\r\n".encode())
    found = read_instructions(folder / "INSTRUCTIONS.md")
    assert (found.title, found.cards[0].role) == ("T", "x")


def test_where_a_folder_keeps_its_declaration(tmp_path: Path) -> None:
    assert find_instructions(tmp_path) is None
    (tmp_path / "instructions").mkdir()
    (tmp_path / "instructions" / "INSTRUCTIONS.yaml").touch()
    assert find_instructions(tmp_path) == tmp_path / "instructions" / "INSTRUCTIONS.yaml"
    (tmp_path / "INSTRUCTIONS.md").touch()
    assert find_instructions(tmp_path) == tmp_path / "INSTRUCTIONS.md"
