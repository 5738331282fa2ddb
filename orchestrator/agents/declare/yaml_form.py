"""Agents declared in YAML: the strict form with a version, and the older list, bare or in a fenced block."""

from __future__ import annotations

from typing import Final

from orchestrator.agents.declare.draft import Draft, Item, Stanza, member, read_yaml
from orchestrator.agents.declare.fields import AgentEntry, Options, field_name
from orchestrator.domain.errors import Fault

VERSION: Final = "2"
"""The value of `instruction_schema_version`."""


def read_yaml_document(draft: Draft, text: str, above: int = 0) -> None:
    """Fill the draft from a document that is YAML as a whole, or from one fenced block of it."""
    draft.listed = True
    root = read_yaml(draft, text, above)
    if root is None:
        return
    if isinstance(root.value, list):
        read_agents(draft, root)
    elif isinstance(root.value, dict):
        _read_mapping(draft, root)
    else:
        draft.fault(root.line, "this declares no agents", "write a mapping with 'agents', or a list of agents")


def read_options(draft: Draft, root: Item) -> None:
    """Take the options of a mapping (front matter)."""
    if root.value is None:
        return
    if not isinstance(root.value, dict):
        draft.faults.append(_fault(root, "front matter is a mapping of options"))
        return
    for key in root.value:
        draft.put(draft.options, key, member(root, key), Options.model_fields, "option")


def read_agents(draft: Draft, agents: Item) -> None:
    """Take a list of agents."""
    if not isinstance(agents.value, list):
        draft.faults.append(_fault(agents, "'agents' must be a list"))
        return
    for index, entry in enumerate(agents.value):
        item = member(agents, index)
        if not isinstance(entry, dict):
            draft.faults.append(_fault(item, f"an agent is a mapping with a name, this is {_kind(entry)}"))
            continue
        stanza = Stanza(item)
        for key in entry:
            draft.put(stanza.fields, key, member(item, key), AgentEntry.model_fields, "field")
        draft.stanzas.append(stanza)


def _read_mapping(draft: Draft, root: Item) -> None:
    seen = False
    for key in root.value:
        item, name = member(root, key), field_name(key)
        if name == "agents":
            seen = True
            read_agents(draft, item)
        elif name == "instruction_schema_version":
            if str(item.value) != VERSION:
                draft.faults.append(_fault(item, f"version {item.value!r} is not known", f'write "{VERSION}"'))
        else:
            # porki's own documents call the goal's text what an agent's text is called.
            key = "goal_instructions" if name == "instructions" else key
            draft.put(draft.options, key, item, Options.model_fields, "option")
    if not seen:
        draft.fault(root.line, "'agents' is missing", "list the agents under it")


def _kind(value: object) -> str:
    words = {str: "a text", int: "a number", float: "a number", list: "a list", type(None): "nothing"}
    return words.get(type(value), "something else")


def _fault(item: Item, message: str, remedy: str = "") -> Fault:
    return Fault(item.place(), message, remedy)
