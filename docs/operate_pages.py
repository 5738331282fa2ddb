"""The reference page of `chordal why`: its causes, read off the code."""

from __future__ import annotations

from typing import Final

from describe import attribute_docs, table
from orchestrator.operate.reason import Cause, Level

_INTRO: Final = """# Causes

Why a goal or node does not go on, as [`chordal why`](cli.md#chordal-why) tells it. With `--json` it prints one object:

```console
$ chordal why release --json
{"goal_id": "release", "state": "RUNNING", "reasons": [{"cause": "approval", "level": "waits for somebody",
  "text": "it has been waiting for a person's yes or no for 8.1 s", "remedy": "chordal approve release deploy",
  "nodes": ["deploy"]}]}
```

`cause` and `level` are for programs and stay as they are; `text` and `remedy` are for people. With a NODE there are `node`
and `node_state` too. Of a goal, nodes with the same cause stand together, and what needs an operator comes first."""
_LEVELS: Final = {
    Level.ITSELF: "Nothing needs to be done.",
    Level.PERSON: "A person or a program must say or send something; `doctor` shows the goal with `-`.",
    Level.BROKEN: "Something must be mended; `doctor` shows the goal as FAILED.",
}


def causes_body() -> tuple[str, ...]:
    """docs/reference/causes.md without its first line."""
    levels = table(("level", "meaning"), [(f"`{level}`", _LEVELS[level]) for level in Level])
    docs = attribute_docs(Cause)
    causes = table(("cause", "meaning"), [(f"`{cause}`", _sentence(docs[cause.name])) for cause in Cause])
    return _INTRO, levels, causes


def _sentence(text: str) -> str:
    return f"{text[0].upper()}{text[1:]}."
