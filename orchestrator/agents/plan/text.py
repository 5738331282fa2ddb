"""A plan as text that people read, edit and compare: YAML with one fixed order, so that equal plans have equal texts."""

from __future__ import annotations

import difflib
from typing import Any, Final

import yaml

from orchestrator.agents.plan.proposal import Proposal
from orchestrator.domain.document import parse_yaml

_ALWAYS: Final = ("id", "title")
WIDTH: Final = 100


class _Dumper(yaml.SafeDumper):
    """Long texts as blocks, no aliases."""

    def ignore_aliases(self, data: Any) -> bool:  # noqa: ARG002
        return True


def _text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    style = "|" if "\n" in text else None
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=style)


_Dumper.add_representer(str, _text)


def plan_text(proposal: Proposal) -> str:
    """The plan as YAML; what is as by default is left out. `read_plan` reads it back."""
    whole = proposal.model_dump(mode="json", exclude_defaults=True)
    nodes = proposal.model_dump(mode="json")["nodes"]
    fields = {name: field.default for name, field in type(proposal.nodes[0]).model_fields.items()} if nodes else {}
    kept = [
        {name: value for name, value in node.items() if name in _ALWAYS or value != _plain(fields[name])}
        for node in nodes
    ]
    document = {name: value for name, value in whole.items() if name != "nodes"} | {"nodes": kept}
    return yaml.dump(document, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=WIDTH)


def _plain(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value


def read_plan(text: str | bytes) -> Any:
    """The value of an edited plan, YAML or JSON, still to be checked. Raises InvalidGoal where it is neither."""
    return parse_yaml(text)


def plan_diff(old: Proposal, new: Proposal) -> str:
    """What changed between two plans, as a unified diff of their texts; empty where nothing did."""
    lines = difflib.unified_diff(
        plan_text(old).splitlines(keepends=True),
        plan_text(new).splitlines(keepends=True),
        "proposed", "edited",
    )  # fmt: skip
    return "".join(lines)
