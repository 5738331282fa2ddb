"""The books of an account of LLM calls, kept from its events and from what the calls really used, beside its own."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from support.line import ACCOUNT, Call, Line

Amounts = tuple[int, int, int]
"""Requests, input tokens, output tokens."""
_DIMS: Final = "rio"


@dataclass
class Permit:
    """One that is out, with the cell in which it is charged; empty until its call started."""

    call: Call
    at: int
    """Of its grant, by the account's time (ms)."""
    cell: str = ""


@dataclass(frozen=True)
class Grant:
    """A call that was let out, by the account's time (ms)."""

    at: int
    call: Call


@dataclass
class Ledger:
    """`check` says where the account's own books differ from these; to be asked after every step of a line.

    `budgeted`: purses that have a budget, without their unit.
    """

    line: Line
    budgeted: frozenset[str] = frozenset()
    permits: dict[str, Permit] = field(default_factory=dict)
    settled: list[tuple[str, Amounts]] = field(default_factory=list)
    """Cells and what stands in them of calls that are over."""
    spent: Counter[str] = field(default_factory=Counter)
    grants: list[Grant] = field(default_factory=list)
    _read: str = "0"

    def check(self) -> list[str]:
        """What differs: what is kept aside, what each cell holds, their sums, what was spent, who has a permit."""
        state = self._all("state")
        if not state:
            return []
        now, window = int(float(state["last"])), round(self.line.limits.window_seconds * 1000)
        held = {name: json.loads(text) for name, text in self._all("held").items()}
        faults = self._starts(held, now)
        faults += self._follow(now)
        faults += [f"{name} has a permit" for name in held.keys() - self.permits.keys()]
        faults += [f"{name} has no permit" for name in self.permits.keys() - held.keys()]
        faults += self._starts(held, now)
        return faults + self._cells(state, now - window) + self._purses()

    def _all(self, part: str) -> dict[str, str]:
        return dict(self.line.store.client.hgetall(self.line.store.keys.llm_part(ACCOUNT, part)))

    def _starts(self, held: Mapping[str, Any], now: int) -> list[str]:
        """Calls that are charged by now; not before they began."""
        faults = []
        for name in held.keys() & self.permits.keys():
            mine, here = self.permits[name], held[name].get("cell", "")
            if here != mine.cell and not self._began(mine, now) < int(here) <= self._soon(now):
                faults.append(f"{name} is charged in cell {here}, it began at {self._began(mine, now)} of {now}")
            mine.cell = here
        return faults

    def _began(self, permit: Permit, now: int) -> int:
        """By the account's time, which may stand still or run behind; now for a call that did not begin."""
        began = permit.call.began
        return now if began is None else min(now, max(permit.at, now - (self.line.now - began)))

    def _soon(self, now: int) -> int:
        """The latest end of a cell of this moment."""
        return now + max(1, round(self.line.limits.window_seconds * 1000) // 600)

    def _cell(self, permit: Permit, now: int) -> str:
        """Where a call is charged that ended before its start could be seen: where there is one more than known."""
        if permit.cell:
            return permit.cell
        known = Counter([cell for cell, _ in self.settled] + [one.cell for one in self.permits.values()])
        stored = {name[1:]: int(count) for name, count in self._all("charges").items() if name.startswith("r")}
        found = [cell for cell, count in stored.items() if count > known[cell]]
        return next((cell for cell in found if self._began(permit, now) < int(cell) <= self._soon(now)), "0")

    def _follow(self, now: int) -> list[str]:
        """Read on in the events."""
        calls, faults = {call.id: call for call in self.line.calls}, []
        stream = self.line.store.keys.llm_part(ACCOUNT, "events")
        for name, event in self.line.store.client.xrange(stream, f"({self._read}" if self._read != "0" else "-"):
            self._read, data = name, json.loads(event["data"])
            permit: str = data["permit"]
            if event["type"] == "llm.permit":
                at = int(name.partition("-")[0])
                self.permits[permit] = Permit(calls[permit], at)
                self.grants.append(Grant(at, calls[permit]))
                continue
            ended = self.permits.pop(permit)
            if event["type"] == "llm.released":
                continue
            tokens_in, tokens_out, usd = _used(ended.call)
            if data["tokens"] != tokens_in + tokens_out:
                faults.append(f"{permit} is settled with {data['tokens']} tokens, it used {tokens_in} + {tokens_out}")
            self.settled.append((self._cell(ended, now), (1, tokens_in, tokens_out)))
            for purse in self._purses_of(ended.call):
                self.spent[f"{purse}:tokens"] += tokens_in + tokens_out
                self.spent[f"{purse}:usd"] += usd
        return faults

    def _cells(self, state: Mapping[str, str], gone: int) -> list[str]:
        asks = [(permit.cell, permit.call.ask) for permit in self.permits.values()]
        live = [(cell, (1, ask.input_tokens, ask.output_tokens)) for cell, ask in asks]
        self.settled = [(cell, amounts) for cell, amounts in self.settled if int(cell) > gone]
        sums, cells = Counter[str](), Counter[str]()
        for cell, amounts in [*live, *self.settled]:
            if cell and int(cell) <= gone:
                continue
            for dim, amount in zip(_DIMS, amounts, strict=True):
                sums[f"used_{dim}" if cell else f"kept_{dim}"] += amount
                cells[f"{dim}{cell}"] += amount if cell else 0
        faults = [
            f"{name} is {state.get(name)}, it should be {sums[name]}"
            for name in (f"{what}_{dim}" for what in ("used", "kept") for dim in _DIMS)
            if float(state.get(name, 0)) != sums[name]
        ]
        return faults + _differences("cell", self._all("charges"), cells)

    def _purses_of(self, call: Call) -> list[str]:
        names = ["account", f"owner:{call.ask.owner}"]
        return names + [name for name in [f"goal:{call.ask.goal}"] if name in self.budgeted]

    def _purses(self) -> list[str]:
        """Spent and reserved."""
        found = self.spent.copy()
        for permit in self.permits.values():
            ask = permit.call.ask
            for purse in self._purses_of(permit.call):
                found[f"{purse}:tokens"] += ask.input_tokens + ask.output_tokens
                found[f"{purse}:usd"] += ask.micro_usd
        return _differences("purse", self._all("spend"), found)


def _used(call: Call) -> Amounts:
    """Input and output tokens and micro-USD: as reserved where nobody told what the call used."""
    ask = call.ask
    told = call.ended is not None and not call.lost
    return call.used if told else (ask.input_tokens, ask.output_tokens, ask.micro_usd)


def _differences(what: str, stored: Mapping[str, Any], mine: Mapping[str, int]) -> list[str]:
    names = sorted({*stored, *mine})
    pairs = [(name, int(stored.get(name, 0)), mine.get(name, 0)) for name in names]
    return [f"{what} {name} holds {have}, it should be {should}" for name, have, should in pairs if have != should]
