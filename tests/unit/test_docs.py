"""The docs stay true: generated pages are as the code would write them, links lead somewhere, names exist."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

import jsonschema
import pytest
from pydantic import BaseModel

import describe
import generate
from orchestrator.domain import dag, states
from orchestrator.domain.condition import Condition
from orchestrator.domain.document import parse_json, parse_yaml
from orchestrator.domain.events import EventType
from orchestrator.domain.limits import Limits
from orchestrator.domain.validate import read_goal
from orchestrator.settings import Settings
from orchestrator.store.keys import CATALOGUE
from support.house import ROOT, files

PAGES = [path for path in files() if path.suffix == ".md"]
LINK = re.compile(r"(?<!!)\[[^\]\n]*\]\(([^)\s]+)\)")
FENCE = re.compile(r"^```.*?^```", re.MULTILINE | re.DOTALL)
SETTING = re.compile(r"\bCHORDAL_[A-Z_]+[A-Z]\b")
NOT_SETTINGS = {"CHORDAL_CODE", "CHORDAL_CONCURRENCY", "CHORDAL_LLM_CONCURRENCY"}
"""Variables of compose.yaml, which compose reads and Chordal does not."""


def page(name: str) -> str:
    return (generate.REFERENCE / name).read_text("utf-8")


def anchors(path: Path) -> set[str]:
    """The fragments that GitHub makes for the headings of a page."""
    headings = re.findall(r"^#+ (.+)$", FENCE.sub("", path.read_text("utf-8")), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def broken_links(path: Path) -> Iterator[str]:
    for target in LINK.findall(FENCE.sub("", path.read_text("utf-8"))):
        if re.match(r"[a-z]+:", target):
            continue
        name, _, fragment = target.partition("#")
        found = (path.parent / name).resolve() if name else path
        if not found.exists():
            yield f"{target}: there is no such file"
        elif fragment and found.suffix == ".md" and fragment not in anchors(found):
            yield f"{target}: there is no such heading"


@pytest.mark.parametrize("name", generate.PAGES)
def test_a_reference_page_is_as_the_code_would_write_it(name: str) -> None:
    assert page(name) == generate.PAGES[name](), "run `make docs`"


@pytest.mark.parametrize("path", PAGES, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_relative_link_leads_somewhere(path: Path) -> None:
    assert list(broken_links(path)) == []


def test_a_broken_link_is_noticed(tmp_path: Path) -> None:
    path = tmp_path / "page.md"
    path.write_text("# One\n[a](gone.md) [b](#two) [c](#one) [d](https://example.org/x) ```[e](no.md)```\n")
    assert list(broken_links(path)) == [
        "gone.md: there is no such file",
        "#two: there is no such heading",
        "no.md: there is no such file",  # one line of code is not a fence
    ]


def test_every_page_can_be_reached_from_the_index() -> None:
    seen: set[Path] = set()
    left = [ROOT / "docs/index.md"]
    while left:
        path = left.pop()
        if path not in seen and path.suffix == ".md":
            seen.add(path)
            targets = (
                target.partition("#")[0] for target in LINK.findall(path.read_text("utf-8")) if ":" not in target
            )
            left += [(path.parent / target).resolve() for target in targets if target]
    assert {path for path in PAGES if (ROOT / "docs") in path.parents} <= seen


@pytest.mark.parametrize("name", Settings.model_fields)
def test_every_setting_is_there_with_its_meaning(name: str) -> None:
    assert f"`CHORDAL_{name.upper()}`" in page("settings.md")
    assert describe.attribute_docs(Settings).get(name), "give it a docstring"


@pytest.mark.parametrize("path", PAGES, ids=lambda path: str(path.relative_to(ROOT)))
def test_no_page_names_a_setting_that_is_not_there(path: Path) -> None:
    named = set(SETTING.findall(path.read_text("utf-8"))) - NOT_SETTINGS
    assert named <= {f"CHORDAL_{name.upper()}" for name in Settings.model_fields}


@pytest.mark.parametrize("event", EventType)
def test_every_event_is_there_with_its_meaning(event: EventType) -> None:
    assert event.meaning
    assert f"`{event.value}`" in page("events.md")


@pytest.mark.parametrize("state", [*states.NodeState, *states.GoalState])
def test_every_state_is_there_with_its_meaning(state: states.NodeState | states.GoalState) -> None:
    assert f"| `{state}` |" in page("states.md")
    assert describe.attribute_docs(type(state)).get(state.name), "give it a comment"


def test_every_key_is_there_once() -> None:
    patterns = [key.pattern for key in CATALOGUE]
    assert len(set(patterns)) == len(patterns)
    for pattern in patterns:
        assert f"| `{pattern}` |" in page("keys.md")


@pytest.mark.parametrize("model", [dag.Goal, dag.Node, dag.Edge, dag.Budget, Condition])
def test_every_field_of_the_format_is_there_with_its_meaning(model: type[BaseModel]) -> None:
    docs = {name for base in model.__mro__ if base is not BaseModel and issubclass(base, BaseModel)
            for name in describe.attribute_docs(base)}  # fmt: skip
    assert set(model.model_fields) <= docs
    assert all(f"| `{name}` |" in page("goal.md") for name in model.model_fields)


def test_every_limit_is_there_with_its_meaning() -> None:
    assert set(Limits.__dataclass_fields__) <= set(describe.attribute_docs(Limits))


@pytest.mark.parametrize("path", PAGES, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_goal_that_a_page_shows_is_valid(path: Path) -> None:
    for language, text in re.findall(r"^```(json|yaml)\n(.+?)^```", path.read_text("utf-8"), re.MULTILINE | re.DOTALL):
        if "nodes" in text:
            shown = parse_json(text) if language == "json" else parse_yaml(text)
            if not isinstance(shown, list):  # else it shows steps of a script, one of which may be a plan
                read_goal(shown)


def test_the_schema_accepts_what_the_page_shows_and_refuses_what_the_reader_refuses() -> None:
    schema = json.loads(page("goal.schema.json"))
    jsonschema.Draft202012Validator.check_schema(schema)
    validator = jsonschema.Draft202012Validator(schema)
    for example in re.findall(r"```json\n(.+?)```", page("goal.md"), re.DOTALL):
        validator.validate(json.loads(example))
        dag.Goal.model_validate_json(example)
    edge = {"source": "a", "target": "b", "when": "score >= 0.5"}
    validator.validate({"nodes": [{"id": "a"}, {"id": "b"}], "edges": [edge]})
    assert not validator.is_valid({"nodes": [{"id": "a", "colour": "red"}]})
    assert not validator.is_valid({"nodes": [{"id": "no spaces"}]})
