"""The corpus of hostile answers: each goes through HTTP, the client and a real goal, and what it got is written down.

`tests/data/hostile/*.yaml` has the answers; `got.json` beside them what each got, which the tests compare and the page of
the docs shows. ``python -m support.hostile`` (in `tests/`) runs all of them and writes both anew.
"""

from __future__ import annotations

import json
import re
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from orchestrator.agents.plan.planner import planning_goal
from orchestrator.domain.agent import AgentCard
from orchestrator.domain.document import parse_yaml
from orchestrator.events.check import check_goal
from orchestrator.llm.openai_provider import OpenAIProvider
from orchestrator.store.keys import Keys
from orchestrator.store.store import Store
from support.calls import Calls
from support.crew import Crew
from support.hostile_tools import Deeds, tools
from support.house import ROOT
from support.model_server import USAGE, Behaviour, chat, says
from support.servers import server
from support.tool_model import Heard, Said, tool_model

FOLDER: Final = ROOT / "tests" / "data" / "hostile"
GOT: Final = FOLDER / "got.json"
PAGE: Final = ROOT / "docs" / "explanation" / "hostile-output.md"
FILES: Final = {"tools": "Tools", "arguments": "Arguments", "answers": "Answers", "plans": "Sub-goals and plans"}
SCHEMA: Final = {
    "type": "object", "properties": {"size": {"type": "integer"}}, "required": ["size"], "additionalProperties": False,
}  # fmt: skip
PASSWORD: Final = "hunter2"
"""In the output of a node that the agent does not get."""
HARMFUL: Final = re.compile("[\\x00-\\x08\\x0b-\\x1f\\x7f-\\x9f\\u202a-\\u202e\\u2066-\\u2069\\ud800-\\udfff]")
"""What a terminal must never get: control characters, text directions, half of a pair."""
INTRO: Final = """<!-- Made by tests/support/hostile.py from tests/data/hostile; `make docs` writes it again. -->

# What hostile answers get

Everything that a model or a tool says is hostile text. Each answer below goes over HTTP, through the client, the limiter and
a real goal, as the first answer of an agent that has a few tools; if it is asked again it answers decently. The tests do the same and compare:
what each got, that no function ran that the agent was not given, that the goal's history is sound, and that the command line shows
none of it as anything but text. *Given back* means that the model was told the fault and asked again; *refused* that the call was not
carried out and the model was told why; *asked again* that the answer was none and the attempt failed; *kept* that it is text, which is all that it will ever be."""


@dataclass(frozen=True, slots=True)
class Item:
    """One hostile answer."""

    file: str
    id: str
    spec: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Got:
    """What became of it."""

    verdict: str
    """refused, given back, asked again, failed, waits, carried out or kept."""
    text: str
    """What was said to the model, or why the node failed."""
    state: str
    """Of the goal in the end."""


def items() -> list[Item]:
    """The corpus."""
    return [
        Item(file, spec["id"], spec) for file in FILES for spec in parse_yaml((FOLDER / f"{file}.yaml").read_bytes())
    ]


def cards(item: Item) -> list[dict[str, Any]]:
    """The agent that is attacked, and its helper."""
    names = ["look", "count", "anything", "pay", "broken", "flood", "dirty", "agent:helper", "start_goal"]
    ada: dict[str, Any] = {
        "name": "ada", "instructions": "Help.", "tools": names, "limits": {"max_turns": 4, "max_output_tokens": 1000},
    }  # fmt: skip
    if item.spec.get("schema"):
        ada["output_schema"] = SCHEMA
    return [ada, {"name": "helper", "instructions": "Help ada."}]


def body_of(item: Item) -> Behaviour:
    """The hostile answer as it goes over the wire."""
    spec = item.spec
    if "body" in spec:
        return says(spec["body"].encode())
    text = _plan(spec["plan"]) if "plan" in spec else spec.get("text")
    if "raw_text" in spec:
        text = json.loads(spec["raw_text"])
    if "fill" in spec and text:
        text *= spec["fill"]
    made = [
        {"id": call.get("id", f"c{at}"), "type": "function",
         "function": {"name": call["name"], "arguments": _arguments(call["arguments"], spec)}}
        for at, call in enumerate(spec.get("calls", []) * spec.get("times", 1))
    ]  # fmt: skip
    more = {"tool_calls": made} if made else {}
    return says(chat(text, spec.get("finish") or ("tool_calls" if made else "stop"), USAGE, **more))


def _plan(plan: Mapping[str, Any]) -> str:
    """With every field that a plan must have."""
    whole = {
        "title": "", "kind": "agent", "agent": "", "required_role": "", "role_assignment": "soft", "fallback_roles": [],
        "task": "work", "priority": 0, "expected_artifacts": [], "depends_on": [],
    }  # fmt: skip
    return json.dumps({"goal_id": "", **plan, "nodes": [whole | node for node in plan["nodes"]]})


def _arguments(text: str, spec: Mapping[str, Any]) -> str:
    if "fill" in spec:
        return text + "x" * int(spec["fill"]) + '"}'
    if "digits" in spec:
        return text.replace("9", "9" * int(spec["digits"]))
    if "nest" in spec:
        return text + "[" * int(spec["nest"]) + "]" * int(spec["nest"]) + "}"
    return text


