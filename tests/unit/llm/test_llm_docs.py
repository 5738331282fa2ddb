"""The page about models names every field, error and class of failure."""

from __future__ import annotations

import re

import pytest
from pydantic import BaseModel

from orchestrator.domain.document import parse_yaml
from orchestrator.gate.request import CallInputs
from orchestrator.llm import failures
from orchestrator.llm.errors import LlmError
from orchestrator.llm.failures import FailureKind
from orchestrator.llm.profile_file import read_profiles
from orchestrator.llm.profiles import Account, Kind, LimitsProfile, Model, Price, Profiles, Retry
from support.house import ROOT

PAGE = (ROOT / "docs/reference/llm.md").read_text("utf-8")


@pytest.mark.parametrize("model", [Profiles, Account, LimitsProfile, Model, Retry, CallInputs])
def test_every_field_is_there(model: type[BaseModel]) -> None:
    assert [name for name in model.model_fields if f"| `{name}` |" not in PAGE] == []


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
    assert [read_profiles(parse_yaml(text)).chain("default") for text in shown] == [["small", "tiny"]]
