"""What the commands of `llm` share: the profiles, the accounts in them, and what each looks like now."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Final

import click
from click.shell_completion import CompletionItem

from orchestrator.cli.context import client, settings

if TYPE_CHECKING:
    from orchestrator.llm.limiter import Limiter
    from orchestrator.llm.limits import Limits
    from orchestrator.llm.profiles import Profiles
    from orchestrator.llm.status import Snapshot
    from orchestrator.settings import Settings

LISTED: Final = 1000
"""Owners, goals of each and permits that are read; the counts are of all."""


def read_profiles(chosen: Settings) -> Profiles:
    """The profiles. Raises InvalidProfiles."""
    from orchestrator.llm.profile_file import load_profiles

    if chosen.llm_file is not None:
        return load_profiles(chosen.llm_file, os.environ)
    from orchestrator.embedded.local_model import with_local_model
    from orchestrator.embedded.records import running

    stack = running(chosen.data_dir)
    url = chosen.redis_url or (stack.redis_url if stack else "")
    return load_profiles(None, with_local_model(os.environ, chosen.data_dir, url))


class AccountName(click.ParamType[str]):
    """The name of an account. Shell completion offers those of the profiles."""

    name = "account"

    def shell_complete(
        self, ctx: click.Context, param: click.Parameter, incomplete: str  # noqa: ARG002 (click's signature)
    ) -> list[CompletionItem]:  # fmt: skip
        try:
            with ctx.scope(cleanup=False):
                names = read_profiles(settings()).accounts
        except Exception:
            return []
        return [CompletionItem(name) for name in names if name.startswith(incomplete)]


class Amount(click.FloatRange):
    """A number in a range; `nan` is in none."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        found = super().convert(value, param, ctx)
        if found != found:
            self.fail(f"{value!r} is not a number", param, ctx)
        return found


account_argument = click.argument("account", type=AccountName(), metavar="ACCOUNT")


@dataclass(frozen=True, slots=True)
class Seen:
    """An account as it is now."""

    snapshot: Snapshot
    settings: Mapping[str, int | None]
    """Limits by the profiles."""
    override: Mapping[str, int | None]
    """Limits that were set at run time, over those; None lifts one."""
    ever_used: bool

    @property
    def longest_wait(self) -> float:
        """Seconds that the first waiter of any goal has been waiting."""
        return max((flow.seconds for flow in self.snapshot.flows), default=0.0)

    def as_json(self) -> dict[str, Any]:
        """As the commands print it."""
        usage = {
            name: {**asdict(one), "percent": share(one.used, one.allowed)} for name, one in self.snapshot.usage.items()
        }
        more = {"usage": usage, "longest_wait_seconds": self.longest_wait, "settings": dict(self.settings)}
        return {**self.snapshot.as_json(), **more, "set_at_run_time": dict(self.override), "ever_used": self.ever_used}


def share(used: int, allowed: int | None) -> float | None:
    """Percent, or None where nothing limits."""
    return None if allowed is None else round(100 * used / allowed, 1)


class Accounts:
    """The accounts of the profiles, and the lines of models that have limits. Its methods raise RedisNotReachable."""

    def __init__(self) -> None:
        from orchestrator.llm.lines import model_limits

        self._door = client()
        profiles = self._door.models.profiles = read_profiles(self._door.settings)
        self.limiter: Limiter = self._door.limiter
        # Redis serves an account by the limits of whoever asks: only those that the limiter here knows are touched.
        lines = model_limits(profiles).items()
        self.names = (*profiles.limits(), *(name for name, one in lines if self.limiter.limits_of(name) == one))
        self._used: frozenset[str] = frozenset()

    @contextmanager
    def reached(self) -> Iterator[None]:
        """Says which Redis does not answer."""
        from orchestrator.store.connection import ConnectionFailed, unreachable

        try:
            yield
        except ConnectionFailed as error:
            raise unreachable(self._door.store.url, error) from None

    def find_used(self) -> list[str]:
        """Learn which accounts were ever used, by a scan of the keys. Returns those that the profiles do not name."""
        with self.reached():
            self._used = frozenset(self.limiter.accounts())
        return sorted(self._used.difference(self.names))

    def choose(self, name: str | None) -> tuple[str, ...]:
        """The account of that name, or all. Raises a click error that names the known ones."""
        if name is None:
            return self.names
        if name not in self.names:
            known = f"there is no account {name!r}; known: {', '.join(self.names)}"
            stranger = name in self.find_used()
            more = ". It was used by somebody with other profiles: name their file in CHORDAL_LLM_FILE"
            raise click.BadParameter(known + more * stranger, param_hint="ACCOUNT")
        return (name,)

    def glance(self, name: str) -> Seen:
        """The account now; one that was not used when `find_used` looked is not asked for, and so leaves no keys."""
        limits = self.limiter.limits_of(name)
        if name in self._used:
            return self.look(name)
        return Seen(_unused(name, limits), _by_field(limits.binding()), {}, ever_used=False)

    def look(self, name: str) -> Seen:
        """The account now."""
        from orchestrator.llm.status import Snapshot
        from orchestrator.llm.windows import override_of
        from orchestrator.store.llm_records import OUTSIDE, Caller

        limits = self.limiter.limits_of(name)
        with self.reached():
            picture = self._door.store.llm.status(name, Caller(limits.as_json(), OUTSIDE), LISTED)
        return Seen(Snapshot.of(name, picture), _by_field(limits.binding()), override_of(picture), ever_used=True)


def _by_field(short: Mapping[str, int | None]) -> dict[str, int | None]:
    from orchestrator.llm.limits import NAMES

    return {NAMES[name]: value for name, value in short.items()}


def _unused(name: str, limits: Limits) -> Snapshot:
    from orchestrator.llm.status import Snapshot, Usage

    return Snapshot(
        account=name, at_ms=round(time.time() * 1000), window_seconds=limits.window_seconds,
        usage={kind: Usage(most, most, 0) for kind, most in limits.binding().items()}, waiting=0, owners={}, flows=(),
        leases=(), factor=1.0, hold_seconds=0.0, hold_reason="", breaker="closed", breaker_seconds=0.0, breaker_reason="",
        draining=False, slots=None, processes=0, spend={}, budgets={},
    )  # fmt: skip
