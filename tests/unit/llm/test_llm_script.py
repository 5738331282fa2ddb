"""Scripted accounts: which step answers which call, scripts with faults, and that no package of a provider is needed."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from orchestrator.llm.calls import Answer, Call
from orchestrator.llm.failures import Failure, FailureKind, InvalidProfiles
from orchestrator.llm.messages import Message, Request, Speaker, Tool, Usage
from orchestrator.llm.prices import micro_usd
from orchestrator.llm.profile_file import load_profiles, read_profiles
from orchestrator.llm.profiles import Account, Profiles
from orchestrator.llm.providers import Providers
from orchestrator.llm.script import MOST_BYTES, Step, read_script
from orchestrator.llm.scripted import Scripted

ACCOUNT = Account.model_validate({"kind": "scripted", "script": "x"})
PROFILES = """
accounts:
  stand-in: {kind: scripted, script: answers/steps.yaml}
models:
  any: {account: stand-in}
"""


def call(*said: tuple[str, str], role: str = "", model: str = "any", tools: tuple[str, ...] = (), **more: Any) -> Call:
    """A call whose messages were said by these speakers."""
    messages = [
        Message(speaker=Speaker(who), text=text, tool_call_id="c" if who == "tool" else None)
        for who, text in said or (("user", "hello"),)
    ]
    asked = Request(model=model, messages=messages, role=role, tools=[Tool(name=name) for name in tools])  # type: ignore[arg-type]
    return Call(asked, model, model, "stand-in", ACCOUNT, 100, more.pop("until", time.monotonic() + 60), **more)


def texts(script: Scripted, *calls: Call) -> list[str]:
    """What each call is answered."""
    found = [script.send(one) for one in calls]
    return [one.text if isinstance(one, Answer) else one.code for one in found]


def steps(tmp_path: Path, text: str, name: str = "steps.yaml") -> Path:
    path = tmp_path / name
    path.parent.mkdir(exist_ok=True, parents=True)
    path.write_text(text)
    return path


def test_a_script_is_read_and_its_steps_are_for_some_calls(tmp_path: Path) -> None:
    path = steps(
        tmp_path,
        """
