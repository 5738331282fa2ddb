"""The page about models names every field, error and class of failure."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from pydantic import BaseModel

from orchestrator.domain.document import parse_yaml
from orchestrator.gate.request import CallInputs
from orchestrator.llm import failures
from orchestrator.llm.errors import LlmError
from orchestrator.llm.failures import FailureKind
from orchestrator.llm.profile_file import read_profiles
from orchestrator.llm.profiles import Account, Kind, LimitsProfile, Model, Price, Profiles, Retry
from orchestrator.llm.script import ScriptedFailure, Step, read_script
from support.house import ROOT

PAGE = (ROOT / "docs/reference/llm.md").read_text("utf-8")


@pytest.mark.parametrize("model", [Profiles, Account, LimitsProfile, Model, Retry, CallInputs, Step, ScriptedFailure])
def test_every_field_is_there(model: type[BaseModel]) -> None:
    inline = model is ScriptedFailure  # its fields stand in one line
    assert [name for name in model.model_fields if (f"`{name}`" if inline else f"| `{name}` |") not in PAGE] == []


def test_every_part_of_a_price_kind_error_and_class_is_there() -> None:
    errors = [
        name
        for name, value in vars(failures).items()
        if isinstance(value, type) and issubclass(value, LlmError) and value.__module__ == failures.__name__
    ]
    named = {*errors, *Price.model_fields, *FailureKind, *Kind} - {"CallFailed"}
    assert [name for name in named if f"`{name}`" not in PAGE] == []


def test_the_file_that_it_shows_is_valid() -> None:
    shown = [text for text in re.findall(r"^```yaml\n(.+?)^```", PAGE, re.MULTILINE | re.DOTALL) if "accounts" in text]
    assert [read_profiles(parse_yaml(text)).default() for text in shown] == ["default", "any"]


def test_the_script_that_it_shows_is_valid(tmp_path: Path) -> None:
    (text,) = re.findall(r"^```yaml\n(# answers.yaml\n.+?)^```", PAGE, re.MULTILINE | re.DOTALL)
    (tmp_path / "answers.yaml").write_text(text)
    assert len(read_script(tmp_path / "answers.yaml")) == 3
