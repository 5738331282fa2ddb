"""Everything that is wrong is said at once, each fault with its file and line."""

from __future__ import annotations

import pickle
import time
from pathlib import Path

import pytest

from orchestrator.agents.declare.instructions import InvalidInstructions, read_instructions


def faults(folder: Path, text: str, name: str = "INSTRUCTIONS.md") -> list[str]:
    """The faults of a text, with places relative to its folder."""
    (folder / name).write_text(text, "utf-8")
    with pytest.raises(InvalidInstructions) as caught:
        read_instructions(folder / name)
    assert pickle.loads(pickle.dumps(caught.value)).faults == caught.value.faults
    return [
        str(fault).removeprefix(f"{folder}/").split(" (")[0].replace(f"{folder}/", "") for fault in caught.value.faults
    ]


def test_all_faults_of_yaml_at_once(tmp_path: Path) -> None:
    text = """instruction_schema_version: "3"
agents:
  - name: a b
    goal: g
    goal_id: h
    cadence: 5x
    limits:
      max_turns: 0
      nope: 1
  - name: c
    instructions: missing.md
    foo: 1
  - name: c
    max_turns: true
    goal: 12
  - 4
  - role: x
    log-level: loud
    tools: {a: b}
stuff: 1
"""
    assert faults(tmp_path, text, "agents.yaml") == [
        "agents.yaml:1: version '3' is not known",
        "agents.yaml:3: name: this is not 1 to 64 letters, digits, dots, underscores or hyphens",
        "agents.yaml:5: 'goal' stands twice",
        "agents.yaml:6: cadence: a time is a number of seconds, or a number with a unit: 30s, 5m, 2h",
        "agents.yaml:8: limits.max_turns: it should be greater than or equal to 1",
        "agents.yaml:9: limits.nope: there is no such field",
        "agents.yaml:11: 'missing.md': there is no such file",
        "agents.yaml:12: there is no field 'foo'",
        "agents.yaml:14: max-turns: this is not a number",
        "agents.yaml:15: goal: it should be a valid string",
        "agents.yaml:16: an agent is a mapping with a name, this is a number",
        "agents.yaml:17: name: Field required",
        "agents.yaml:18: log-level: it should be 'debug', 'info', 'warning' or 'error'",
        "agents.yaml:19: tools: it should be a valid tuple",
        "agents.yaml:20: there is no option 'stuff'",
    ]


def test_all_faults_of_markdown_at_once(tmp_path: Path) -> None:
    text = """---
workflow: maybe
---
# T
## Agents
### a b
- Goal: g
- Goal: h
- Colour: red
- Cadence: soon
### c
- Instructions: gone.md
### c
- Max-turns: many
## Options
- Nope: 1
some text
- Spawn: {limit: -1}
"""
    assert faults(tmp_path, text) == [
        "INSTRUCTIONS.md:2: workflow: this is neither true nor false",
        "INSTRUCTIONS.md:6: name: this is not 1 to 64 letters, digits, dots, underscores or hyphens",
        "INSTRUCTIONS.md:8: 'goal' stands twice",
        "INSTRUCTIONS.md:9: there is no field 'Colour'",
        "INSTRUCTIONS.md:10: cadence: a time is a number of seconds, or a number with a unit: 30s, 5m, 2h",
        "INSTRUCTIONS.md:12: 'gone.md': there is no such file",
        "INSTRUCTIONS.md:13: agent 'c' of every goal is declared twice",
        "INSTRUCTIONS.md:14: max-turns: it should be a valid integer, unable to parse string as an integer",
        "INSTRUCTIONS.md:16: there is no option 'Nope'",
        "INSTRUCTIONS.md:17: '## Options' has bullets '- Option: value' only",
        "INSTRUCTIONS.md:18: spawn.limit: it should be greater than or equal to 0",
    ]


