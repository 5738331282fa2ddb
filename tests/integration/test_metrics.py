"""Metrics: everything that is read is in the table and on the page, and Prometheus can read what is printed."""

from __future__ import annotations

import json
import sys
import urllib.request
from importlib import import_module
from pathlib import Path

import pytest
from click.testing import CliRunner
from prometheus_client.parser import text_string_to_metric_families

import generate
from orchestrator.cli.main import chordal as program
from orchestrator.domain.errors import ChordalError
from orchestrator.operate import metrics
from orchestrator.operate.exposition import served, text
from orchestrator.operate.metrics import METRICS, Reading
from orchestrator.operate.operator import Operator
from orchestrator.store.fleet import Tick, Worker
from orchestrator.store.upkeep import Beat
from support.crew import Crew

TABLE = {metric.name: metric for metric in METRICS}
BROKER = {"chordal_broker_messages", "chordal_broker_oldest_seconds"}


@pytest.fixture
def busy(crew: Crew) -> Crew:
    """A fleet of which everything is known."""
    store = crew.store
    store.fleet.beat(Worker("w@host", 1, 2, ("default", "gpu"), "prefork", 0.0))
    crew.function(lambda: 1 / 0, "breaks")
    crew.submit(["a", "b", {"id": "bad", "call": "breaks"}])
    crew.submit([{"id": "a", "queue": "gpu"}, {"id": "w", "kind": "approval"}], goal_id="open")
    for _ in range(2):
        store.goals.hasten(["g", "open"])
        for duty in crew.duties.all():
            begun = store.goals.clock_ms()
            store.fleet.record_ticks({duty.name: Tick(begun / 1e15, duty.seconds, duty.act(), 0.5)})
        crew.mail.invitations.extend([one for one in crew.mail.invitations if one.goal == "g"])
        while crew.mail.invitations and crew.mail.invitations[0].goal == "g":
            one = crew.mail.invitations.popleft()
            crew.runner.answer(one.goal, one.queue, one.node, one.sent_ms)
    store.upkeep.say(Beat("host:1", store.goals.clock_ms(), True, 1))
    store.upkeep.say(Beat("host:2", store.goals.clock_ms(), False, 1))
    crew.upkeep.meter.add("ticks_failed")
    crew.upkeep.meter.tick()
    return crew


def values(readings: list[Reading]) -> dict[tuple[str, ...], float]:
    return {(one.name, *one.labels): one.value for one in readings}


def test_every_reading_is_in_the_table_and_every_metric_of_the_table_is_read(
    busy: Crew, monkeypatch: pytest.MonkeyPatch
) -> None:
    from orchestrator.operate.check_broker import Depth

    monkeypatch.setattr(Operator, "queues", lambda *_: [Depth("default", 3, 1.5)])
    readings = metrics.read(busy.wired.operator)
    for reading in readings:
        assert reading.name in TABLE, f"{reading.name} is not in METRICS, and so not in docs/reference/metrics.md"
        assert len(reading.labels) == len(TABLE[reading.name].labels), reading
    assert {reading.name for reading in readings} == set(TABLE)
    page = (generate.REFERENCE / "metrics.md").read_text("utf-8")
    assert [name for name in TABLE if f"| `{name}` |" not in page] == []


def test_what_is_read_is_so(busy: Crew) -> None:
    found = values(metrics.read(busy.wired.operator))
    assert found["chordal_goals_begun_total",] == 2
    assert found["chordal_goals_ended_total", "failed"] == 1
    assert found["chordal_nodes_ended_total", "done"] == 2
    assert found["chordal_nodes_ended_total", "failed"] == 1
    assert found["chordal_goals_open",] == 1
    assert found["chordal_goals_stored",] == 2
    assert found["chordal_ready_nodes", "gpu"] == 1
    assert found["chordal_workers", "alive"] == 1
    assert found["chordal_worker_slots", "gpu"] == 2
    assert (found["chordal_beats", "ticks"], found["chordal_beats", "stands_by"]) == (1, 1)
    assert found["chordal_beat_tick_late_seconds", "reap"] >= 0.5
    assert found["chordal_beat_tick_interval_seconds", "reap"] == 1
    assert found["chordal_redis_used_bytes",] > 100_000
    assert found["chordal_unknown_keys",] == 0


