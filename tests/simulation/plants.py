"""Bugs planted into the Lua text as it is loaded, to show that the simulation finds them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

import pytest

from orchestrator.store import scripts


@dataclass(frozen=True, slots=True)
class Plant:
    """One bug: which text of which operations becomes what."""

    what: str
    operations: tuple[str, ...]
    sound: str
    broken: str


PLANTS: Final = {
    "fence": Plant(
        "a commit is accepted from whoever once held the node, as long as someone holds it",
        ("commit",),
        "if held and string.sub(held, 1, #mine) == mine then",
        "if held then",
    ),
    "token": Plant(
        "a claim takes the token that the one before it had",
        ("claim", "commit"),
        "call('HINCRBY', G, 'token', ",
        "call('HINCRBY', G, 'token', 0 * ",
    ),
    "repeat": Plant(
        "a commit that is sent again after its lease ended is taken for a new one",
        ("commit",),
        "return 'repeated' end",
        "return 'accepted' end",
    ),
    "double-count": Plant(
        "a join counts an edge that fires twice",
        tuple(scripts.OPERATIONS),
        "need = need - 1 end",
        "need = need - 2 end",
    ),
    "lost-ready": Plant(
        "a node whose lease ran out is READY and in no queue",
        ("reap",),
        "make_ready(node, 'RUNNING')",
        "move(node, 'RUNNING', 'READY')",
    ),
    "cancel": Plant(
        "a commit is accepted while its goal is being cancelled",
        ("commit",),
        "return cancelling and 'cancelling' or 'accepted'",
        "return 'accepted'",
    ),
    "pause": Plant(
        "a paused goal's nodes are claimed",
        ("claim", "commit"),
        "if goal_state ~= 'RUNNING' or cancelling",
        "if cancelling",
    ),
    "ahead": Plant(
        "nodes that ran ahead of a pause or a patch are claimed all the same",
        ("commit",),
        "if goal_state ~= 'RUNNING' or cancelling or goal[5] ~= version or",
        "if cancelling or",
    ),
    "order": Plant(
        "a command that comes again acts again",
        tuple(scripts.OPERATIONS),
        "if before then return 'repeated ' .. before end",
        "",
    ),
    "held": Plant(
        "a held node is claimed",
        ("claim", "commit"),
        "if is_held(node) then set_aside(node) else",
        "if false then set_aside(node) else",
    ),
    "stop": Plant(
        "a node that a pause stopped keeps its lease",
        ("pause",),
        "unlease(node)\n    call('HDEL', task(node), 'token')",
        "",
    ),
    "reopen": Plant(
        "a failure that is retried still counts",
        ("retry", "reopen"),
        "call('HINCRBY', G, 'unhandled', -1)",
        "",
    ),
    "lane": Plant(
        "a node of a lane can be claimed before its turn",
        tuple(scripts.OPERATIONS),
        "if call('ZRANGE', line, 0, 0)[1] ~= node then return end",
        "",
    ),
}
SLICES: Final = """
local function in_slices(key, cursor, _, count)
  local names, page, last = call('HKEYS', key), {}, tonumber(cursor) + count
  table.sort(names)
  for at = cursor + 1, math.min(last, #names) do
    page[#page + 1] = names[at]
    page[#page + 1] = call('HGET', key, names[at])
  end
  return { last < #names and tostring(last) or '0', page }
end
"""
"""In the place of HSCAN, whose order no seed decides and which gives small hashes at once."""


def _in_small_steps(text: str) -> str:
    """Scripts that resolve three edges and scan a slice at a time, so that small goals are worked on in pieces."""
    text = text.replace("local BUDGET = 2000", "local BUDGET = 3").replace("RIPPLE, 1000)", "RIPPLE, 2)")
    if "call('HSCAN'" not in text:
        return text
    head, call, rest = text.partition("local call = redis.call\n")
    return head + call + SLICES + rest.replace("call('HSCAN', ", "in_slices(")


@contextmanager
def planted(name: str) -> Iterator[None]:
    """The scripts in small steps, with a bug in them if one is named.

    Raises AssertionError if the text that a plant replaces is not there any more.
    """
    whole = scripts.source
    plant = PLANTS[name] if name else None
    found = not plant

    def changed(operation: str, shebang: bool) -> str:
        nonlocal found
        text = _in_small_steps(whole(operation, shebang))
        if plant is not None and operation in plant.operations and plant.sound in text:
            found = True
            return text.replace(plant.sound, plant.broken)
        return text

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(scripts, "source", changed)
        for operation in plant.operations if plant else ():
            changed(operation, True)
        assert found, (
            f"the scripts no longer hold the text that the plant {name!r} replaces: plants.py must follow them"
        )
        yield
