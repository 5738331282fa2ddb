"""The reference page of metrics, from the table that `chordal metrics` prints by."""

from __future__ import annotations

from typing import Final

from describe import table
from orchestrator.operate.metrics import METRICS

_INTRO: Final = """# Metrics

`chordal metrics` prints them in the text format of Prometheus, `--json` as JSON; `chordal metrics --port 9808` answers
`GET /metrics` on the loopback interface until it is interrupted. It needs the extra: `pip install 'chordal[metrics]'`.
One process for the whole fleet is enough, on any machine that reaches Redis: everything is read from there, so it also
tells when no worker and no beat is left. A metric of which nothing is known yet is left out.

Counters are written by beat every `CHORDAL_METRICS_SECONDS`, from what its looks at goals tell: a beat that is killed
takes what it counted since with it, and nothing is counted on the path of a node. What happened on one goal exactly is
in [its events](events.md)."""
_ALARMS: Final = """## Worth an alarm

| what | because |
|---|---|
| `sum(chordal_beats{role="ticks"}) < 1` for 30 s | nothing is recovered: no timer, no retry, no lost worker |
| `chordal_beat_tick_late_seconds > 5 * chordal_beat_tick_interval_seconds + 1` | the duty stands still; [beat](../explanation/beat.md) says what it does |
| `sum(chordal_workers{state="alive"}) < 1` while `chordal_nodes{state="ready"} > 0` | nobody works |
| `chordal_redis_used_bytes / chordal_redis_limit_bytes > 0.8` (where a limit is set) | with `noeviction` new work is refused when it is full |
| `chordal_unknown_keys > 0` | a defect, or another program that uses our names |
| `chordal_goals_kept > 0` for an hour | the archive hook fails, or nobody can be told of an end: Redis fills up |
| `increase(chordal_beat_ticks_failed_total[10m]) > 0` | beat's log says what failed |"""
_TIMELINE: Final = """## The timeline

Beat also keeps the counters in two rings, 120 buckets of a minute and 336 of an hour: two hours and two weeks without
any other system. `chordal metrics --timeline minutes` (or `hours`, with `--json`) prints them, oldest first: what was counted
in each, the share of goals that were done among those done or failed, how long goals had lasted on the average, and what was
measured last in it."""


def metrics_body() -> tuple[str, ...]:
    """docs/reference/metrics.md, behind its first line."""
    rows = [
        (f"`{one.name}`", one.kind, ", ".join(f"`{label}`" for label in one.labels), one.meaning) for one in METRICS
    ]
    return _INTRO, table(("metric", "type", "labels", "meaning"), rows), _ALARMS, _TIMELINE
