"""I7: permits for LLM calls stay within the limits of their account, at every moment.

The events (`data` in braces):

- `llm.permit` {permit, account, tokens, limits}: a call may begin. `permit` is its id, `tokens` what is reserved for it;
  `limits` are the account's at this moment: {concurrent, requests, tokens, seconds}, the last three together: at most so
  many requests and tokens within any so many seconds. A limit that is left out does not bind.
- `llm.settled` {permit, account, tokens}: the call is over; so many tokens were used.
- `llm.released` {permit, account}: the permit was handed back unused, or its holder was lost; it counts no longer.

An account is shared by goals: the history of one goal shows only its own permits, so `check_permits` takes all of them.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from orchestrator.domain.events import Event
from orchestrator.events.plan import Plan
from orchestrator.events.rules.rule import Rule
from orchestrator.events.story import Story
from orchestrator.events.violation import Note, Violation

PERMIT: Final = "llm.permit"
SETTLED: Final = "llm.settled"
RELEASED: Final = "llm.released"


@dataclass(slots=True)
class _Account:
    """What one account has given out."""

    live: set[str] = field(default_factory=set)
    window: deque[tuple[float, str]] = field(default_factory=deque)
    """When each permit was given, oldest first."""
    tokens: dict[str, int] = field(default_factory=dict)
    """Reserved or used, by permits in the window."""
    used: int = 0

    def slide(self, until: float) -> None:
        """Forget what was given before."""
        while self.window and self.window[0][0] <= until:
            self.count(self.window.popleft()[1], None)

    def count(self, permit: str, tokens: int | None) -> None:
        """Set the tokens of a permit in the window; None takes it out."""
        self.used -= self.tokens.pop(permit, 0)
        if tokens is not None:
            self.tokens[permit] = tokens
            self.used += tokens


class Permits(Rule):
    """Live permits, and requests and tokens within the window, are within the limits after every grant."""

    invariant = "I7"
    types = frozenset({PERMIT, SETTLED, RELEASED})

    def __init__(self, plan: Plan, retries: int | None = None) -> None:
        super().__init__(plan, retries)
        self._accounts: dict[str, _Account] = {}

    def see(self, story: Story, event: Event) -> Iterator[Violation]:
        data = event.data
        account = self._accounts.setdefault(str(data.get("account", "")), _Account())
        permit = str(data.get("permit", ""))
        if event.type == PERMIT:
            yield from self._grant(account, permit, event)
        elif permit not in account.live:
            if story.whole:
                yield self.fault(event, f"{event.type} of permit {permit}, which is not live")
        else:
            account.live.remove(permit)
            if event.type == RELEASED:
                account.window = deque(one for one in account.window if one[1] != permit)
                account.count(permit, None)
            elif permit in account.tokens:
                account.count(permit, int(data.get("tokens", account.tokens[permit])))

    def _grant(self, account: _Account, permit: str, event: Event) -> Iterator[Violation]:
        limits: Mapping[str, Any] = event.data.get("limits") or {}
        if permit in account.live:
            yield self.fault(event, f"permit {permit} is given twice")
        account.slide(event.at - float(limits.get("seconds", 0)))
        account.live.add(permit)
        account.window.append((event.at, permit))
        account.count(permit, int(event.data.get("tokens", 0)))
        name = event.data.get("account", "")
        for what, have in (
            ("concurrent", len(account.live)), ("requests", len(account.window)), ("tokens", account.used),
        ):  # fmt: skip
            if what in limits and have > limits[what]:
                yield self.fault(event, f"account {name} has {have} {what}, its limit is {limits[what]}")

    def note(self, story: Story) -> Note | None:  # noqa: ARG002
        if not self._accounts:
            return Note("no LLM permit in this history", True)
        return Note("permits of other goals on the account: check_permits takes all", False)


def check_permits(events: Iterable[Event], whole: bool = True) -> list[Violation]:
    """The rule over the permits of many goals: their events, merged by time. `whole`: nothing went before them."""
    rule, story = Permits(Plan()), Story(whole=whole)
    return [fault for event in events if event.type in rule.types for fault in rule.see(story, event)]
