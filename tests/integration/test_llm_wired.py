"""A node of a goal calls a model through the fleet's queue, with nothing but settings and environment."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from orchestrator.llm.messages import Message, Request, Speaker
from orchestrator.settings import Settings
from orchestrator.store.store import Store
from orchestrator.wiring import Chordal
from support.crew import Crew
from support.model_server import chat, model_server, says


def request(text: str) -> Request:
    return Request(
        model="default", messages=(Message(speaker=Speaker.USER, text=text),), max_output_tokens=50, owner="audit"
    )


def chordal(store: Store, folder: Path, **settings: Any) -> Chordal:
    app: Any = None
    return Chordal(Settings(data_dir=folder, **settings), app, store.url)


def test_a_node_calls_a_model(store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    crew = Crew(store, tmp_path)
    with model_server() as server:
        server.does(says(chat("It is risky.")))
        monkeypatch.setenv("OPENAI_BASE_URL", server.url)
        monkeypatch.delenv("OPENAI_API_KEY", raising=False)
        wired = chordal(store, tmp_path, llm_max_concurrency=3)
        try:
            crew.function(lambda module: wired.llm.complete(request(f"Is {module} risky?")).text, "review")
            crew.submit([{"id": "a", "call": "review", "inputs": {"module": "os"}}])
            crew.work()
            assert crew.payloads.unpack(store.goals.part("g", "outputs")["a"]) == "It is risky."
            seen = wired.limiter.status("openai")
            assert (seen.usage["concurrent"].limit, seen.usage["concurrent"].used) == (3, 0)
            assert seen.usage["requests"].used == 1
            dump = "".join(map(str, [store.client.xrange(f"dag:{{g}}:{part}") for part in ("events",)]))
            assert "Is os risky" not in dump, "prompts are in no event"
        finally:
            wired.llm.close()
            wired.limiter.close()


def test_the_settings_hold_where_the_file_says_nothing(store: Store, tmp_path: Path) -> None:
    path = tmp_path / "models.yaml"
    path.write_text(
        "accounts: {own: {base_url: 'http://127.0.0.1:9/v1', kind: self-hosted}}\nmodels: {tiny: {account: own}}\n"
    )
    wired = chordal(store, tmp_path, llm_file=path, llm_concurrency_wait_seconds=7.0)
    assert wired.llm_profiles.wait_seconds == 7.0
    assert wired.limiter.limits_of("own").concurrency == 6
    path.write_text(path.read_text() + "wait_seconds: 30\n")
    assert chordal(store, tmp_path, llm_file=path, llm_concurrency_wait_seconds=7.0).llm_profiles.wait_seconds == 30.0
