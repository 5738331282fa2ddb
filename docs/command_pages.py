"""The reference page of commands, read off the table of verbs, the models of their arguments, and the policies."""

from __future__ import annotations

import dataclasses
import inspect
from collections.abc import Iterator, Mapping
from typing import Final

from pydantic import BaseModel

from describe import attribute_docs, bounds, default_of, table, type_name
from orchestrator.control.policy import PRESETS
from orchestrator.domain.command import Answer, Code, Command, Effect
from orchestrator.domain.verbs import ALIASES, VERBS, Arguments, Scope, Verb

CLI: Final[Mapping[Verb, str]] = {
    Verb.DROP_TASK: "drop",
    Verb.SET_PRIORITY: "priority",
    Verb.SET_BUDGET: "budget",
}
"""What a command is called on the command line, where that is not its name in small letters."""

_INTRO: Final = """# Commands

What can be done to goals, nodes, agents, queues and the fleet. [Give commands](../how-to/commands.md) shows each of them
at work, through every door."""

_DOORS: Final = """## Doors

One service is behind all of them, so a command does the same wherever it comes in.

| door | how | sender |
|---|---|---|
| `heartbeat` | a line in a heartbeat file: `PAUSE`, `DROP-TASK fetch` | the file |
| `cli` | `chordal pause g1`, `celery -A orchestrator goal pause g1`, `chordal command JSON` | `user@host` |
| `python` | `orchestrator.connect().command("PAUSE", goal="g1")`, and the methods `pause`, `resume`, ... | none, or `sender=` |
| `celery` | `celery -A orchestrator call tasks.control.command --args '["PAUSE", "g1"]'` | `sender=`, else the message's origin |
| `http` | `Chordal.commands.carry_out(command)`, for services | as the service says |"""

_PAYLOAD: Final = """## A command as JSON

`chordal command`, `tasks.control.command` and `orchestrator.domain.command.read_command` take an object: `command` (the
name; case does not matter, and `_` is `-`), for whom it is, and the arguments of the command, beside the rest or in
`arguments`. Every fault is reported at once, and then nothing is done.

```json
{"command": "EDIT", "goal": "g1", "node": "fetch", "set": {"url": "https://example.org"}, "id": "e-17", "reason": "moved"}
```"""

_FOR_WHOM: Final = """For whom: `all`; or a `goal` with a `node`, an `agent` or nothing more; or an `agent` of an `owner` or of
everybody; or a `queue`; or an `owner`, which means every goal of that owner that the command can be done to. A name that
says it a second time is a fault."""

_ONCE: Final = """## Once

A command acts once on each receiver, whatever how often, through how many doors and by how many processes it is given under
its `id`: the script that carries it out marks the id in the same step. Given again, it is answered as the first time, with
`repeated` set, for as long as `CHORDAL_COMMAND_TTL_SECONDS` says. Another command under the same id is refused. A process
that dies halfway leaves the command open, and beat carries it out. After `expires_seconds`, counted in Redis time from when
it was first given, no receiver acts on it any more. A line of a heartbeat file and a message of `tasks.control.command` have
an id of their own already.

What was done stands in the goal's [events](events.md) (`command.applied`, `command.refused`) and in the audit trail
(`chordal audit`), with the door, the sender, the reason and the outcome. Inputs, prompts and comments do not stand there,
only how large they were."""

_POLICY: Final = """## Policies

`CHORDAL_POLICY` says which commands this process lets through: a preset, or names of commands with commas.
`CHORDAL_POLICY_FILE`, a YAML file, says it by door and sender; it wins:

```yaml
default: production
doors:
  cli: development
  heartbeat: [PAUSE, RESUME]
senders:
  "celery:deploy*": monitoring
  "cli:root@*": []
```

The first of `senders` that fits (`door:sender`, with `*` and `?`) wins, then the door, then `default`, which is `production`
where it is not given. A refusal (code 403) names who may what, and stands in the audit trail. The policy guards the doors
of a process; who may write to Redis or to the broker needs no door: that is for Redis's ACL. [Say who may what](../how-to/policies.md)
has examples."""


def body() -> Iterator[str]:
    """The parts of docs/reference/commands.md."""
    rows = [
        (f"[`{verb}`](#{_anchor(verb)})", _for(verb), f"`chordal {_cli(verb)}`", VERBS[verb].meaning) for verb in Verb
    ]
    yield _INTRO
    yield table(("command", "for", "on the command line", "what it does"), rows)
    yield _DOORS
    yield f"{_PAYLOAD}\n\n{_fields(Command, leave_out=('verb', 'door', 'arguments'))}\n\n{_FOR_WHOM}"
    yield _ONCE
    yield _answer()
    yield f"{_POLICY}\n\n{_presets()}"
    yield "## Each command"
    yield from map(_verb, Verb)