def test_a_fault_in_an_agents_own_file_is_told_there(tmp_path: Path) -> None:
    (tmp_path / "a.md").write_text("---\nmodel: m\nmemory: lots\nstuff: 1\nname: b\ninstructions: x\n---\ntext\n")
    (tmp_path / "c.md").write_text("---\n- a\n---\n")
    (tmp_path / "d.md").write_text("---\nrole: [\n---\n")
    text = "## Agents\n### a\n- Instructions: a.md\n### c\n- Instructions: c.md\n### d\n- Instructions: d.md\n"
    assert faults(tmp_path, text) == [
        "a.md:3: memory: it should be a valid integer, unable to parse string as an integer",
        "a.md:4: there is no field 'stuff'",
        "a.md:5: this is 'b', yet it is named by 'a'",
        "a.md:6: there is no field 'instructions'",
        "c.md:2: front matter is a mapping of fields",
        "d.md:2: this is not YAML: expected the node content, but found '<stream end>'",
    ]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "1: no agents are declared"),
        ("# T\n\nwords\n", "1: no agents are declared"),
        ("# T\n## Agents\n\nnobody\n", "2: '## Agents' declares none"),
        ("agents: []\n", "1: no agents are declared"),
        ("agents:\n  a: 1\n", "1: 'agents' must be a list"),
        ("instruction_schema_version: '2'\n", "1: 'agents' is missing"),
        ("instruction_schema_version: '2'\nagents:\n  - name: a\n    name: b\n", "4: this is not YAML: the key 'name' stands twice"),
        ("# T\n```yaml\nagents:\n  - name: [\n```\n", "4: this is not YAML: expected the node content, but found '<stream end>'"),
        ("# T\n```yaml\nagents: no\n```\n", "3: 'agents' must be a list"),
        ("---\n[1]\n---\n## Agents\n### a\n", "2: front matter is a mapping of options"),
        ('agents:\n- name: a\n  instructions: "\\ud83d x"\n', "1: an escape stands for half a character"),
        ("## Agents\n### a\n- Limits:\n  depth: 1\n  turns: 2\n", "5: limits.turns: there is no such field"),
        ("## Agents\n### a\n- Limits: {depth: [}\n", "3: this is not YAML: expected the node content, but found '}'"),
        ("## Agents\n###\n", "2: name: this is not 1 to 64 letters, digits, dots, underscores or hyphens"),
        ("agents:\n- &x {name: a}\n- *x\n", "2: agent 'a' of every goal is declared twice"),
        ("agents:\n- {name: a}\n- {name: a, goal: g}\n", "3: agent 'a' of g is declared twice"),
        ("agents:\n- {name: a, goal: g}\n- {name: a}\n", "3: agent 'a' of every goal is declared twice"),
    ],
)  # fmt: skip
def test_one_fault(tmp_path: Path, text: str, said: str) -> None:
    assert faults(tmp_path, text) == [f"INSTRUCTIONS.md:{said}"]


def test_a_flood_of_agents_is_refused(tmp_path: Path) -> None:
    text = "agents:\n" + "".join(f"- name: a{index}\n" for index in range(1001))
    assert faults(tmp_path, text) == ["INSTRUCTIONS.md:1002: there are more than 1,000 agents"]


def test_texts_beyond_what_an_agent_is_told_are_refused(tmp_path: Path) -> None:
    (tmp_path / "long.md").write_text("x" * 100_001)
    text = "goal_instructions: long.md\nagents:\n- name: a\n  instructions: long.md\n"
    assert faults(tmp_path, text) == [
        "INSTRUCTIONS.md:1: the goal's text has more than 100,000 characters",
        "INSTRUCTIONS.md:4: the instructions have more than 100,000 characters",
    ]


def test_an_alias_bomb_is_refused(tmp_path: Path) -> None:
    layers = ["a: &a [x, x, x, x, x, x, x, x, x, x]"]
    layers += [
        f"{here}: &{here} [{', '.join([f'*{before}'] * 10)}]" for before, here in zip("abcdefg", "bcdefgh", strict=True)
    ]
    assert "aliases" in faults(tmp_path, "\n".join(["agents: [{name: a}]", *layers]), "agents.yaml")[0]


@pytest.mark.parametrize(
    "line",
    [
        "#### " + " " * 400_000 + "x",
        "- a" + " " * 400_000 + "x",
        "`" * 400_000 + "x",
        "- Tools: " + "," * 400_000 + " a b c",
    ],
)
def test_long_lines_cost_no_more_than_their_length(tmp_path: Path, line: str) -> None:
    path = tmp_path / "INSTRUCTIONS.md"
    path.write_text(f"## Agents\n### a\n{line}\n### b c\n")
    began = time.process_time()
    with pytest.raises(InvalidInstructions):
        read_instructions(path)
    assert time.process_time() - began < 5
