"""The model that the stack serves: really called, through the queue, without a key, a network or a setting."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from pydantic import BaseModel

from acceptance.stack_driver import until
from orchestrator.cli.main import chordal
from orchestrator.embedded import local_model
from orchestrator.embedded.local_model import answers, variables_of, with_local_model
from orchestrator.embedded.records import ProcessInfo, Role, running
from orchestrator.embedded.stack import Stack
from orchestrator.llm.messages import Chunk, Message, Request, Speaker
from orchestrator.settings import Settings
from orchestrator.wiring import Chordal, connect

NO_OTHER_MODEL = ("CHORDAL_LLM_FILE", "OPENAI_API_KEY", "OPENAI_BASE_URL", "CHORDAL_REDIS_URL", "REDIS_URL")


class Sky(BaseModel):
    """What the model is asked for."""

    colour: str


def request(text: str, **more: Any) -> Request:
    message = Message(speaker=Speaker.USER, text=text)
    return Request(model="default", messages=(message,), owner="audit", **{"max_output_tokens": 40, **more})


def model_process(stack: Stack) -> ProcessInfo:
    return next(one for one in stack.processes() if one.role is Role.MODEL)


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """A stack of Redis and the model alone."""
    folder = tmp_path_factory.mktemp("local-model")
    with Stack(Settings(data_dir=folder, redis_url=None), parts=lambda _: (), local_model=True, quiet=True) as made:
        yield made


@pytest.fixture
def client(stack: Stack, monkeypatch: pytest.MonkeyPatch) -> Iterator[Chordal]:
    """A program beside the stack, whose environment says nothing of models."""
    for name in NO_OTHER_MODEL:
        monkeypatch.delenv(name, raising=False)
    made = connect(Settings(data_dir=stack.layout.root))
    yield made
    made.llm.close()
    made.limiter.close()


def test_a_call_is_answered_and_counted(client: Chordal) -> None:
    before = client.limiter.status("local").usage["tokens"].used
    reply = client.llm.complete(request("What colour is the sky? Answer in one sentence."))
    assert reply.text.strip()
    assert (reply.account, reply.model, reply.source, reply.micro_usd) == ("local", "smollm2-135m", "provider", 0)
    assert reply.usage.input_tokens > 5
    assert 0 < reply.usage.output_tokens <= 40
    assert not reply.usage.estimated
    seen = client.limiter.status("local").usage
    assert seen["tokens"].used - before == reply.usage.input_tokens + reply.usage.output_tokens
    assert seen["concurrent"].limit == local_model.SLOTS


def test_an_answer_comes_in_pieces(client: Chordal) -> None:
    pieces: list[Chunk] = []
    reply = client.llm.complete(request("Count from one to ten."), receive=pieces.append)
    assert len(pieces) > 3
    assert "".join(piece.text for piece in pieces) == reply.text


def test_an_answer_has_the_form_that_was_asked_for(client: Chordal) -> None:
    reply = client.llm.complete(request("What colour is the sky?", temperature=0.0), answer=Sky)
    assert isinstance(reply.parsed, Sky)
    assert reply.parsed.colour


def test_a_model_that_dies_is_started_again_at_its_address_and_calls_go_on(stack: Stack, client: Chordal) -> None:
    assert stack.model is not None
    died = model_process(stack)
    os.kill(died.pid or 0, signal.SIGKILL)
    reply = client.llm.complete(request("What colour is grass? Answer in one sentence."))
    assert reply.text.strip()
    until(lambda: model_process(stack).restarts == died.restarts + 1)
    until(lambda: answers(stack.model.url) if stack.model else False)
    assert model_process(stack).pid != died.pid


def test_programs_beside_the_stack_learn_of_it(stack: Stack, tmp_path: Path) -> None:
    found = running(stack.layout.root)
    assert found is not None
    assert found.model is not None
    assert found.model == stack.model
    learnt = with_local_model({"HOME": "h"}, stack.layout.root, stack.redis_url)
    assert learnt == {"HOME": "h", **variables_of(found.model)}
    assert with_local_model({}, stack.layout.root, "redis://elsewhere") == {}
    assert with_local_model({}, tmp_path, stack.redis_url) == {}


def test_ps_lists_it(stack: Stack) -> None:
    listed = CliRunner().invoke(chordal, ["ps", "--data-dir", str(stack.layout.root)])
    assert listed.exit_code == 0
    assert [line.split()[0] for line in listed.output.splitlines()[1:]] == ["supervisor", "redis", "model"]


def test_a_run_brings_its_own_model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in NO_OTHER_MODEL:
        monkeypatch.delenv(name, raising=False)
    goal = {
        "nodes": [
            {"id": "ask", "kind": "llm", "inputs": {"prompt": "What colour is the sky?", "max_output_tokens": 20}},
            {
                "id": "again",
                "kind": "llm",
                "inputs": {"prompt": {"from": "ask", "path": "text"}, "max_output_tokens": 20},
            },
        ],
        "edges": [{"source": "ask", "target": "again"}],
    }
    (tmp_path / "goal.json").write_text(json.dumps(goal))
    words = ["run", str(tmp_path / "goal.json"), "--local-model", "--workers", "1", "--concurrency", "1"]
    command = [str(Path(sys.executable).with_name("chordal")), *words, "--data-dir", str(tmp_path / "data"), "--json"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=90, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    said = json.loads(done.stdout.splitlines()[-1])
    assert said["state"] == "DONE"
    outputs = [said["nodes"][name]["output"] for name in ("ask", "again")]
    assert all(output["account"] == "local" and output["text"] for output in outputs)


def test_without_the_extra_it_says_which_one_is_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(local_model, "find_spec", lambda name: None if name == "xllamacpp" else find_spec(name))
    told = CliRunner().invoke(chordal, ["up", "--local-model", "--data-dir", str(tmp_path / "data")])
    assert told.exit_code != 0
    assert "the local model needs xllamacpp; install the extra with: pip install 'chordal[local]'" in told.output
    assert running(tmp_path / "data") is None
