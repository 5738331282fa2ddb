"""When a failed attempt is tried again."""

from __future__ import annotations

from collections.abc import Callable


def backoff(failures: int, base_seconds: float, cap_seconds: float, uniform: Callable[[float, float], float]) -> float:
    """Seconds to wait after the given number of failures (1 or more): exponential with full jitter.

    A wait is uniform in [0, min(cap, base * 2**(failures - 1))]: "Exponential Backoff And Jitter", M. Brooker, AWS
    Architecture Blog, 2015. `uniform` is the source of randomness, `random.uniform` in a worker.
    """
    ceiling = min(cap_seconds, base_seconds * 2.0 ** min(failures - 1, 60))
    return uniform(0.0, ceiling)
