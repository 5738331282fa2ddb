"""Whatever a declaration says, it is read or refused with faults; nothing else ever happens."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.agents.declare.instructions import Declaration, InvalidInstructions, read_instructions, tasks_goal
from orchestrator.domain.validate import read_goal

WORDS = (
    "## Agents", "## Options", "# T", "### a", "### b c", "####", "- Goal: g", "- Instructions: a.md", "- Tools:", "  - x",
    "- Cadence: 5m", "- Cadence: 9999999999d", "* **Role:** `r`", "- Spawn: {limit: 3}", "- Spawn: {", "```yaml", "```",
    "agents:", "- name: a", "  - name: b", "    goal_id: g", "    limits: {max_turns: 2}", "    limits: {spawn: 1e400}",
    "    heartbeat: ../x", "    output-schema: !!binary aGk=", "    cadence: 1:30", "    name: 2020-01-01", "instruction_schema_version: '2'",
    "---", "workflow: true", "- [ ] task", "- [x] done", "  more", "", "\t", "&x [*x]", "!!python/object:os.system", "? : -", "\x00",
    "    max_turns: 1" + "0" * 400, "<<: *a", "- Workflow: [", "title: {a: b}", "spawn: [1]", "imports: [os, 'a b']",
)  # fmt: skip
LINES = st.lists(st.one_of(st.sampled_from(WORDS), st.text(max_size=20)), max_size=25).map("\n".join)
SCALARS = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False, allow_infinity=False), st.text(max_size=10)
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
FIELDS = st.sampled_from(
    ("name", "goal", "goal_id", "role", "instructions", "heartbeat", "cadence", "log-level", "tools", "fallback_roles", "limits",
     "max-turns", "memory", "output_schema", "queue", "model", "description", "other")
)  # fmt: skip
AGENT = st.dictionaries(FIELDS, VALUES | st.sampled_from(["a", "b", "a.md", "5s", 3]), max_size=6)
DOCUMENT = st.fixed_dictionaries(
    {"agents": st.lists(AGENT | VALUES, max_size=4)},
    optional={"workflow": VALUES, "spawn": VALUES, "title": VALUES, "goal_instructions": VALUES, "imports": VALUES},
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with one file to be named."""
    made = tmp_path_factory.mktemp("fuzz")
    (made / "a.md").write_text("---\nmodel: m\n---\n- [ ] one\n")
    return made


def look(path: Path, text: str) -> None:
    """Read a text, and look at everything that follows from it."""
    found = read(path, text)
    if isinstance(found, InvalidInstructions):
        most = max(sum(text.count(end) for end in "\n\r\x85\u2028\u2029") + 1, 4)  # what YAML counts as a line's end
        places = [fault.place.rpartition(":") for fault in found.faults]
        assert places
        assert [at for at in places if not (at[0].startswith(str(path.parent)) and 1 <= int(at[2]) <= most)] == []
        return
    assert found.cards
    assert {Path(name).is_absolute() or ".." in name for name in found.files} == {False}
    json.dumps([card.model_dump(mode="json") for card in found.cards])
    goal = found.for_goal(next(iter(found.goals), None))
    if goal.tasks:
        read_goal(tasks_goal(goal))


def read(path: Path, text: str | None = None) -> Declaration | InvalidInstructions:
    """What comes of a text; any other error is a failure of the test."""
    try:
        return read_instructions(path, text)
    except InvalidInstructions as error:
        return error


@given(text=LINES)
def test_lines_of_the_grammar_in_any_order(folder: Path, text: str) -> None:
    for name in ("INSTRUCTIONS.md", "INSTRUCTIONS.yaml"):
        look(folder / name, text)


@given(raw=st.binary(max_size=200))
def test_any_bytes(folder: Path, raw: bytes) -> None:
    path = folder / "raw.md"
    path.write_bytes(raw)
    found = read(path)
    assert found.faults if isinstance(found, InvalidInstructions) else found.cards


@given(document=DOCUMENT)
def test_any_values_of_the_fields(folder: Path, document: object) -> None:
    look(folder / "INSTRUCTIONS.yaml", json.dumps(document))
