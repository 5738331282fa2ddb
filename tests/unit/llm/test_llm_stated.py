"""What providers state of their limits: which limit wins, and when less remains than is thought."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from redis.exceptions import ConnectionError as Away

from orchestrator.llm.headers import Window
from orchestrator.llm.limits import NAMES, Limits
from orchestrator.llm.status import Usage
from orchestrator.llm.windows import View, WindowKeeper, merged, of_a_minute, short_seconds

RPM = "requests_per_minute"


@dataclass
class Line:
    """An account that takes down what is done to it."""

    limits: Limits = field(default_factory=Limits)
    used: int = 0
    override: dict[str, int | None] = field(default_factory=dict)
    stated: dict[str, int] = field(default_factory=dict)
    holds: list[float] = field(default_factory=list)
    sets: int = 0
    views: int = 0
    away: bool = False
    now: float = 0.0

    def limits_of(self, account: str) -> Limits:
        assert account == "acme"
        return self.limits

    def view(self, account: str) -> View:
        assert account == "acme"
        self.views += 1
        if self.away:
            raise Away("no")
        limits = {name: self.override.get(NAMES[name], limit) for name, limit in self.limits.binding().items()}
        usage = {name: Usage(limit, limit, self.used) for name, limit in limits.items()}
        return View(usage, dict(self.override), dict(self.stated))

    def set_limits(self, account: str, override: Mapping[str, int | None], stated: Mapping[str, int]) -> None:
        assert account == "acme"
        self.override, self.stated, self.sets = dict(override), dict(stated), self.sets + 1

    def hold(self, account: str, seconds: float, reason: str) -> None:
        assert account == "acme"
        assert reason.startswith("the provider has less left: ")
        self.holds.append(seconds)

    def keeper(self) -> WindowKeeper:
        return WindowKeeper(self, lambda: self.now)


def hear(line: Line, keeper: WindowKeeper, after: float = 2.0, **windows: Window) -> Line:
    line.now += after
    keeper("acme", {kind.replace("_", "-"): window for kind, window in windows.items()})
    return line


@pytest.mark.parametrize(
    ("profile", "operator", "stated", "wins"),
    [
        (None, {}, 500, {RPM: 500}),  # no limit of ours: the provider's
        (600, {}, 500, {RPM: 500}),  # the lower one: the provider's
        (300, {}, 500, {}),  # the lower one: ours
        (500, {}, 500, {}),
        (600, {RPM: 900}, 500, {RPM: 900}),  # an operator's stands over both
        (600, {RPM: None}, 500, {RPM: None}),  # lifted by an operator
        (600, {"concurrency": 3}, 500, {RPM: 500, "concurrency": 3}),  # what it does not concern stays
    ],
)
def test_which_limit_wins(
    profile: int | None, operator: dict[str, int | None], stated: int, wins: dict[str, int | None]
) -> None:
    line = Line(Limits(requests_per_minute=profile), override=operator)
    hear(line, line.keeper(), requests=Window(limit=stated))
    assert line.override == wins


def test_a_limit_of_the_provider_follows_the_provider_and_goes_when_it_is_above_ours() -> None:
    line = Line(Limits(requests_per_minute=400))
    keeper = line.keeper()
    hear(line, keeper, requests=Window(limit=300))
    assert line.override == {RPM: 300}
    hear(line, keeper, requests=Window(limit=350))
    assert line.override == {RPM: 300}, "another model of the account may have the lower one"
    hear(line, keeper, 601.0, requests=Window(limit=350))
    assert line.override == {RPM: 350}
    hear(line, keeper, 601.0, requests=Window(limit=5000))
    assert (line.override, line.stated) == ({}, {})
    line.override = {RPM: 100}
    hear(line, keeper, 601.0, requests=Window(limit=90))
    assert line.override == {RPM: 100}, "set by an operator meanwhile"


def test_limits_are_scaled_to_our_window() -> None:
    line = Line(Limits(window_seconds=3.0))
    hear(line, line.keeper(), requests=Window(limit=100), output_tokens=Window(limit=10))
    assert line.override == {RPM: 5, "output_tokens_per_minute": 1}


def test_what_does_not_change_is_compared_once_a_minute() -> None:
    line = Line()
    keeper = line.keeper()
    for _ in range(20):
        hear(line, keeper, 2.0, requests=Window(limit=100))
    assert (line.sets, line.views) == (1, 1)
    hear(line, keeper, 30.0, requests=Window(limit=100))
    assert (line.sets, line.views) == (1, 2)


def test_one_look_a_second() -> None:
    line = Line()
    keeper = line.keeper()
    for limit in range(100, 90, -1):
        hear(line, keeper, 0.2, requests=Window(limit=limit))
    assert line.views == 2
    hear(line, keeper, 1.0, requests=Window(limit=95))
    assert line.override == {RPM: 91}, "what was heard in between counts too"


@pytest.mark.parametrize(
    ("window", "used", "seconds"),
    [
        (Window(100, 60), 10, 18.0),  # 90 were thought to be left: 30 of 100 refill in 18 s
        (Window(100, 60, 5.0), 10, 5.0),  # at the reset all is whole
        (Window(100, 60), 40, 0.0),  # as thought
        (Window(100, 90), 40, 0.0),  # more than thought: may never loosen
        (Window(100, 56), 40, 0.0),  # 4 are noise
        (Window(100, 0), 0, 60.0),
        (Window(None, 0), 50, 30.0),  # our own limit counts where theirs is not told
        (Window(100, None, 5.0), 0, 0.0),
    ],
)
def test_remaining_only_tightens(window: Window, used: int, seconds: float) -> None:
    assert short_seconds(window, Usage(100, 100, used)) == pytest.approx(seconds)
    line = Line(Limits(requests_per_minute=100), used=used)
    hear(line, line.keeper(), requests=window)
    assert line.holds == ([pytest.approx(seconds)] if seconds else [])


@given(st.integers(0, 200), st.integers(0, 200), st.integers(1, 200), st.floats(0, 100))
def test_a_hold_is_never_longer_than_the_reset_or_a_minute(remaining: int, used: int, limit: int, reset: float) -> None:
    seconds = short_seconds(Window(limit, remaining, reset), Usage(limit, limit, used))
    assert 0 <= seconds <= min(60.0, reset)


@pytest.mark.parametrize(
    ("window", "answer"),
    [
        (Window(500, 499, 0.12), True),  # refills in a minute
        (Window(10_000, 9_999, 8.64), False),  # in a day
        (Window(200, 199, 432.0), False),
        (Window(50, 49, 2.0), True),  # told as whole seconds of a clock
        (Window(200, 200, 0.0), True),
        (Window(200, None, None), True),
    ],
)
def test_daily_limits_are_left_alone(window: Window, answer: bool) -> None:
    assert of_a_minute(window) is answer
    line = Line(Limits(requests_per_minute=100_000))
    hear(line, line.keeper(), requests=window)
    assert bool(line.override) is answer


def test_a_call_never_suffers_from_it() -> None:
    line = Line(away=True)
    keeper = line.keeper()
    hear(line, keeper, requests=Window(limit=100), shoes=Window(limit=3))
    line.away = False
    hear(line, keeper, requests=Window(limit=100))
    assert line.override == {RPM: 100}, "it is tried again, though nothing changed"


limits = st.one_of(st.none(), st.integers(1, 9))


@given(limits, st.dictionaries(st.sampled_from(list(NAMES.values())), limits), st.integers(1, 9), st.booleans())
def test_a_second_look_changes_nothing(profile: Any, override: Any, stated: int, known: bool) -> None:
    ours = Limits(requests_per_minute=profile)
    says = {RPM: stated} if known else {}
    once, marks = merged(ours, View({}, override, {}), says)
    assert merged(ours, View({}, once, marks), says) == (once, marks)
