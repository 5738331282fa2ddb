"""The reference page of declared agents: its texts, and tables read off the models."""

from __future__ import annotations

from typing import Final

from pydantic import BaseModel

from describe import attribute_docs, bounds, table, type_name
from orchestrator.agents.declare import check as instructions_check
from orchestrator.agents.declare import files as instructions_files
from orchestrator.agents.declare.fields import FRONT_FIELDS, AgentEntry, Options, Spawn
from orchestrator.agents.declare.instructions import NAMES
from orchestrator.agents.declare.tasks import ID_LENGTH
from orchestrator.domain import document

_LINKS: Final = {
    "limits": "[limits](agents.md#agentlimits)", "spawn": "mapping, see [spawn](#spawn)", "cadence": "time",
    "tools": "list of texts", "output_schema": "mapping",
}  # fmt: skip


def instructions_body() -> tuple[str, ...]:
    """docs/reference/instructions.md without its first line."""
    front = ", ".join(f"`{_written(name)}`" for name in AgentEntry.model_fields if name in FRONT_FIELDS)
    return (
        _INTRO.format(names=" or ".join(f"`{name}`" for name in NAMES[:2])),
        f"## Fields of an agent\n\n{_FIELDS}\n\n{_table(AgentEntry)}",
        f"## Options\n\n{_OPTIONS}\n\n{_table(Options)}\n\n### Spawn\n\n{_table(Spawn)}",
        _FORMS,
        f"{_FILES}\n\nFields of front matter: {front}.",
        _TASKS.format(length=ID_LENGTH),
        f"## Limits\n\n{table(('limit', 'most'), _limits())}",
        _PORKI,
    )


def _table(model: type[BaseModel]) -> str:
    docs = attribute_docs(model)
    rows = []
    for name, field in model.model_fields.items():
        said = ", ".join(part for part in (_LINKS.get(name) or type_name(field.annotation), bounds(field)) if part)
        rows.append((f"`{_written(name)}`", said, docs[name]))
    return table(("field", "value", "meaning"), rows)


def _written(name: str) -> str:
    return name.replace("_", "-")


def _limits() -> list[tuple[str, str]]:
    return [
        ("bytes of the INSTRUCTIONS file", f"{instructions_files.DOCUMENT_BYTES:,}"),
        ("bytes of a file that it names", f"{instructions_files.FILE_BYTES:,}"),
        ("bytes of all files together", f"{instructions_files.TOTAL_BYTES:,}"),
        ("agents", f"{instructions_check.MOST_AGENTS:,}"),
        ("characters of an agent's instructions, and of the goal's", f"{instructions_check.TEXT_LENGTH:,}"),
        (
            "aliases in YAML, and values they stand for together",
            f"{document.MAX_YAML_ALIASES:,}, {document.MAX_YAML_EXPANSION:,}",
        ),
    ]


_INTRO: Final = """# Declared agents

A file {names} declares agents. `chordal run FOLDER` looks for it in the folder and in its folder `instructions`;
`chordal instructions check` shows what is read, `chordal instructions create` writes a template.

```markdown
# Compare three queues

Write one page for engineers, with a table. Name sources.

## Agents

### researcher
- Instructions: instructions/researcher.md
- Tools: search
- Cadence: 5m

### writer
- Model: large
- Max-turns: 4
- Instructions: Write plainly.
  Use short sentences.

### qa
- Role: reviewer

## Options
- Approve-plan: yes
- Workflow: yes
```

What is wrong is told as a whole: every fault with its file and line, and nothing is run. What is wanted is the text around
the agents; the first heading is the title. What comes of it:

1. A `goal.json`, `goal.yaml` or `goal.py` beside it is run with these agents. An agent must not be in both.
2. Else [task lists](#task-lists) in the agents' instructions are the plan.
3. Else a model plans first: see [plans by a model](../how-to/plan-with-a-model.md).

The goal's id is the one that agents name; where several are named, `--goal-id` says which of them is run, and where one is named it
may say another id. A stored goal of that id with another content is refused: run it under a new id, or hand changes over.
The models are those of `CHORDAL_LLM_FILE`, else of the environment. Only where all accounts of an `llm.yaml` beside the declaration are
`scripted` (stand-ins that call nobody) it is used unasked, by a stack that `chordal run` starts. A folder may come from anybody, and
profiles say which key goes to which address: so one that calls models is named on stderr and not used, until you name it yourself:
`CHORDAL_LLM_FILE=FOLDER/llm.yaml chordal run FOLDER`.

`approve-plan` is about a plan that a model makes. With a DAG or task lists there is none, and it is refused; to be asked in between,
put a node of the kind `approval` into a DAG, and to look first, use `chordal plan`.

Workers that `chordal run` starts serve the agents' queues and import the modules of the option `imports`; on a fleet of your own do
both yourself (`chordal up --queue NAME`, `CHORDAL_IMPORTS`).

While `chordal run` follows the goal it looks at the files once a second, and hands changed agents over: they hold from each
agent's next turn on, and the goal's stream says so (`goal.reparsed`, with digests). Tools of a node that has begun stay as they
were. The next turn of an agent that is declared no more fails. A file with faults changes nothing; the faults are shown once. For a goal that nobody follows: `chordal reparse GOAL PATH`. It compares with what the goal has: agents
that PATH no longer declares for this goal are taken away, but not those of a goal.json or goal.yaml beside it, nor a planner that was added by itself; beside
a goal.py, which is not run for this, none is taken away and those in question are named. A goal that a file of several goals does not
name is refused."""

