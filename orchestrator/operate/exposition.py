"""Metrics in the text format of Prometheus, printed or served. Needs `chordal[metrics]`."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Final

from orchestrator.domain.errors import ChordalError
from orchestrator.operate.metrics import METRICS, Reading

try:
    from prometheus_client import CollectorRegistry, generate_latest, start_http_server
    from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
    from prometheus_client.metrics_core import Metric as Family
    from prometheus_client.registry import Collector
except ModuleNotFoundError as _error:
    raise ChordalError(
        f"metrics need what the extra `metrics` installs ({_error}): pip install 'chordal[metrics]'"
    ) from None

LOOPBACK: Final = "127.0.0.1"


class _Readings(Collector):
    """Reads anew whenever it is asked."""

    def __init__(self, read: Callable[[], Sequence[Reading]]) -> None:
        self._read = read

    def collect(self) -> Iterator[Family]:
        """Each metric that has a value, in the order of the table."""
        found: dict[str, list[Reading]] = {}
        for reading in self._read():
            found.setdefault(reading.name, []).append(reading)
        for metric in METRICS:
            if metric.name not in found:
                continue
            make = CounterMetricFamily if metric.kind == "counter" else GaugeMetricFamily
            family = make(metric.name, metric.meaning, labels=metric.labels)
            for reading in found[metric.name]:
                family.add_metric(reading.labels, reading.value)
            yield family

    def describe(self) -> list[Family]:
        """Nothing: it must not read when it is registered."""
        return []


def text(read: Callable[[], Sequence[Reading]]) -> str:
    """One reading as Prometheus reads it."""
    return generate_latest(_registry(read)).decode()


@contextmanager
def served(read: Callable[[], Sequence[Reading]], port: int, host: str = LOOPBACK) -> Iterator[int]:
    """Answer `GET /metrics` on the port while the block lasts, each time with a new reading; the port that it is.

    Raises OSError where the port is taken.
    """
    server, thread = start_http_server(port, host, _registry(read))
    try:
        yield server.server_port
    finally:
        server.shutdown()
        server.server_close()
        thread.join(5)


def _registry(read: Callable[[], Sequence[Reading]]) -> CollectorRegistry:
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Readings(read))
    return registry
