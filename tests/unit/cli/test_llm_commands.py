"""`llm`: help, arguments that make no sense, and estimates; nothing here needs a Redis."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click
import pytest
from click.shell_completion import ShellComplete

from orchestrator.cli.llm import SECTIONS
from orchestrator.cli.main import chordal as group
from support.door import Run

PROFILES = """
accounts:
  acme: {base_url: "https://api.openai.com/v1", api_key_env: NOT_SET_HERE, limits: {requests_per_minute: 2}}
  local: {kind: self-hosted, base_url: "http://127.0.0.1:8080/v1"}
models:
  small: {account: acme, name: gpt-5-mini, price: {input: 1.0, output: 10.0}, context_tokens: 10000}
  tiny: {account: local}
chains: {default: [small, tiny]}
"""
NAMES = [name for section in SECTIONS.values() for name in section]


@pytest.fixture(autouse=True)
def profiles(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two accounts; the key of one is not set, as on an operator's machine."""
    file = tmp_path / "profiles.yaml"
    file.write_text(PROFILES)
    monkeypatch.setenv("CHORDAL_LLM_FILE", str(file))


@pytest.mark.parametrize("name", NAMES)
def test_every_command_has_help_for_itself_and_its_options(chordal: Run, name: str) -> None:
    result = chordal("llm", name, "--help")
    assert result.exit_code == 0
    assert "--json" in result.stdout
    assert "--redis-url" in result.stdout
    llm = group.get_command(click.Context(group), "llm")
    assert isinstance(llm, click.Group)
    command = llm.get_command(click.Context(llm), name)
    assert command is not None
    assert command.name == name
    assert all(param.help for param in command.params if isinstance(param, click.Option))


def test_completion_offers_commands_and_accounts() -> None:
    complete = ShellComplete(group, {}, "chordal", "_CHORDAL_COMPLETE").get_completions
    assert [item.value for item in complete(["llm"], "")] == NAMES
    assert [item.value for item in complete(["llm", "drain"], "a")] == ["acme"]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("set-limit", "acme"), "say what to change: --requests"),
        (("set-limit", "acme", "--requests", "0"), "'--requests': 0 is not in the range x>=1"),
        (("set-limit", "acme", "--requests", "many"), "'many' is not a valid integer"),
        (("set-limit", "acme", "--lift", "windows"), "'windows' is not one of 'requests', 'input-tokens'"),
        (("set-limit", "acme", "--tokens", "5", "--lift", "tokens"), "--tokens and --lift tokens contradict"),
        (("set-limit", "acme", "--budget-tokens", "5"), "Give --owner NAME or --goal GOAL"),
        (("set-limit", "acme", "--owner", "a"), "--budget-tokens N, --budget-usd USD, or --no-budget"),
        (("set-limit", "acme", "--owner", ""), "Invalid value for --owner"),
        (("set-limit", "acme", "--owner", "a\x01b", "--no-budget"), "printable"),
        (("set-limit", "acme", "--owner", "a", "--goal", "g", "--budget-usd", "1"), "of an owner or of a goal"),
        (("set-limit", "acme", "--owner", "a", "--budget-usd", "1", "--no-budget"), "--no-budget stands alone"),
        (("set-limit", "acme", "--owner", "a", "--budget-usd", "-1"), "'--budget-usd'"),
        (("set-limit", "acme", "--owner", "a", "--budget-usd", "nan"), "'--budget-usd'"),
        (("drain",), "Missing argument 'ACCOUNT'"),
        (("watch", "--interval", "0"), "'--interval'"),
        (("watch", "--interval", "nan"), "'--interval'"),
        (("watch", "--count", "0"), "'--count'"),
        (("estimate",), "a goal's FILE, or --model NAME and --prompt TEXT"),
        (("estimate", "--model", "small"), "a goal's FILE, or --model NAME and --prompt TEXT"),
        (("estimate", "goal.json", "--model", "small"), "not both"),
        (
            ("estimate", "--model", "big", "--prompt", "x"),
            "there is no model or chain 'big'; known: small, tiny, default",
        ),
        (("estimate", "gone.json"), "there is no file or folder 'gone.json'"),
    ],
)
def test_wrong_arguments_are_told_with_a_remedy(chordal: Run, words: tuple[str, ...], said: str) -> None:
    result = chordal("llm", *words)
    assert result.exit_code == 2, result.output
    assert said in result.stderr
    told = json.loads(chordal("llm", *words, "--json").stdout)
    assert said in told["error"]["message"]


@pytest.mark.parametrize(
    "words", [("status",), ("watch",), ("drain", "acme"), ("set-limit", "acme", "--requests", "3")]
)
def test_without_a_redis_the_exit_code_says_so(chordal: Run, tmp_path: Path, words: tuple[str, ...]) -> None:
    url = f"unix://{tmp_path / 'nobody'}"
    result = chordal("--redis-url", url, "llm", *words)
    assert result.exit_code == 4, result.output
    assert f"no Redis answers at {url}" in result.stderr


