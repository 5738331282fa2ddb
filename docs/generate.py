"""Write the reference pages that follow from the code. `make docs` runs it; tests/unit/test_docs.py compares.

Each function returns the text of one page, so that the test needs no second copy of this knowledge.
"""

from __future__ import annotations

import inspect
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Final

from pydantic import AliasChoices, BaseModel

import agent_pages
import beat_pages
import command_pages
import directives
import operate_pages
from commands import cli_body
from declaring import instructions_body
from describe import attribute_docs, bounds, default_of, table, type_name
from orchestrator.agents.conversation import transcript
from orchestrator.domain import agent, dag, states
from orchestrator.domain.condition import Condition
from orchestrator.domain.events import EventType
from orchestrator.domain.limits import DEFAULT_LIMITS, Limits
from orchestrator.settings import Settings
from orchestrator.store.keys import CATALOGUE

REFERENCE: Final = Path(__file__).resolve().parent / "reference"
_MADE: Final = "<!-- Made by docs/generate.py from {source}; change that, then run `make docs`. -->"


def settings_page() -> str:
    """docs/reference/settings.md."""
    docs = attribute_docs(Settings)
    rows = []
    for name, field in Settings.model_fields.items():
        variable = f"`CHORDAL_{name.upper()}`"
        if isinstance(field.validation_alias, AliasChoices):
            variable = " or ".join(f"`{alias}`" for alias in field.validation_alias.choices)
        kind = type_name(field.annotation) + (f", {bounds(field)}" if bounds(field) else "")
        rows.append((variable, kind, default_of(field), docs.get(name, "")))
    intro = """# Settings

Every setting is an environment variable, read once when a process starts. In Python the same names, in lower case and
without the prefix, are the arguments of `orchestrator.settings.Settings`, and a value given there wins. Times are
seconds, sizes bytes; a list is written with commas. A value that does not fit stops the process with a message that
names the variable."""
    return page("orchestrator/settings.py", intro, table(("variable", "type", "default", "meaning"), rows))


def keys_page() -> str:
    """docs/reference/keys.md."""
    intro = """# Redis keys

Everything that Chordal writes. `CHORDAL_KEY_PREFIX` is put in front of each name. The braces around the goal's id are
part of the name: they are the hash tag that keeps all keys of a goal in one slot of a Redis Cluster. Celery's own keys
(queues, `celery-task-meta-*`, `_kombu.*`, `unacked*`) are Celery's.

A key that SCAN finds and that is not described here is a defect."""
    rows = [(f"`{key.pattern}`", key.type, key.writer, key.ttl, key.meaning) for key in CATALOGUE]
    return page("orchestrator/store/keys.py", intro, table(("key", "type", "written by", "end", "meaning"), rows))


def events_page() -> str:
    """docs/reference/events.md."""
    intro = """# Events

Each goal has one stream, `dag:{goal}:events`. The script that changes a state appends the event in the same step, so
the order of the stream is the order of what happened. Read it with `chordal events GOAL`, or `XREAD`.

An event has `id` (the stream id: pass it as `after` to read on), `at` (Redis time, seconds since the epoch), `type`,
`goal`, `node`, `attempt`, `token` (the fencing token), `worker` and `data`; fields that do not apply are empty or null.
The stream is bounded: see `CHORDAL_EVENTS_LIMIT` in [settings](settings.md)."""
    rows = [(f"`{event.value}`", event.meaning) for event in EventType]
    return page("orchestrator/domain/events.py", intro, table(("type", "meaning"), rows))