_FIELDS: Final = """An agent is known by its name and its goal; two of the same are a fault, and so is one for all goals beside one
for some goal. Fields are written in any case, with hyphens, underscores or spaces: `Log-level`, `log_level` and `log level` are
one. A field without a value says nothing. Lists are YAML lists, or texts with commas."""

_OPTIONS: Final = """Of the goal as a whole: in front matter, as bullets under `## Options`, or as keys of the YAML forms. What
the command line says (`--goal`, `--approve-plan`, `--workflow`, `--owner`) wins."""

_FORMS: Final = """## Forms

The form is known by the text, whatever the file is called; `.yaml` and `.yml` are always YAML.

**Markdown.** Agents stand under `## Agents`, each under a heading of the third level that is its name. Bullets
`- Field: value` (also `*` or `+`, the name in bold, the value in backquotes) are fields; `Instructions`, `Tools` and other long
ones may go on in indented lines. All other text of a stanza is instructions, behind those of the field. Once such text has
begun, a bullet of an unknown name is text too; before it, it is a fault. Text outside of the section is the goal's; text between
`## Agents` and the first agent too. Fenced blocks are never read as fields.

**YAML with a version.** As porki 0.8 reads it, and as strict: unknown fields are refused.

```yaml
instruction_schema_version: "2"
agents:
  - name: research_agent
    role: researcher
    goal: goal-001            # or goal_id
    instructions: RESEARCH.md
    heartbeat: heartbeat/research.md
    log-level: INFO
    cadence: 5s
```

**The older list.** `agents:` or a list at the root, as a whole file or in the first fenced block ```` ```yaml ```` of a
Markdown file that declares some. The text around the block is the goal's.

In both YAML forms what is wanted is `goal_instructions` (also `instructions` at the top). Without it, it is the text around the
block and the instructions of the first manager (roles owner, lead, team-lead, manager), else of the first agent.

A time is a number of seconds, or a number with `s`, `m`, `h` or `d`."""

_FILES: Final = """## Files

`instructions`, `goal_instructions` and `heartbeat` take paths, relative to the folder of the INSTRUCTIONS file. One line without a
space is a path, and so is what begins with `./`; a text with spaces is one only if there is such a file. Where the file stands in
a folder `instructions`, paths that begin with that folder's name, as seen from the folder above, are understood.

Only regular files below that folder are opened, one component after the other: no `..`, no absolute path, no symbolic link
anywhere below the folder, no FIFO, no device. The INSTRUCTIONS file itself must be no link either. (A Kubernetes ConfigMap is mounted as links: mount
it with `subPath`.) Text is UTF-8. A file that is not there is a fault, but for heartbeats: those may come later.

An agent's own file is free text. YAML between two lines `---` at its top says fields; the declaration wins over them."""

_TASKS: Final = """## Task lists

`- [ ] text` (or `1. [ ] text`) in an agent's instructions is a piece of work for that agent, `- [x] text` is done and left out.
Indented lines below an item, nested items too, belong to it. The items of an agent are done one after the other, each with the
output of the one before it; agents work side by side. Ids are made from the agent's name and the text, at most {length}
characters, so the same list is the same goal. Task lists in the goal's own text belong to nobody and are left to the planner."""

_PORKI: Final = """Files of porki are read as they are: see [migrate from porki](../how-to/migrate-from-porki.md)."""
