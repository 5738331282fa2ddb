"""Lines of heartbeat files: which directives there are, in which words exactly. Nothing is ever guessed.

A directive is a name, its arguments, and what is text behind a colon. Everything else is answered and has no effect: a note
that begins with the word "pause" pauses nothing.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Final

from orchestrator.control.files.forms import FORMS, Form
from orchestrator.domain.agent import ID_PATTERN
from orchestrator.domain.document import parse_json
from orchestrator.domain.errors import InvalidGoal
from orchestrator.domain.verbs import ALIASES, Verb

LINE_BYTES: Final = 4096
"""The longest line."""
_NAME: Final = re.compile(r"[A-Za-z][A-Za-z_-]*")
_COMMENT: Final = re.compile(r"^([^:]*?)(?:^|[ \t])#.*$", re.DOTALL)
_CONTROL: Final = re.compile("[\x00-\x08\x0b-\x1f\x7f]")
_NUMBER: Final = re.compile(r"[0-9]{1,18}")
_BLANK: Final = " \t\r"


class Kind(StrEnum):
    """What a file is for; its directives reach no further."""

    AGENT = "agent"
    GOAL = "goal"
    OWNER = "owner"
    FLEET = "fleet"


@dataclass(frozen=True, slots=True)
class Place:
    """For whom a file is read."""

    goal: str | None = None
    agent: str | None = None
    """Of the goal: what PAUSE, RESUME, STEER and FLUSH-MEMORY mean where they name nobody."""
    owner: str | None = None
    alone: bool = False
    """It is the only agent of the goal; then PAUSE and RESUME mean the goal."""

    @property
    def kind(self) -> Kind:
        """How far its directives reach."""
        if self.goal is not None:
            return Kind.GOAL if self.agent is None else Kind.AGENT
        return Kind.FLEET if self.owner is None else Kind.OWNER

    @property
    def text(self) -> str:
        """As people read it."""
        named = {"agent": None if self.alone else self.agent, "goal": self.goal, "owner": self.owner}
        return " of ".join(f"{what} {name}" for what, name in named.items() if name is not None) or "the fleet"


@dataclass(frozen=True, slots=True)
class Directive:
    """A line that asks for something: what `read_command` reads."""

    verb: Verb
    payload: Mapping[str, Any] = field(repr=False)


@dataclass(frozen=True, slots=True)
class Ignored:
    """A line that asks for nothing that there is; the text says why."""

    why: str


def decoded(raw: bytes) -> str | Ignored:
    """The text of a line without what stands around it."""
    if len(raw) > LINE_BYTES:
        return Ignored(f"the line is longer than {LINE_BYTES:,} bytes")
    try:
        text = raw.decode("utf-8-sig").strip(_BLANK)
    except UnicodeDecodeError:
        return Ignored("the line is not UTF-8 text")
    return Ignored("the line has control characters") if _CONTROL.search(text) else text


def read_directive(text: str, place: Place) -> Directive | Ignored:
    """What a line asks for in a file that is for `place`. The line is neither empty nor a comment."""
    text = _COMMENT.sub(lambda found: found[1], text)
    head, colon, said = text.partition(":")
    words = [word for word in re.split(r"[ \t]+", head) if word]
    verb = _verb(words[0]) if words else None
    if verb is None:
        return Ignored(f"this is no directive; there are {', '.join(Verb)}")
    here = [form for form in FORMS[verb] if place.kind.value in form.where.split()]
    if not here:
        where = " or ".join(sorted({kind for form in FORMS[verb] for kind in form.where.split()}))
        return Ignored(f"{verb} is for the file of another kind ({where}); this one is for {place.text}")
    for form in here:
        bound = _bound(form, words[1:])
        if bound is not None:
            return _filled(verb, form, bound, said.strip(_BLANK), bool(colon), place)
    return Ignored(f"{verb} is written: {'; '.join(form.shown(verb) for form in here)}")


def _verb(word: str) -> Verb | None:
    if not _NAME.fullmatch(word):
        return None
    name = word.upper().replace("_", "-")
    return ALIASES.get(name) or next((verb for verb in Verb if verb == name), None)


def _bound(form: Form, words: list[str]) -> dict[str, str] | None:
    """What stands in the places of a form; None where the words are others."""
    wanted = form.words.split()
    if len(wanted) != len(words):
        return None
    found = {}
    for pattern, word in zip(wanted, words, strict=True):
        if not pattern.startswith("<"):
            if word.lower() != pattern or not word.isascii():
                return None
            continue
        name = pattern.strip("<>")
        if not (_NUMBER if name in _NUMBERS else _ID).fullmatch(word):
            return None
        found[name] = word
    return found


_ID: Final = re.compile(ID_PATTERN.strip("^$"))
_NUMBERS: Final = frozenset({"priority", "tokens", "micro_usd"})


def _filled(
    verb: Verb, form: Form, bound: Mapping[str, str], said: str, colon: bool, place: Place
) -> Directive | Ignored:  # fmt: skip
    form_of = form.shown(verb)
    if said and not form.text:
        return Ignored(f"{verb} takes no text here; it is written: {form_of}")
    if not said and (form.needed or (colon and form.text)):
        return Ignored(f"there is no text behind the colon; it is written: {form_of}")
    arguments: dict[str, Any] = dict(form.gives)
    payload: dict[str, Any] = {"command": verb.value, **_target(form, bound, place)}
    for name, value in bound.items():
        if name in _NUMBERS:
            arguments[name] = int(value)
        elif name == "name":
            arguments[name] = value
    if said and form.json:
        try:
            arguments[form.text] = parse_json(said)
        except InvalidGoal as error:
            return Ignored(f"what is behind the colon is no JSON: {error.faults[0].message}")
    elif said and form.text == "reason":
        payload["reason"] = said
    elif said:
        arguments[form.text] = said
    return Directive(verb, {**payload, "arguments": arguments})


def _target(form: Form, bound: Mapping[str, str], place: Place) -> dict[str, Any]:
    """For whom: who is named, within what the file is for."""
    around = {name: value for name, value in (("goal", place.goal), ("owner", place.owner)) if value is not None}
    for name in ("node", "agent", "queue"):
        if name in bound:
            return {**around, name: bound[name]}
    if form.of_agent and place.agent is not None and not (place.alone and form.also_goal):
        return {**around, "agent": place.agent}
    return around or {"all": True}


def forms_of(kind: Kind) -> Iterator[str]:
    """Every directive that a file of this kind takes, as it is written."""
    for verb, forms in FORMS.items():
        for form in forms:
            if kind.value in form.where.split():
                yield form.shown(verb)