def test_a_duty_that_stands_still_is_late(crew: Crew, monkeypatch: pytest.MonkeyPatch) -> None:
    store = crew.store
    store.fleet.record_ticks({"reap": Tick(0.0, 1.0, "")})
    real = store.fleet.clock_ms
    monkeypatch.setattr(store.fleet, "clock_ms", lambda: real() + 61_000)
    found = values(metrics.read(crew.wired.operator))
    assert 60 <= found["chordal_beat_tick_late_seconds", "reap"] < 90
    assert ("chordal_beat_tick_late_seconds", "sweep") not in found, "it has never ticked"


def test_prometheus_reads_what_is_printed(busy: Crew) -> None:
    printed = text(lambda: metrics.read(busy.wired.operator))
    families = {family.name: family for family in text_string_to_metric_families(printed)}
    assert families["chordal_goals_ended"].type == "counter"
    assert families["chordal_workers"].type == "gauge"
    samples = {(one.name, one.labels.get("duty")) for one in families["chordal_beat_tick_late_seconds"].samples}
    assert samples == {("chordal_beat_tick_late_seconds", duty.name) for duty in busy.duties.all()}


def test_it_is_served_anew_for_every_scrape_and_the_port_is_given_back(busy: Crew) -> None:
    with served(lambda: metrics.read(busy.wired.operator), 0) as port:

        def scrape() -> str:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10) as reply:
                return str(reply.read().decode())

        assert "chordal_goals_stored 2.0" in scrape()
        busy.submit(["a"], goal_id="third")
        assert "chordal_goals_stored 3.0" in scrape()
    with served(list, port):
        pass


def test_the_timeline_tells_what_follows_from_the_counts(busy: Crew, tmp_path: Path) -> None:
    busy.upkeep.meter.add("goals_done", 3)
    busy.upkeep.meter.tick()
    where = ["--redis-url", busy.store.url, "--data-dir", str(tmp_path)]
    (hour,) = json.loads(CliRunner().invoke(program, [*where, "metrics", "--timeline", "hours", "--json"]).stdout)
    assert (hour["goals_begun"], hour["goals_done"], hour["goals_failed"], hour["nodes_done"]) == (2, 3, 1, 2)
    assert (hour["success"], hour["goals_open"], hour["nodes_ready"]) == (0.75, 1, 2)
    assert 0 <= hour["mean_seconds"] < 60
    printed = CliRunner().invoke(program, [*where, "metrics", "--timeline", "minutes"])
    assert printed.exit_code == 0, printed.output
    assert "75.0%" in printed.stdout
    assert len(printed.stdout.splitlines()) in (2, 3), "a head, and the minute or two that this took"


def test_without_the_extra_it_is_said_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "prometheus_client", None)
    monkeypatch.delitem(sys.modules, "orchestrator.operate.exposition")
    with pytest.raises(ChordalError, match=r"pip install 'chordal\[metrics\]'"):
        import_module("orchestrator.operate.exposition")


def test_the_command_prints_text_and_json(busy: Crew, tmp_path: Path) -> None:
    where = ["--redis-url", busy.store.url, "--data-dir", str(tmp_path)]
    printed = CliRunner().invoke(program, [*where, "metrics"])
    assert printed.exit_code == 0, printed.output
    assert 'chordal_workers{state="alive"} 1.0' in printed.stdout
    listed = CliRunner().invoke(program, [*where, "metrics", "--json"])
    assert '"name": "chordal_workers", "labels": {"state": "alive"}, "value": 1' in listed.stdout
