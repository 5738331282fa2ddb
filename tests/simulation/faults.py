"""What goes wrong, how often, drawn from the seed. Each seed has its own weather, so that some faults meet undisturbed."""

from __future__ import annotations

from dataclasses import dataclass
from random import Random
from typing import Final

OPERATION: Final = {
    "resent": 0.03,  # performed twice; the second reply arrives
    "ghost": 0.02,  # performed, and once more some time later
    "lost reply": 0.015,  # performed; the caller sees a connection error
    "not sent": 0.02,  # not performed; the caller sees a connection error
    "slow": 0.02,  # arrives late
    "crash before": 0.006,  # the process dies, the operation with it
    "crash after": 0.008,  # the operation is performed, the process does not live to see the reply
    "stopped": 0.006,  # SIGSTOP past the lease, then SIGCONT; the operation was on its way
    "stopped before": 0.006,  # the same; the operation is sent after SIGCONT
}
"""Faults of an operation and how likely each is where the weather is middling."""
MESSAGE: Final = {"message lost": 0.05, "message twice": 0.03, "message late": 0.05}
ON_READS: Final = frozenset({"not sent", "slow", "crash before", "stopped before"})
DELICATE: Final = frozenset({"cancel", "submit_seal", "remove", "retry", "patch", "expand", "settle", "begin"})
"""Rare operations, or such as leave something half-done: struck more often, so that they are struck at all."""
MORE: Final = 5.0


@dataclass(slots=True)
class Weather:
    """The faults of one seed."""

    rng: Random
    odds: dict[str, float]
    calm: bool = False
    """Faults have healed."""

    @classmethod
    def of(cls, rng: Random) -> Weather:
        """Each kind of fault is absent, usual or frequent."""
        storm = rng.choice([0.0, 0.5, 1.0, 1.0, 2.0])
        return cls(rng, {kind: odds * storm * rng.choice([0, 1, 1, 3]) for kind, odds in (OPERATION | MESSAGE).items()})

    def of_operation(self, name: str, reads: bool) -> str:
        """The fault that befalls an operation, or nothing."""
        if self.calm:
            return ""
        draw, weight = self.rng.random(), 0.3 if reads else MORE if name in DELICATE else 1
        for kind in OPERATION:
            if not reads or kind in ON_READS:
                draw -= self.odds[kind] * weight
                if draw < 0:
                    return kind
        return ""

    def of_message(self) -> str:
        """The fault that befalls a message, or nothing."""
        if self.calm:
            return ""
        draw = self.rng.random()
        for kind in MESSAGE:
            draw -= self.odds[kind]
            if draw < 0:
                return kind
        return ""