def test_faults_of_the_profiles_are_told_one_by_one(
    chordal: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "bad.yaml").write_text("accounts: {a: {base_url: 5}}\nmodels: {m: {account: b}}\n")
    monkeypatch.setenv("CHORDAL_LLM_FILE", str(tmp_path / "bad.yaml"))
    result = chordal("llm", "status", "--json")
    assert result.exit_code == 2
    places = [fault["place"] for fault in json.loads(result.stdout)["error"]["faults"]]
    assert places == ["accounts.a.base_url", "models.m.account"]


# -- estimates ------------------------------------------------------------------------------------------------------------


def node(name: str, **inputs: Any) -> dict[str, Any]:
    return {"id": name, "kind": "llm", "inputs": inputs}


def estimate(chordal: Run, *nodes: dict[str, Any], edges: list[dict[str, str]] | None = None) -> dict[str, Any]:
    result = chordal("llm", "estimate", "-", "--json", text=json.dumps({"nodes": nodes, "edges": edges or []}))
    assert result.exit_code == 0, result.output
    found: dict[str, Any] = json.loads(result.stdout)
    return found


def test_one_prompt_is_estimated(chordal: Run) -> None:
    result = chordal("llm", "estimate", "--model", "small", "--prompt", "Hello", "--max-output-tokens", "400", "--json")
    line = json.loads(result.stdout)["nodes"][0]
    assert line == {
        "node": "", "model": "small", "account": "acme", "input_tokens": 8, "output_tokens": 400, "micro_usd": 4008,
        "remark": "",
    }  # fmt: skip


def test_a_goal_is_estimated_node_by_node_and_by_account(chordal: Run) -> None:
    calls = [node(name, prompt="Hello", max_output_tokens=100) for name in "abc"]
    free = node("d", model="tiny", prompt="Hello", system="Be brief.", max_output_tokens=50)
    found = estimate(chordal, *calls, free)
    assert [line["micro_usd"] for line in found["nodes"]] == [1008, 1008, 1008, 0]
    assert found["total"] == {
        "calls": 4, "not_counted": 0, "input_tokens": 24 + found["nodes"][3]["input_tokens"], "output_tokens": 350,
        "micro_usd": 3024, "without_price": 0, "shortest_seconds": 60.0,
    }  # fmt: skip
    assert [(one["account"], one["calls"]) for one in found["accounts"]] == [("acme", 3), ("local", 1)]


def test_a_model_with_limits_of_its_own_is_a_line_beside_its_account(
    chordal: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "limited.yaml"
    file.write_text(
        PROFILES.replace("tiny: {account: local}", "tiny: {account: acme, limits: {requests_per_minute: 1}}")
    )
    monkeypatch.setenv("CHORDAL_LLM_FILE", str(file))
    calls = [node(name, model="tiny", prompt="Hello", max_output_tokens=1) for name in "ab"]
    found = estimate(chordal, *calls, node("c", model="small", prompt="Hello", max_output_tokens=1))
    lines = {one["account"]: (one["calls"], one["shortest_seconds"]) for one in found["accounts"]}
    assert lines == {"acme": (3, 60.0), "acme/tiny": (2, 60.0)}


def test_a_prompt_that_waits_for_another_node_is_not_counted_and_said_so(chordal: Run) -> None:
    later = node("b", prompt={"from": "a", "path": "text"})
    found = estimate(
        chordal, node("a", prompt="Hello", max_output_tokens=9), later, edges=[{"source": "a", "target": "b"}]
    )
    assert found["nodes"][1]["input_tokens"] is None
    assert found["nodes"][1]["remark"] == "not counted: it waits for the output of a"
    assert found["total"]["not_counted"] == 1
    assert found["total"]["calls"] == 2


def test_what_cannot_be_called_is_told_beside_what_can(chordal: Run) -> None:
    long = node("long", model="small", prompt="word " * 9990, max_output_tokens=100)
    found = estimate(chordal, node("lost", model="none", prompt="x"), long, node("ok", prompt="x"))
    remarks = [line["remark"] for line in found["nodes"]]
    assert remarks[0].startswith("cannot be called: there is no model or chain 'none'")
    assert "do not fit into" in remarks[1]
    assert remarks[2] == "no max_output_tokens: reserved as nothing was learnt yet"


def test_calls_of_sub_goals_count_too(chordal: Run) -> None:
    inner = {"nodes": [node("x", prompt="Hello", max_output_tokens=10)]}
    found = estimate(chordal, {"id": "g", "kind": "goal", "goal": inner}, {"id": "plain"})
    assert [line["node"] for line in found["nodes"]] == ["g/x"]


def test_the_table_names_what_is_left_out(chordal: Run) -> None:
    goal = {
        "nodes": [node("a", prompt="\x1b[2J", max_output_tokens=5), node("b", prompt={"from": "a", "path": "text"})],
        "edges": [{"source": "a", "target": "b"}],
    }
    result = chordal("llm", "estimate", "-", text=json.dumps(goal))
    assert result.exit_code == 0
    assert "(1 not counted)" in result.stdout
    assert "\x1b" not in result.stdout
    empty = chordal("llm", "estimate", "-", text='{"nodes": [{"id": "a"}]}')
    assert (empty.exit_code, empty.stdout) == (0, "")
    assert "no node calls a model" in empty.stderr
