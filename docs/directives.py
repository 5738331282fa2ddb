"""The page of directives, made from the table of their forms."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from describe import table
from orchestrator.control.files.forms import FORMS
from orchestrator.control.files.grammar import LINE_BYTES, Kind
from orchestrator.control.files.position import FILE_BYTES, FILE_LINES
from orchestrator.control.files.reader import A_MINUTE, STILL_SECONDS
from orchestrator.control.files.replies import LOG_BYTES
from orchestrator.domain.verbs import ALIASES, VERBS, Verb

KINDS: Final = {
    Kind.GOAL: ("The file of a goal", "Registered with `--goal`, or named by several agents of a declaration."),
    Kind.AGENT: (
        "The file of an agent",
        "Registered with `--goal` and `--agent`, or named by one agent of a declaration. What names nobody is for that agent; if it is the "
        "only one of its goal, PAUSE and RESUME are for the goal.",
    ),
    Kind.OWNER: ("The file of an owner", "Registered with `--owner`: for all goals of the owner that have not ended."),
    Kind.FLEET: ("The file of the fleet", "Registered with `--all`."),
}
_INTRO: Final = """# Directives of heartbeat files

What a line of a [heartbeat file](../how-to/heartbeat-files.md) may be. Every directive is a [command](commands.md), which that page
explains.

- One directive a line. Empty lines and lines that begin with `#` are skipped; behind a directive ` #` begins a comment, up to its colon.
- Case does not matter in names and in words that are written here in small letters, and `_` is `-`. Ids are taken as they are.
- What stands in `<angle brackets>` is an id or a number, what stands in CAPITALS behind a colon is text. `[: REASON]` may be left out.
- Anything else, down to a full stop behind PAUSE, is answered as ignored and has no effect. So are a number that is none, JSON that
  is none, and bytes that are not UTF-8."""


def body() -> Iterator[str]:
    """The parts of the page."""
    yield _INTRO
    other = ", ".join(f"`{name}` is `{verb}`" for name, verb in sorted(ALIASES.items()))
    yield f"Other names: {other}."
    for kind, (title, what) in KINDS.items():
        rows = [(_forms(verb, kind), VERBS[verb].meaning) for verb in FORMS if _forms(verb, kind)]
        yield f"## {title}\n\n{what}\n\n{table(('written', 'meaning'), rows)}"
    limits = [
        ("a line", f"{LINE_BYTES:,} bytes", "It is ignored, alone."),
        ("a file", f"{FILE_BYTES:,} bytes, {FILE_LINES:,} lines", "Nothing is read until it is smaller."),
        ("directives", f"{A_MINUTE} a minute and file", "The rest waits; notes and mistakes do not count."),
        ("the log", f"{LOG_BYTES:,} bytes", "It becomes `.log.1`, in place of the one before."),
        ("standing still", f"{STILL_SECONDS:g} s", "Before a last line without its end counts, and before a file that was written anew is believed."),
    ]  # fmt: skip
    yield f"## Limits\n\n{table(('what', 'limit', 'and then'), limits)}"


def _forms(verb: Verb, kind: Kind) -> str:
    return "<br>".join(f"`{form.shown(verb)}`" for form in FORMS[verb] if kind.value in form.where.split())
