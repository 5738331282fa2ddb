"""The duty `llm`: a line whose processes are all gone is ticked by beat, and permits of the dead run out."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from orchestrator.llm.limiter import Limiter
from orchestrator.llm.limits import Limits
from orchestrator.settings import Settings
from orchestrator.store.store import Store
from orchestrator.wiring import connect
from support.desk import ACCOUNT, Desk


def test_permits_of_the_dead_run_out_where_nobody_ticks(store: Store, desk: Callable[..., Desk]) -> None:
    one = desk(concurrency=1)
    one.now = store.fleet.clock_ms() - 60_000  # it all was a minute ago, and nobody has come since
    one.ask("held", process="dead")
    one.begin("held")
    one.ask("waits", process="dead-too")
    limiter = Limiter(store, {ACCOUNT: Limits(concurrency=1)})
    assert store.client.zcard(store.keys.llm_part(ACCOUNT, "leases")) == 1
    assert limiter.tend([ACCOUNT, "never used"], 3.0) == [ACCOUNT]
    assert store.client.zcard(store.keys.llm_part(ACCOUNT, "leases")) == 0


def test_a_line_that_is_tended_or_idle_is_left_alone(store: Store, desk: Callable[..., Desk]) -> None:
    one = desk(concurrency=1)
    one.now = store.fleet.clock_ms()
    one.ask("held")
    one.begin("held")
    one.ask("waits")
    limiter = Limiter(store, {ACCOUNT: Limits(concurrency=1)})
    assert limiter.tend([ACCOUNT], 3.0) == []
    one.cancel("waits")
    one.end("held")
    assert limiter.tend([ACCOUNT], 0.0) == []


def test_beat_tends_the_accounts_of_its_profiles_and_does_without_any(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("OPENAI_API_KEY", "OPENAI_BASE_URL"):
        monkeypatch.delenv(name, raising=False)
    without = connect(Settings(redis_url=store.url, data_dir=tmp_path))
    assert without.models.tend() == "no models here"
    profiles = tmp_path / "llm.yaml"
    profiles.write_text("accounts: {acme: {kind: scripted, script: s.yaml}}\nmodels: {m: {account: acme}}\n")
    with_profiles = connect(Settings(redis_url=store.url, data_dir=tmp_path, llm_file=profiles))
    assert with_profiles.models.tend() == "0 accounts untended"
    store.client.hset(store.keys.llm(ACCOUNT), "alarm", 1000)
    assert with_profiles.models.tend() == "1 accounts untended, acme"
