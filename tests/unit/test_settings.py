"""Settings that go by other names too."""

from __future__ import annotations

import pytest

from orchestrator.settings import Settings

PORKI = {"PORKI_LLM_MAX_CONCURRENCY": "3", "PORKI_LLM_CONCURRENCY_WAIT_SECONDS": "120"}


def test_porkis_names_are_read_and_ours_win(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in PORKI:
        monkeypatch.delenv(name.replace("PORKI_", "CHORDAL_"), raising=False)
    found = Settings()
    assert (found.llm_max_concurrency, found.llm_concurrency_wait_seconds) == (6, 900.0)
    for name, value in PORKI.items():
        monkeypatch.setenv(name, value)
    found = Settings()
    assert (found.llm_max_concurrency, found.llm_concurrency_wait_seconds) == (3, 120.0)
    monkeypatch.setenv("CHORDAL_LLM_MAX_CONCURRENCY", "9")
    monkeypatch.setenv("CHORDAL_LLM_CONCURRENCY_WAIT_SECONDS", "7")
    found = Settings()
    assert (found.llm_max_concurrency, found.llm_concurrency_wait_seconds) == (9, 7.0)
    assert Settings(llm_max_concurrency=2).llm_max_concurrency == 2
