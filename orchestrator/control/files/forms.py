"""The forms of directives: this table is what heartbeat files understand, and what their reference shows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Final

from orchestrator.domain.verbs import Verb

_GOAL: Final = "agent goal"
"""In the files of a goal, those of its single agents included."""
_ONE: Final = "agent goal owner"


@dataclass(frozen=True, slots=True)
class Form:
    """One way to write a directive."""

    words: str
    """Behind the name: words that stand as they are, in any case, and `<what>` in angle brackets."""
    where: str
    """Kinds of files that take it."""
    text: str = "reason"
    """What the text behind a colon is: the reason, or that argument; empty: there is none."""
    needed: bool = False
    """The text must be there."""
    json: bool = False
    """The text is JSON."""
    gives: Mapping[str, Any] = field(default_factory=dict)
    """Arguments that the words stand for."""
    of_agent: bool = False
    """In the file of a single agent it is for that agent."""
    also_goal: bool = False
    """It can be for the goal, too."""

    def shown(self, verb: Verb) -> str:
        """As it is written."""
        text = "JSON" if self.json else self.text.upper()
        tail = (f": {text}" if self.needed else f"[: {text}]") if self.text else ""
        return f"{verb} {self.words}".rstrip() + tail


def _pausing(*verbs: tuple[str, Mapping[str, Any]]) -> tuple[Form, ...]:
    """PAUSE and RESUME, which differ in one word only. What runs is stopped in whole goals only."""
    found = []
    for word, gives in verbs:
        found += [
            Form(word, "goal owner" if gives else _ONE, gives=gives, of_agent=not gives, also_goal=not gives),
            Form(f"goal {word}".rstrip(), _GOAL, gives=gives),
            *(() if gives else (Form("node <node>", _GOAL), Form("agent <agent>", _ONE))),
            Form(f"all {word}".rstrip(), "fleet", gives=gives),
        ]
    return tuple(found)


_BUDGETS: Final = tuple(
    Form(words, _ONE) for words in ("tokens <tokens>", "micro-usd <micro_usd>", "tokens <tokens> micro-usd <micro_usd>")
)
_HOLDS: Final = (
    Form("node <node>", _GOAL),
    Form("agent <agent>", "agent goal owner fleet"),
    Form("queue <queue>", "fleet"),
)
_PLAIN: Final = MappingProxyType[str, Any]({})

FORMS: Final[Mapping[Verb, tuple[Form, ...]]] = MappingProxyType(
    {
        Verb.PAUSE: _pausing(("", _PLAIN), ("stop", {"mode": "stop"})),
        Verb.RESUME: _pausing(("", _PLAIN)),
        # In the file of one agent the goal is named: an agent alone cannot be cancelled, and this is for good.
        Verb.CANCEL: (Form("", "goal owner"), Form("goal", _GOAL), Form("all", "fleet")),
        Verb.DROP_TASK: (
            Form("<node>", _GOAL),
            *(Form(f"<node> {how}", _GOAL, gives={"dependants": how}) for how in ("skip", "fail", "rewire")),
        ),
        Verb.RETRY: (
            Form("", _ONE),
            Form("<node>", _GOAL),
            Form("<node> descendants", _GOAL, gives={"descendants": True}),
            Form("all", "fleet"),
        ),
        Verb.EDIT: (
            Form("<node>", _GOAL, text="set", needed=True, json=True),
            Form("<node> retry", _GOAL, text="set", needed=True, json=True, gives={"retry": True}),
            Form("<node> inputs", _GOAL, text="inputs", needed=True, json=True),
            Form("<node> inputs retry", _GOAL, text="inputs", needed=True, json=True, gives={"retry": True}),
        ),
        Verb.SET_PRIORITY: (Form("<priority>", _GOAL), Form("<node> <priority>", _GOAL)),
        Verb.REPARSE: (Form("", _GOAL),),
        Verb.FLUSH_MEMORY: (Form("", "agent", of_agent=True), Form("<agent>", _ONE)),
        Verb.STEER: (
            Form("", "agent", text="message", needed=True, of_agent=True),
            Form("<node>", _GOAL, text="message", needed=True),
            Form("agent <agent>", _GOAL, text="message", needed=True),
        ),
        Verb.APPROVE: (Form("<node>", _GOAL, text="comment"),),
        Verb.REJECT: (Form("<node>", _GOAL, text="comment"),),
        Verb.SIGNAL: (Form("<name>", _GOAL, text="payload", json=True),),
        Verb.REPLAN: (Form("", _GOAL, needed=True), Form("approve", _GOAL, needed=True, gives={"approve": True})),
        Verb.SET_BUDGET: _BUDGETS,
        Verb.HOLD: _HOLDS,
        Verb.RELEASE: (*_HOLDS, Form("all", "fleet")),
        Verb.STOP: (Form("", "fleet"), Form("exit", "fleet", gives={"exit": True})),
    }
)