def states_page() -> str:
    """docs/reference/states.md."""
    parts = []
    for title, enum, moves, terminal in (
        ("Nodes", states.NodeState, states.NODE_MOVES, states.NODE_TERMINAL),
        ("Goals", states.GoalState, states.GOAL_MOVES, states.GOAL_TERMINAL),
    ):
        docs = attribute_docs(enum)
        rows = [
            (f"`{state}`", docs.get(state.name, ""), "yes" if state in terminal else "",
             ", ".join(f"`{after}`" for after in enum if after in moves[state]) or "nowhere")  # type: ignore[index]
            for state in enum
        ]  # fmt: skip
        arrows = [f"    {state} --> {after}" for state in enum for after in enum if after in moves[state]]  # type: ignore[index]
        picture = "\n".join(["```mermaid", "stateDiagram-v2", *arrows, "```"])
        parts.append(f"## {title}\n\n{table(('state', 'meaning', 'terminal', 'can go to'), rows)}\n\n{picture}")
    intro = """# States

One table in `orchestrator/domain/states.py` says which moves there are; the Lua scripts implement it, and a test proves
that the two agree. A terminal state is left only by an explicit retry."""
    return page("orchestrator/domain/states.py", intro, *parts)


def causes_page() -> str:
    """docs/reference/causes.md."""
    return page("orchestrator/operate/reason.py", *operate_pages.causes_body())


def cli_page() -> str:
    """docs/reference/cli.md."""
    return page("the commands in orchestrator/cli", cli_body())


def goal_page() -> str:
    """docs/reference/goal.md."""
    intro = """# The goal format

A goal is a JSON or YAML document; in Python a dictionary, or `orchestrator.Goal`. [goal.schema.json](goal.schema.json)
is its JSON schema. Unknown fields, duplicate keys, NaN and infinities are refused, and every fault of a document is
reported at once with its place.

```json
{
  "goal_id": "report-7",
  "nodes": [
    {"id": "load", "call": "shop.nodes:load", "inputs": {"day": "2026-01-31"}},
    {"id": "sum", "call": "shop.nodes:total", "inputs": {"rows": {"from": "load", "path": "rows"}}, "retries": 2},
    {"id": "mail", "kind": "task", "call": "shop.mail", "inputs": {"total": {"from": "sum"}}}
  ],
  "edges": [{"source": "load", "target": "sum"}, {"source": "sum", "target": "mail"}]
}
```"""
    parts = [model_section(model, heading) for model, heading in _MODELS]
    rows = [(f"`{name}`", f"{getattr(DEFAULT_LIMITS, name):,}", attribute_docs(Limits).get(name, ""))
            for name in Limits.__dataclass_fields__]  # fmt: skip
    meanings = attribute_docs(dag.NodeKind)
    kinds = table(("kind", "what running it means"), [(f"`{kind}`", meanings[kind.name]) for kind in dag.NodeKind])
    parts.append(f"## Node kinds\n\n{_KINDS}\n\n{kinds}")
    parts.append(_FLOW)
    parts.append(f"## Limits\n\n{table(('limit', 'most', 'note'), rows)}")
    return page("orchestrator/domain/dag.py", intro, *parts)


def agents_page() -> str:
    """docs/reference/agents.md."""
    meanings = attribute_docs(agent.ToolKind)
    kinds = table(("kind", "what calling it means"), [(f"`{kind}`", meanings[kind.name]) for kind in agent.ToolKind])
    cards = [model_section(model, model.__name__) for model in (agent.AgentCard, agent.AgentLimits, agent.ToolCard)]
    kit = model_section(agent.Kit, "Kit")
    entries = [model_section(model, model.__name__) for model in (
        transcript.Answered, transcript.Called, transcript.Results, transcript.Result, transcript.Steered, transcript.Told,
    )]  # fmt: skip
    return page(
        "orchestrator/domain/agent.py and orchestrator/agents/conversation/transcript.py",
        agent_pages.INTRO, *cards, kit, agent_pages.KIT, agent_pages.PLAIN, kinds, agent_pages.ENTRIES, *entries,
    )  # fmt: skip


def instructions_page() -> str:
    """docs/reference/instructions.md."""
    return page("docs/declaring.py and orchestrator/agents/declare/fields.py", *instructions_body())


