"""The upkeep put together."""

from __future__ import annotations

from collections.abc import Callable

from orchestrator.engine.duty import Duty
from orchestrator.engine.payload import Payloads
from orchestrator.engine.upkeep.hygiene import Hygiene
from orchestrator.engine.upkeep.meter import Meter
from orchestrator.engine.upkeep.pulse import Pulse
from orchestrator.engine.upkeep.removal import Removal
from orchestrator.engine.upkeep.roll import Roll
from orchestrator.settings import Settings
from orchestrator.store.store import Store


class Upkeep:
    """Every part of beat's own duties, one each."""

    def __init__(
        self, store: Store, settings: Settings, payloads: Payloads, forget_calls: Callable[[str], object]
    ) -> None:
        """`forget_calls` takes away what accounts of models keep of a goal."""
        self._settings = settings
        self.meter = Meter(store)
        self.removal = Removal(store, payloads, forget_calls, settings.archive_hook, self.meter)
        self.hygiene = Hygiene(store, self.meter)
        self.pulse = Pulse(store)
        self.roll = Roll(store, settings.worker_stale_seconds)

    def anew(self) -> None:
        """This beat ticks from now on: what it remembers of the time before another did is out of date."""
        self.removal.anew()
        self.meter.anew()
        self.roll.anew()

    def duties(self) -> tuple[Duty, ...]:
        """Their lines of beat's table."""
        settings = self._settings
        return (
            self.removal.duty(settings.ttl_seconds),
            self.hygiene.duty(settings.hygiene_seconds),
            self.meter.duty(settings.metrics_seconds),
            self.pulse.duty(settings.health_seconds),
        )
