"""What an account looks like at one moment, for people, gauges and tests."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Self

from orchestrator.store.llm_records import Picture


@dataclass(frozen=True, slots=True)
class Usage:
    """One limit and how much of it is taken."""

    limit: int | None
    """None: it does not bind."""
    allowed: int | None
    """The limit, lowered by the factor."""
    used: int
    """In the window, reserved or settled; for `concurrent`, calls in flight."""


@dataclass(frozen=True, slots=True)
class Waiting:
    """The waiters of one goal of one owner."""

    owner: str
    goal: str
    count: int
    seconds: float
    """How long the one that is next has been waiting."""


@dataclass(frozen=True, slots=True)
class Leased:
    """A permit that is out."""

    id: str
    owner: str
    goal: str
    fence: int
    seconds: float
    """Since the grant."""
    ends_in: float
    """Seconds until its claim or lease runs out."""
    started: bool
    tokens: int


@dataclass(frozen=True, slots=True)
class Snapshot:
    """An account. Seconds count from `at_ms`."""

    account: str
    at_ms: int
    window_seconds: float
    usage: Mapping[str, Usage]
    """By `requests`, `input`, `output`, `tokens`, `concurrent`."""
    waiting: int
    owners: Mapping[str, int]
    """Waiters by owner."""
    flows: tuple[Waiting, ...]
    leases: tuple[Leased, ...]
    factor: float
    """Of the limits that is used: below 1 after 429s."""
    hold_seconds: float
    hold_reason: str
    breaker: str
    """`closed`, `open` or `half-open`."""
    breaker_seconds: float
    breaker_reason: str
    draining: bool
    slots: int | None
    """Of live llm workers, if that is known."""
    processes: int
    """Live processes that wait or call."""
    spend: Mapping[str, int]
    """Reserved and spent by purse: `account:tokens`, `owner:<name>:usd` (micro-USD), `goal:<id>:tokens`."""
    budgets: Mapping[str, int]

    @classmethod
    def of(cls, account: str, picture: Picture) -> Self:
        """From what is stored."""
        state, now = picture.state, picture.now_ms
        opened = float(state["open_until"])
        breaker = "closed" if opened == 0 else "open" if opened > now else "half-open"
        return cls(
            account=account,
            at_ms=now,
            window_seconds=picture.limits["window"] / 1000,
            usage=_usage(picture),
            waiting=picture.waiting,
            owners={owner: count for owner, count, _ in picture.owners},
            flows=tuple(
                Waiting(owner, goal, count, (now - since) / 1000)
                for owner, _, goals in picture.owners
                for goal, count, since in goals
            ),
            leases=tuple(_leased(name, ends, record, now) for name, ends, record in picture.leases),
            factor=float(state["factor"]),
            hold_seconds=max(0.0, (state["hold"] - now) / 1000),
            hold_reason=str(state["hold_reason"]) if state["hold"] > now else "",
            breaker=breaker,
            breaker_seconds=max(0.0, (opened - now) / 1000),
            breaker_reason=str(state["open_reason"]),
            draining=bool(state["draining"]),
            slots=None if state["slots"] < 0 else int(state["slots"]),
            processes=picture.processes,
            spend=picture.spend,
            budgets=picture.budgets,
        )

    def as_json(self) -> dict[str, Any]:
        """As the command line prints it."""
        return asdict(self)


def _usage(picture: Picture) -> dict[str, Usage]:
    state, limits = picture.state, picture.limits
    used = {name: int(state[f"used_{name[0]}"] + state[f"kept_{name[0]}"]) for name in ("requests", "input", "output")}
    used |= {"tokens": used["input"] + used["output"], "concurrent": len(picture.leases)}
    found = {}
    for name, amount in used.items():
        limit = limits.get(name)
        allowed = None if limit is None else max(1, int(limit * state["factor"]))
        found[name] = Usage(limit, allowed, amount)
    return found


def _leased(name: str, ends: int, record: Mapping[str, Any], now: int) -> Leased:
    return Leased(
        name, str(record["owner"]), str(record["goal"]), int(record["fence"]), (now - record["at"]) / 1000,
        (ends - now) / 1000, bool(record.get("cell")), int(record["i"] + record["o"]),
    )  # fmt: skip