- {role: writer, turn: 2, times: null, text: second}
- {role: writer, last_contains: lamp, times: null, text: of lamps}
- {has_tool: search, times: null, tool_calls: [{name: search, arguments: {q: "ä"}}]}
- {contains: secret, text: once}
- {model: other, text: by model}
- {value: {nodes: []}, times: 2}
""",
    )
    script = Scripted(read_script(path))
    said = [("user", "go"), ("assistant", "lamp"), ("user", "on")]
    assert texts(script, call(*said, role="writer"), call(("user", "a lamp"), role="writer")) == ["second", "of lamps"]
    assert texts(script, call(("user", "lamp"), ("user", "x"), role="writer")) == ['{"nodes": []}'], "not the last one"
    assert texts(script, call(("user", "a secret"), ("user", "b"))) == ["once"]
    assert texts(script, call(("user", "a secret"))) == ['{"nodes": []}'], "it was used up"
    assert texts(script, call(model="other"), call()) == ["by model", "no_script"]


def test_results_of_tools_at_the_end_count_together() -> None:
    script = Scripted([Step(last_contains="first", text="seen", times=None)])
    said = [("user", "first"), ("assistant", "x"), ("tool", "the first"), ("tool", "the second")]
    assert texts(script, call(*said)) == ["seen"]
    assert texts(script, call(("user", "first"), ("assistant", "x"), ("tool", "only"))) == ["no_script"]


def test_tools_are_called_with_ids_and_json_text(tmp_path: Path) -> None:
    text = '- tool_calls: [{name: a, arguments: {n: [1, null]}}, {name: b, id: mine, arguments: "{bad"}, {name: c}]'
    answer = Scripted(read_script(steps(tmp_path, text))).send(call(("user", "x"), ("assistant", "y")))
    assert isinstance(answer, Answer)
    assert answer.finish_reason == "tool_calls"
    assert [(one.id, one.name, one.arguments) for one in answer.tool_calls] == [
        ("call_2_0", "a", '{"n": [1, null]}'),
        ("mine", "b", "{bad"),
        ("call_2_2", "c", "{}"),
    ]
    assert answer.usage is not None
    assert answer.usage.output_tokens > 0, "arguments are output"


def test_a_json_script_and_failures(tmp_path: Path) -> None:
    text = '[{"failure": {"kind": "rate_limit", "status": 429, "retry_after_seconds": 2.5}}, {"text": "x", "delay_seconds": 0}]'
    script = Scripted(read_script(steps(tmp_path, text, "steps.json")))
    assert script.send(call()) == Failure(FailureKind.RATE_LIMIT, status=429, retry_after_seconds=2.5)
    assert texts(script, call()) == ["x"]


@pytest.mark.parametrize(
    ("text", "places"),
    [
        ("{}", ["document: a script is a list of steps"]),
        ("[", ["line 1"]),
        (
            "- {txt: x}\n- {times: 0}\n- 7",
            ["[0].txt: there is no such field (known fields: model", "[1].times", "[2]: "],
        ),
        ("- {tool_calls: [{arguments: {}}]}", ["[0].tool_calls[0].name: it is missing"]),
        ("- {text: a, value: 1}", ["[0]: either text or value"]),
        ("- {failure: {kind: tired}}", ["[0].failure.kind"]),
        ("- {text: a, text: b}", ["twice"]),
    ],
)
def test_every_fault_of_a_script_is_told_with_its_file_and_place(tmp_path: Path, text: str, places: list[str]) -> None:
    path = steps(tmp_path, text)
    with pytest.raises(InvalidProfiles) as caught:
        read_script(path)
    found = [str(fault) for fault in caught.value.faults]
    assert len(found) == len(places)
    for fault, place in zip(found, places, strict=True):
        assert fault.startswith(f"{path}: ")
        assert place in fault


def test_a_script_that_is_not_there_or_too_large_says_so(tmp_path: Path) -> None:
    with pytest.raises(InvalidProfiles, match=r"gone\.yaml: file: it cannot be read: No such file"):
        read_script(tmp_path / "gone.yaml")
    large = steps(tmp_path, "#" * (MOST_BYTES + 1))
    with pytest.raises(InvalidProfiles, match="more than 4,194,304 bytes"):
        read_script(large)


def test_a_delay_ends_with_the_calls_time_and_with_the_call() -> None:
    script = Scripted([Step(text="late", delay_seconds=30.0, times=None)])
    assert script.send(call(until=time.monotonic() + 0.05)) == Failure(FailureKind.TIMEOUT)
    begun = time.monotonic()
    assert script.send(call(cancelled=lambda: time.monotonic() - begun > 0.1)) == Failure(FailureKind.CANCELLED)
    assert time.monotonic() - begun < 5
    assert texts(Scripted([Step(text="soon", delay_seconds=0.01)]), call()) == ["soon"]


def test_a_scripted_account_stands_beside_its_file_and_is_free(tmp_path: Path) -> None:
    steps(tmp_path, "- {text: here}", "answers/steps.yaml")
    path = tmp_path / "models.yaml"
    path.write_text(PROFILES)
    known = load_profiles(path, {})
    account = known.accounts["stand-in"]
    assert account.script == str(tmp_path / "answers/steps.yaml")
    assert micro_usd(Usage(input_tokens=9), "any", known.models["any"], account) == 0
    one = Providers(known, {})
    answer = one.send(call())
    assert isinstance(answer, Answer)
    assert answer.text == "here"
    one.close()


@pytest.mark.parametrize(
    ("account", "place", "message"),
    [
        ({"kind": "scripted"}, "accounts.x.script", "it is missing"),
        ({"kind": "scripted", "script": "a", "base_url": "http://h/v1"}, "accounts.x.base_url", "calls nobody"),
        ({"script": "a", "base_url": "http://h/v1"}, "accounts.x.script", "only accounts of the kind 'scripted'"),
        ({}, "accounts.x.base_url", "it is missing"),
        ({"base_url": ""}, "accounts.x.base_url", "it is missing"),
    ],
)
def test_an_account_has_an_address_or_a_script(account: dict[str, str], place: str, message: str) -> None:
    with pytest.raises(InvalidProfiles) as caught:
        read_profiles({"accounts": {"x": account}, "models": {"m": {"account": "x"}}})
    (fault,) = caught.value.faults
    assert fault.place == place
    assert message in fault.message


def profiles_of(*scripts: Path) -> Profiles:
    accounts = {f"a{at}": {"kind": "scripted", "script": str(path)} for at, path in enumerate(scripts)}
    return read_profiles({"accounts": accounts, "models": {"m": {"account": "a0"}}})


def test_faults_of_all_scripts_are_told_at_once(tmp_path: Path) -> None:
    with pytest.raises(InvalidProfiles) as caught:
        Providers(profiles_of(steps(tmp_path, "- {txt: x}"), tmp_path / "gone.yaml"), {})
    assert [fault.place.partition(":")[0] for fault in caught.value.faults] == [
        "accounts.a0.script",
        "accounts.a1.script",
    ]


def test_no_package_of_a_provider_is_needed(tmp_path: Path) -> None:
    path = steps(tmp_path, "- {text: here}")
    program = (
        "import sys\n"
        "sys.modules['openai'] = sys.modules['httpx2'] = sys.modules['httpcore2'] = None\n"
        "from orchestrator.llm.profile_file import read_profiles\n"
        "from orchestrator.llm.providers import Providers\n"
        f"accounts = {{'a': {{'kind': 'scripted', 'script': {str(path)!r}}}}}\n"
        "Providers(read_profiles({'accounts': accounts, 'models': {'m': {'account': 'a'}}}), {})\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
