"""Everything that calls models in one process, each part made on first use: most processes call none."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Final

from orchestrator.gate.slots import share
from orchestrator.settings import Settings
from orchestrator.store.store import Store

if TYPE_CHECKING:
    from orchestrator.engine.commits import Committer
    from orchestrator.gate.asking import Asking, Publish
    from orchestrator.gate.budgets import Budgets
    from orchestrator.gate.gate import Gate
    from orchestrator.gate.talk import Speaker
    from orchestrator.llm.client import Client
    from orchestrator.llm.estimates import Estimates
    from orchestrator.llm.joint import JointLimiter
    from orchestrator.llm.limiter import Limiter
    from orchestrator.llm.profiles import Profiles
    from orchestrator.llm.sharing import Cache

log = logging.getLogger(__name__)

AGAIN_SECONDS: Final = 10.0
"""How often slots are told that have not changed: an account may have been emptied meanwhile."""
UNTENDED_SECONDS: Final = 3.0
"""An account whose next tick is overdue by this much is tended by nobody."""
WITHOUT_SECONDS: Final = 60.0
"""How often a process without profiles looks for some."""


@dataclass
class ModelParts:
    """Profiles, limiter, client and gate of a process. Raises InvalidProfiles where a part needs them."""

    settings: Settings
    store: Store
    committer: Callable[[], Committer]
    publish: Publish
    pause: Callable[[str, str], object]
    speakers: Mapping[str, Callable[[], Speaker]]
    """Who talks for nodes of other kinds than `llm`, by kind."""
    _without: float = 0.0
    """There are no profiles here; looked for again at this monotonic time."""
    _allotted: tuple[dict[str, int], float] = field(default_factory=lambda: ({}, 0.0))

    @cached_property
    def profiles(self) -> Profiles:
        """Accounts and models."""
        from orchestrator.embedded.local_model import with_local_model
        from orchestrator.llm.profile_file import load_profiles

        environ = with_local_model(os.environ, self.settings.data_dir, self.store.url)
        profiles = load_profiles(self.settings.llm_file, environ)
        if "wait_seconds" in profiles.model_fields_set:
            return profiles
        return profiles.model_copy(update={"wait_seconds": self.settings.llm_concurrency_wait_seconds})

    @cached_property
    def limiter(self) -> Limiter:
        """The fleet's queue for model calls."""
        from orchestrator.llm.limiter import Limiter
        from orchestrator.llm.lines import model_limits

        most = self.settings.llm_max_concurrency
        limits = {
            name: one if one.concurrency is not None else replace(one, concurrency=most)
            for name, one in self.profiles.limits().items()
        }
        return Limiter(self.store, limits | model_limits(self.profiles))

    @cached_property
    def client(self) -> Client:
        """Calls models through the queue. Needs `chordal[llm]`, and the keys and scripts that the profiles name."""
        from orchestrator.llm.client import Client
        from orchestrator.llm.profile_file import check_keys
        from orchestrator.llm.providers import Providers
        from orchestrator.llm.shared import SharedFlights
        from orchestrator.llm.windows import FleetLines, WindowKeeper
        from orchestrator.store.llm_shared import SharedCalls

        check_keys(self.profiles, os.environ)
        return Client(
            self.joint,
            self.profiles,
            Providers(self.profiles, os.environ),
            estimates=self.estimates,
            flights=SharedFlights(SharedCalls(self.store)),
            cache=self.cache,
            on_windows=WindowKeeper(FleetLines(self.limiter, self.store)),
        )

    @cached_property
    def joint(self) -> JointLimiter:
        """The limiter for calls whose model may have limits of its own."""
        from orchestrator.llm.joint import joint

        return joint(self.limiter, self.store, self.profiles)

    @cached_property
    def estimates(self) -> Estimates:
        """What the fleet learnt of the lengths of answers."""
        from orchestrator.llm.estimates import SharedEstimates

        return SharedEstimates(
            self.store.llm.learned, {name: model.account for name, model in self.profiles.models.items()}
        )

    @cached_property
    def cache(self) -> Cache:
        """Answers that are kept."""
        from orchestrator.llm.shared import SharedCache
        from orchestrator.store.llm_shared import SharedCalls

        return SharedCache(SharedCalls(self.store))

    @cached_property
    def asking(self) -> Asking:
        """Puts the calls of nodes into their lines."""
        from orchestrator.gate.asking import Asking

        return Asking(self.store, self.profiles, self.limiter, self.estimates, self.cache, self.publish, self.speakers)

    @cached_property
    def gate(self) -> Gate:
        """Makes the calls of nodes."""
        from orchestrator.gate.gate import Gate

        return Gate(self.store, self.asking, lambda: self.client, self.joint, self.committer, self.pause)

    def preload(self) -> None:
        """Import, before a pool forks, what the first `llm` node of every child would import; nothing without profiles."""
        from orchestrator.llm.failures import InvalidProfiles

        with suppress(InvalidProfiles):
            from orchestrator.llm.tokens import count_text, encoding_of

            for name, model in self.profiles.models.items():
                count_text("", encoding_of(model, name))
            import orchestrator.gate.asking
            import orchestrator.llm.limiter
            import orchestrator.llm.shared  # noqa: F401

    def withdraw(self, goal: str) -> None:
        """A goal was cancelled: its calls leave the lines."""
        self._bystander.withdraw(goal)

    def renew_budget(self, goal: str) -> None:
        """The budget of a goal was changed."""
        self._bystander.renew(goal)

    def forget(self, goal: str) -> None:
        """A goal is about to be removed: accounts keep nothing of it."""
        if self.store.goals.field(goal, "llm"):
            self._bystander.forget(goal)

    @cached_property
    def _bystander(self) -> Budgets:
        """For what any process does, also one that knows of no models: it brings no limits of its own."""
        from orchestrator.gate.budgets import Budgets
        from orchestrator.llm.limiter import Limiter

        return Budgets(self.store, Limiter(self.store, {}), ())

    def tend(self) -> str:
        """Tick the lines of accounts that no process tends: permits of the dead run out, and the line moves on."""
        if (limiter := self._limiter_or_none()) is None:
            return "no models here"
        from orchestrator.llm.lines import all_lines

        untended = limiter.tend(all_lines(self.profiles), UNTENDED_SECONDS)
        return f"{len(untended)} accounts untended" + "".join(f", {account}" for account in untended[:5])

    def _limiter_or_none(self) -> Limiter | None:
        """The limiter; None while there are no profiles here, which is asked again once a minute."""
        from orchestrator.llm.failures import InvalidProfiles

        if time.monotonic() < self._without:
            return None
        try:
            return self.limiter
        except InvalidProfiles as error:
            self._without = time.monotonic() + WITHOUT_SECONDS
            level = logging.INFO if self.settings.llm_file is None else logging.WARNING
            log.log(level, "the slots of llm workers are not divided here: %s", error)
            return None

    def allot(self, slots: int) -> None:
        """Divide the slots of the live llm workers among the accounts, by what is wanted of each."""
        from orchestrator.llm.lines import all_lines

        if (limiter := self._limiter_or_none()) is None:
            return
        wanted = {account: limiter.gated(account) for account in all_lines(self.profiles)}
        given, (before, at) = share(slots, wanted), self._allotted
        anew = time.monotonic() - at >= AGAIN_SECONDS
        for account, count in given.items():
            if anew or before.get(account) != count:
                limiter.set_slots(account, count)
        if anew or given != before:
            self._allotted = given, time.monotonic()