def commands_page() -> str:
    """docs/reference/commands.md."""
    return page(
        "orchestrator/domain/verbs.py, orchestrator/domain/command.py and docs/command_pages.py", *command_pages.body()
    )


def directives_page() -> str:
    """docs/reference/directives.md."""
    return page("orchestrator/control/files/forms.py and docs/directives.py", *directives.body())


def model_section(model: type[BaseModel], heading: str) -> str:
    """One model of the format: heading, what it is, its fields."""
    docs = {name: text for base in reversed(model.__mro__) if issubclass(base, BaseModel) and base is not BaseModel
            for name, text in attribute_docs(base).items()}  # fmt: skip
    rows = []
    for name, field in model.model_fields.items():
        kind = type_name(field.annotation) + (f", {bounds(field)}" if bounds(field) else "")
        rows.append((f"`{name}`", kind, default_of(field), docs.get(name, "")))
    about = " ".join((inspect.getdoc(model) or "").split())
    return f"## {heading}\n\n{about}\n\n{table(('field', 'type', 'default', 'meaning'), rows)}"


def metrics_page() -> str:
    """docs/reference/metrics.md."""
    return page("orchestrator/operate/metrics.py and docs/beat_pages.py", *beat_pages.metrics_body())


def schema_page() -> str:
    """docs/reference/goal.schema.json."""
    schema = dag.Goal.model_json_schema()
    when = schema["$defs"]["Edge"]["properties"]["when"]
    when["anyOf"].insert(0, {"type": "string", "description": "path op value, or path"})  # read by a validator
    head = {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": "Chordal goal"}
    return json.dumps(head | {key: value for key, value in schema.items() if key != "title"}, indent=2) + "\n"


def page(source: str, *parts: str) -> str:
    """A page that says what it is made from."""
    return "\n\n".join([_MADE.format(source=source), *parts]) + "\n"


_MODELS: Final = (
    (dag.Goal, "Goal"), (dag.Node, "Node"), (dag.Edge, "Edge"), (Condition, "Condition"), (dag.Budget, "Budget"),
)  # fmt: skip
_KINDS: Final = """`kind` defaults to `python` when `call` is given, else to the default handler, whose output is `{"title": ...}`.
What `llm` takes and gives stands in [calling models](llm.md#nodes-that-call-a-model), how an `agent` takes its turns in
[agents](agents.md#how-a-turn-goes)."""
_FLOW: Final = """## How outputs flow

Anywhere inside `inputs`, `{"from": "node", "path": "a.b"}` stands for the output of a node that comes before this one:
whole, or the member at the dotted path (`items.0.name`). A function without `inputs` that has a parameter named
`upstream` receives `{parent: output}`. Outputs are JSON; those above `CHORDAL_INLINE_BYTES` are stored by reference, and
read back where they are used.

An edge fires when its source ends as `on` says and `when`, if there is one, holds on the source's output. A node starts
when its join is met: all edges fired (`"all"`, the default), one of them (`"any"`), or a number of them. When so many
edges can no longer fire that the join cannot be met, the node is SKIPPED. A failure that an `on: failed` edge takes up
is handled and does not fail the goal; `on: finished` does not count as handling."""

PAGES: Final[dict[str, Callable[[], str]]] = {
    "settings.md": settings_page,
    "keys.md": keys_page,
    "events.md": events_page,
    "states.md": states_page,
    "goal.md": goal_page,
    "agents.md": agents_page,
    "instructions.md": instructions_page,
    "cli.md": cli_page,
    "commands.md": commands_page,
    "metrics.md": metrics_page,
    "directives.md": directives_page,
    "causes.md": causes_page,
    "goal.schema.json": schema_page,
}


def main() -> int:
    """Write every page; say which ones changed."""
    REFERENCE.mkdir(exist_ok=True)
    for name, make in PAGES.items():
        path, text = REFERENCE / name, make()
        if not path.exists() or path.read_text("utf-8") != text:
            path.write_text(text, "utf-8")
            print(f"written: docs/reference/{name}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