def _verb(verb: Verb) -> str:
    spec = VERBS[verb]
    names = sorted(alias for alias, meant in ALIASES.items() if meant is verb)
    also = f" Also called {', '.join(f'`{name}`' for name in names)}." if names else ""
    parts = [f"### {verb}", f"{spec.meaning} For: {_for(verb)}.{also}"]
    if spec.arguments.model_fields:
        parts += [" ".join((inspect.getdoc(spec.arguments) or "").split()), _fields(spec.arguments)]
    else:
        parts.append("It takes no arguments.")
    return "\n\n".join(parts)


def _fields(model: type[BaseModel], leave_out: tuple[str, ...] = ()) -> str:
    bases = [base for base in reversed(model.__mro__) if issubclass(base, BaseModel) and base is not BaseModel]
    docs = {name: text for base in bases if base is not Arguments for name, text in attribute_docs(base).items()}
    rows = []
    for name, field in model.model_fields.items():
        if name not in leave_out:
            kind = type_name(field.annotation) + (f", {bounds(field)}" if bounds(field) else "")
            rows.append((f"`{name}`", kind, default_of(field), docs.get(name) or _TARGETS[name]))
    return table(("field", "type", "default", "meaning"), rows)


_TARGETS: Final = {
    "goal": "The goal it is for, or whose node or agent it is for.",
    "node": "The node it is for; with its goal.",
    "agent": "The agent it is for: the nodes it works on.",
    "queue": "The queue it is for: nodes of every goal, of goals to come too.",
    "owner": "The owner whose goals it is for; with `agent`, for whom the agent works.",
}


def _answer() -> str:
    docs, effects = _PLAIN | attribute_docs(Answer), _PLAIN | attribute_docs(Effect)
    fields = [(f"`{field.name}`", docs[field.name]) for field in dataclasses.fields(Answer)]
    inner = [(f"`{field.name}`", effects[field.name]) for field in dataclasses.fields(Effect)]
    codes = [(f"`{code.value}`", _CODES[code]) for code in Code]
    return "\n\n".join(
        (
            "## Answers",
            _SAID,
            table(("field", "meaning"), fields),
            "Each of the `effects`:",
            table(("field", "meaning"), inner),
            table(("code", "meaning"), codes),
        )
    )


_SAID: Final = """`chordal ... --json`, `Chordal.command` and `tasks.control.command` with `full` give the whole answer; without
`--json` it is a sentence. A command line ends with 2 where it was refused, and with 1 where something failed inside."""
_PLAIN: Final = {
    "id": "The command's id.",
    "command": "Its name.",
    "target": "For whom it was, as people read it.",
    "code": "What became of it, see below.",
    "message": "Why not, where it was refused.",
    "goal": "The goal; empty for what was done to the fleet.",
    "node": "The node, where it was for one.",
}
_CODES: Final[Mapping[Code, str]] = {
    Code.OK: "Carried out; also where there was nothing to change.",
    Code.BAD: "The command or what it brings along (a plan, inputs) is not valid.",
    Code.DENIED: "The policy does not let this sender do that through this door.",
    Code.NOT_FOUND: "There is no such goal or node.",
    Code.REFUSED: "It cannot be done in the state it met, which the message names; or the id stands for another command.",
    Code.EXPIRED: "It came after its expiry.",
    Code.FAILED: "Something broke inside; the log of the process says what.",
}


def _presets() -> str:
    rows = [(f"`{name}`", ", ".join(f"`{verb}`" for verb in Verb if verb in verbs) if verbs != set(Verb) else "all")
            for name, verbs in PRESETS.items()]  # fmt: skip
    return table(("preset", "commands"), [(name, verbs or "none: read only") for name, verbs in rows])


def _for(verb: Verb) -> str:
    scopes = VERBS[verb].scopes
    return ", ".join(_SCOPES[scope] for scope in Scope if scope in scopes)


_SCOPES: Final[Mapping[Scope, str]] = {
    Scope.NODE: "a node",
    Scope.GOAL: "a goal",
    Scope.AGENT: "an agent",
    Scope.QUEUE: "a queue",
    Scope.OWNER: "an owner",
    Scope.ALL: "all",
}


def _cli(verb: Verb) -> str:
    return CLI.get(verb, verb.lower())


def _anchor(verb: Verb) -> str:
    return verb.lower()