def run(store: Store, folder: Path, item: Item) -> tuple[Got, Calls, Deeds]:
    """The answer through a goal of its own, to the end. The store must be empty."""
    attacks: list[int] = []

    def answer(heard: Heard) -> Said:
        again = item.spec.get("stubborn") or (item.spec.get("forever") and heard.tools)
        if "ATTACK" in heard.text and (again or not attacks):
            attacks.append(heard.turn)
            return body_of(item)
        if "plan" in item.spec:
            return _plan({"nodes": [{"id": "a", "agent": "ada"}]})
        return '{"size": 7}' if item.spec.get("schema") else "all right"

    with tools() as deeds, tool_model(answer) as model:
        changes = {
            "accounts": {"first": {"base_url": model.url, "kind": "self-hosted"}},
            "models": {"a": {"account": "first", "context_tokens": 1_000_000}}, "chains": {"default": ["a"]},
        }  # fmt: skip
        provider: Any = OpenAIProvider({})
        one = Calls(Crew(store, folder), provider, **changes)
        try:
            _submit(one, item)
            one.work()
            return _got(one, item), one, deeds
        finally:
            provider.close()
            one.limiter.close()


def _submit(one: Calls, item: Item) -> None:
    agents = cards(item)
    if "plan" in item.spec:
        made = [AgentCard.model_validate(card) for card in agents]
        document = planning_goal(made, "ATTACK", goal_id="g", approve=False, apply=False, recovery=False)
        one.crew.submitter.submit(document)
        return
    one.crew.function(lambda: {"password": PASSWORD}, "work:hidden")
    hidden = {"id": "hidden", "call": "work:hidden"}
    node = {"id": "n", "kind": "agent", "agent": "ada", "inputs": {"task": "ATTACK"}}
    one.crew.submit([hidden, node], [("hidden", "n")], agents=agents)


def _got(one: Calls, item: Item) -> Got:
    node = "plan" if "plan" in item.spec else "n"
    states, state = one.crew.states(), one.crew.state()
    entries = one.crew.wired.agents.transcript("g", node)
    faults = [call["fault"] for entry in entries for call in entry.get("calls", ()) if call.get("fault")]
    told = [entry["text"] for entry in entries if entry["kind"] == "told"]
    results = [one_["text"] for entry in entries if entry["kind"] == "results" for one_ in entry["results"]]
    turns = sum(entry["kind"] == "answer" for entry in entries)
    ran = any(call["node"] for entry in entries for call in entry.get("calls", ()))
    if states[node] == "FAILED":
        return Got("failed", one.failure(node), state)
    if faults:
        return Got("refused", faults[-1], state)
    if told:
        return Got("given back", told[0], state)
    if item.spec.get("waits"):
        return Got("waits", "a person must approve the call", state)
    if ran:
        return Got("carried out", f"{len(results)} calls, {turns} turns; the result: {results[0]}", state)
    if why := _why(one):
        return Got("asked again", why, state)
    return Got("kept", entries[-1]["text"], state)


def _why(one: Calls) -> str:
    """Why the model was asked again by the client."""
    notes = [json.loads(event["data"] or "{}") for _, event in one.events() if event["type"] == "node.waiting"]
    return next((str(note["why"]) for note in notes if "why" in note), "")


def shown(text: str) -> str:
    """On one line, without what terminals obey, and not long."""
    text = re.sub(r"a cycle: [^(]+ \(", "a cycle: a -> b -> a (", text)  # it may begin anywhere
    line = HARMFUL.sub(lambda found: f"\\u{ord(found[0]):04x}", text.replace("\n", " "))
    return line if len(line) <= 220 else f"{line[:200]}... ({len(text):,} characters)"


def page() -> str:
    """docs/explanation/hostile-output.md."""
    got = json.loads(GOT.read_text("utf-8"))
    parts = [INTRO]
    for file, title in FILES.items():
        rows = [f"| {one.id} | {got[one.id]['verdict']} | {_cell(got[one.id]['text'])} | {got[one.id]['state']} |"
                for one in items() if one.file == file]  # fmt: skip
        parts.append(
            f"## {title}\n\n| answer | it is | because, or what came of it | goal |\n|---|---|---|---|\n"
            + "\n".join(rows)
        )
    return "\n\n".join(parts) + "\n"


def _cell(text: str) -> str:
    plain = text.replace("|", "\\|").replace("<", "&lt;").replace("`", "'").replace("[", "\\[")
    return plain or "-"


def sound(store: Store) -> list[str]:
    """What the checker finds."""
    return [str(one) for goal in store.goals.newest(0, 100) for one in check_goal(store, goal)]


def main() -> None:
    """Run everything; write what each got, and the page. With the argument `page`, the page only."""
    if sys.argv[1:] != ["page"]:
        found = {}
        with server() as redis:
            for item in items():
                store = Store(redis.url, Keys(), 2000)
                store.client.flushall()
                with tempfile.TemporaryDirectory() as folder:
                    got, _, _ = run(store, Path(folder), item)
                found[item.id] = {"verdict": got.verdict, "text": shown(got.text), "state": got.state}
                print(f"{item.id}: {got.verdict}, {shown(got.text)}, {got.state}", sound(store), flush=True)
                store.close()
        GOT.write_text(json.dumps(found, indent=1, ensure_ascii=False) + "\n", "utf-8")
    PAGE.write_text(page(), "utf-8")


if __name__ == "__main__":
    main()
