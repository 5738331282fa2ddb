"""Payloads of commands, for fuzzing: many that may well be carried out, many with something in them that does not belong there."""

from __future__ import annotations

import string
from typing import Any, Final

from hypothesis import strategies as st

from orchestrator.domain.verbs import ALIASES, VERBS, Scope, Verb

GOALS: Final = ("open", "paused", "failed", "done", "cancelled", "parent", "planned", "nobody")
NODES: Final = ("first", "runs", "gate", "next", "last", "paid", "write", "bad", "after", "sub", "nobody")
TEXT: Final = st.one_of(
    st.sampled_from(["", "why", "a b", "\x00", "\x1b[2J", "\ud800", "ä" * 40, "x" * 10_001, "{}", "-1"]),
    st.text(max_size=12),
)
NUMBERS: Final = st.one_of(st.integers(-2, 20_000), st.floats(), st.sampled_from([2**63, 10**400, True]))
AMOUNTS: Final = st.one_of(st.integers(0, 100), st.integers(0, 100), NUMBERS)
JSON: Final = st.recursive(
    st.one_of(st.none(), st.booleans(), NUMBERS, TEXT),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(TEXT, inner, max_size=3)),
    max_leaves=6,
)
INPUTS: Final = st.dictionaries(
    st.sampled_from(["value", "task", "prompt", "x"]),
    st.one_of(
        st.integers(0, 9), st.just({"from": "first"}), st.just({"from": "last"}), st.just({"from": "nobody"}), JSON
    ),
    max_size=2,
)
SPEAKERS: Final = st.sampled_from(["user", "system", "assistant"])
CARDS: Final = st.sampled_from(
    [{"name": "writer", "instructions": "Be long."}, {"name": "new"}, {"name": "a b"}, {"name": "writer", "tools": 3}]
)
ARGUMENTS: Final[dict[Verb, st.SearchStrategy[dict[str, Any]]]] = {
    Verb.PAUSE: st.fixed_dictionaries({}, optional={"mode": st.sampled_from(["finish", "stop", "now"])}),
    Verb.DROP_TASK: st.fixed_dictionaries({}, optional={"dependants": st.sampled_from(["skip", "fail", "rewire", "kill"])}),
    Verb.RETRY: st.fixed_dictionaries({}, optional={"descendants": st.booleans()}),
    Verb.EDIT: st.one_of(
        st.fixed_dictionaries({"set": INPUTS}, optional={"retry": st.booleans()}),
        st.fixed_dictionaries({"inputs": INPUTS}, optional={"retry": st.booleans(), "set": INPUTS}),
    ),
    Verb.SET_PRIORITY: st.fixed_dictionaries({"priority": AMOUNTS}),
    Verb.REPARSE: st.fixed_dictionaries(
        {"agents": st.lists(CARDS, max_size=2)}, optional={"removed": st.lists(st.sampled_from(["writer", "x", "a b"]), max_size=2)}
    ),
    Verb.STEER: st.fixed_dictionaries(
        {"message": st.one_of(st.just("Be kind."), TEXT, st.lists(st.fixed_dictionaries({"role": SPEAKERS, "content": TEXT}), max_size=2))}
    ),
    Verb.APPROVE: st.one_of(
        st.fixed_dictionaries({}, optional={"comment": TEXT}), st.fixed_dictionaries({}, optional={"comment": TEXT, "plan": JSON})
    ),
    Verb.REJECT: st.fixed_dictionaries({}, optional={"comment": TEXT}),
    Verb.SIGNAL: st.fixed_dictionaries({"name": st.one_of(st.just("paid"), TEXT)}, optional={"payload": JSON}),
    Verb.REPLAN: st.fixed_dictionaries({}, optional={"approve": st.booleans()}),
    Verb.SET_BUDGET: st.fixed_dictionaries({}, optional={"tokens": AMOUNTS, "micro_usd": AMOUNTS}),
    Verb.STOP: st.fixed_dictionaries({}, optional={"exit": st.just(False)}),
}  # fmt: skip
HEADS: Final = {
    "id": st.sampled_from(["", "", "", "c1", "c2", "c3", "c4", "c 5"]),
    "reason": TEXT,
    "expires_seconds": st.sampled_from([0.000_001, 60, 0, -1, float("nan"), 10**9]),
    "sender": TEXT,
}
NAMES: Final = {
    Scope.GOAL: ("goal",), Scope.NODE: ("goal", "node"), Scope.AGENT: ("goal", "agent"), Scope.QUEUE: ("queue",),
    Scope.OWNER: ("owner",), Scope.ALL: ("all",),
}  # fmt: skip
VALUES: Final[dict[str, st.SearchStrategy[Any]]] = {
    "goal": st.sampled_from(GOALS),
    "node": st.sampled_from(NODES),
    "agent": st.sampled_from(["writer", "nobody"]),
    "queue": st.sampled_from(["default", "gpu", "llm"]),
    "owner": st.sampled_from(["acme", "other", "none"]),
    "all": st.just(True),
}


FOR: Final = {
    Verb.APPROVE: ("gate",), Verb.REJECT: ("gate",), Verb.STEER: ("write",), Verb.EDIT: ("next", "last", "write"),
    Verb.DROP_TASK: ("next", "last", "write", "paid"),
}  # fmt: skip
"""Nodes that the command may well be for."""


@st.composite
def fitting(draw: st.DrawFn) -> dict[str, Any]:
    """A command that may well be carried out."""
    verb = draw(st.sampled_from(Verb))
    scopes: list[Scope] = sorted(VERBS[verb].scopes)
    single: list[Scope] = [scope for scope in scopes if scope not in (Scope.OWNER, Scope.ALL)]
    usual = draw(st.integers(0, 5)) > 0
    scope = draw(st.sampled_from(single if single and usual else scopes))
    target = {name: draw(VALUES[name]) for name in NAMES[scope]}
    if verb in FOR and draw(st.integers(0, 3)):
        target |= {
            "goal": draw(st.sampled_from(["open", "open", "paused", "planned"])),
            "node": draw(st.sampled_from(FOR[verb])),
        }
    if scope is Scope.AGENT and draw(st.booleans()):
        target = {"agent": target["agent"], "owner": draw(VALUES["owner"])}
    head = draw(st.fixed_dictionaries({}, optional={name: HEADS[name] for name in ("id", "reason")}))
    arguments = draw(ARGUMENTS.get(verb, st.just({})))
    inner = {"arguments": arguments} if draw(st.booleans()) else arguments
    return {"command": verb.value, **target, **head, **inner}


@st.composite
def crooked(draw: st.DrawFn) -> dict[str, Any]:
    """A command with something else in it than there should be."""
    payload = draw(fitting())
    names = sorted({*payload, *HEADS, *VALUES, "arguments", "mode", "door", "verb", "__class__", "all"})
    for name in draw(st.lists(st.sampled_from(names), min_size=1, max_size=3)):
        payload[name] = draw(st.one_of(HEADS.get(name, JSON), VALUES.get(name, JSON), JSON))
    if draw(st.booleans()):
        payload["command"] = draw(st.sampled_from([*ALIASES, "pause", " Resume ", "drop_task", "EXPLODE", "", 7, None]))
    return payload


PAYLOADS: Final = st.one_of(
    fitting(),
    fitting(),
    fitting(),
    fitting(),
    crooked(),
    st.dictionaries(st.text(string.ascii_lowercase, max_size=8), JSON, max_size=4),
)
