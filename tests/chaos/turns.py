"""kill -9 at each point of a turn: goals of agents with tools, one kill each, and what is asked of every one of them.

A kill repeats at most one call of the model and one run of a tool; the transcripts have no gap and no double; the goal ends
DONE, and the checker finds nothing in its history.
"""

from __future__ import annotations

import json
import os
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any, Final

from chaos import kill_turn
from chaos.members import Member
from orchestrator.events.check import check_goal
from orchestrator.settings import Settings
from orchestrator.wiring import Chordal, connect
from support.house import ROOT
from support.servers import server, until
from support.tool_model import Heard, Said, ToolModel, calls, tool_model

LEASE_SECONDS: Final = 1.5
GOAL_SECONDS: Final = 60.0
AGENTS: Final = 3


@dataclass(frozen=True, slots=True)
class Point:
    """Where the process dies."""

    name: str
    member: str
    """`agents`: the worker of agents and tools; `caller`: the one that calls the model."""
    moment: str
    nodes: str
    """A pattern; `%` stands for the agent that the seed chooses."""
    victim: str = "child"


POINTS: Final = (
    Point("before the claim of an agent", "agents", "before claiming", "%|"),
    Point("after the claim of an agent", "agents", "after claim", "%"),
    Point("before it is parked in the line", "agents", "before commit", "%"),
    Point("after it was parked in the line", "agents", "after commit", "%"),
    Point("before the call is begun", "caller", "before begin", "%"),
    Point("after the call was begun", "caller", "after begin", "%"),
    Point("before the permit is taken up", "caller", "before permit", "%"),
    Point("after the permit was taken up", "caller", "after permit", "%"),
    Point("before the request is sent", "caller", "before send", "call"),
    Point("after the answer came", "caller", "after send", "call"),
    Point("before the commit of a turn", "caller", "before commit", "%"),
    Point("after the commit of a turn", "caller", "after commit", "%"),
    Point("after the claim of a tool", "agents", "after claim", r"%\.t1\.\d"),
    Point("in a tool", "agents", "in the tool", "%-1-0"),
    Point("before the commit of a tool", "agents", "before commit", r"%\.t1\.\d"),
    Point("after the commit of a tool", "agents", "after commit", r"%\.t1\.\d"),
    Point("in the last tool of a turn", "agents", "in the tool", "%-2-0"),
    Point("after the claim that gathers the results", "agents", "after claim", "%", "main"),
    Point("before the commit of a tool, the whole worker", "agents", "before commit", r"%\.t2\.\d", "main"),
    Point("in a tool, the whole worker", "agents", "in the tool", "%-1-1", "main"),
)


@dataclass(frozen=True, slots=True)
class Verdict:
    """What became of one seed."""

    seed: int
    point: str
    struck: bool
    repeated_calls: int
    repeated_tools: int
    seconds: float
    faults: Sequence[str]


def answer(heard: Heard) -> Said:
    """Two tools at once, then one, then the end."""
    name = heard.who.rpartition("/")[2]
    wanted = {1: 2, 2: 1}.get(heard.turn, 0)
    if not wanted:
        return f"{name} saw {len(heard.results)} results"
    return calls(*(("look", {"word": f"{name}-{heard.turn}-{at}", "seconds": 0.02}) for at in range(wanted)))


class World:
    """Workers and beat that are started again when they die, a server and a model."""

    def __init__(self, folder: Path, url: str, model: ToolModel) -> None:
        self.folder, self.model = folder, model
        (folder / "orders").mkdir()
        profiles = model.profiles(lease_seconds=2.0, limits={"concurrency": 16})
        (folder / "llm.json").write_text(json.dumps(profiles))
        self.members = [self._member(url, name) for name in ("agents", "caller", "beat")]
        for member in self.members:
            member.start()
        self.chordal: Chordal = connect(Settings(redis_url=url, data_dir=folder / "data", llm_file=folder / "llm.json"))
        self.wait(lambda: all(one.ready for one in self.members) and self.chordal.live_workers() == 2, 60, "workers")

    def _member(self, url: str, name: str) -> Member:
        clean = {key: text for key, text in os.environ.items() if not key.startswith(("CHORDAL_", "REDIS_URL"))}
        environment = {
            **clean, "CHORDAL_REDIS_URL": url, "CHORDAL_DATA_DIR": str(self.folder / "data"),
            "CHORDAL_LEASE_SECONDS": str(LEASE_SECONDS), "CHORDAL_LLM_FILE": str(self.folder / "llm.json"),
            "CHORDAL_IMPORTS": "chaos.kill_turn", "PYTHONPATH": str(ROOT / "tests"), "PYTHONUNBUFFERED": "1",
            "KILL_TURN_FOLDER": str(self.folder), "CHORDAL_RECORD_DIGESTS": "1",
        }  # fmt: skip
        if name == "beat":
            return Member(name, "beat", self.folder, environment)
        environment |= {"KILL_TURN_ORDERS": str(self.folder / "orders"), "KILL_TURN_MEMBER": name}
        # One call a process: a kill can repeat no more than that.
        pool = ("-c", "2", "-P", "prefork") if name == "agents" else ("-Q", "llm", "-c", "4", "-P", "prefork")
        return Member(name, "worker", self.folder, environment, pool=pool)

    def wait(self, condition: Callable[[], Any], seconds: float, what: str) -> None:
        """Until the condition holds; who dies meanwhile is started again."""

        def look() -> Any:
            for member in self.members:
                member.watch()
            return condition()

        until(look, seconds, what)

    def stop(self) -> None:
        """End everything."""
        for member in self.members:
            member.stop()
        self.chordal.store.close()


@contextmanager
def world() -> Iterator[World]:
    """For as long as the block lasts."""
    with (
        tempfile.TemporaryDirectory(prefix="chordal-turns-") as folder,
        server() as redis,
        tool_model(answer, 0.05) as model,
    ):
        one = World(Path(folder), redis.url, model)
        try:
            yield one
        finally:
            one.stop()


def goal_of(seed: int) -> dict[str, Any]:
    """Agents beside each other, and one that waits for the others."""
    name = f"kill-{seed}"
    card = {"name": "looker", "instructions": "Look.", "tools": ["look"], "limits": {"max_output_tokens": 64}}
    nodes = [
        {"id": f"a{at}", "kind": "agent", "agent": "looker", "inputs": {"task": f"who:{name}/a{at} Look it up."}}
        for at in range(AGENTS)
    ]
    edges = [{"source": f"a{at}", "target": f"a{AGENTS - 1}"} for at in range(AGENTS - 1)]
    return {"goal_id": name, "nodes": nodes, "edges": edges, "agents": [card]}


def play(one: World, seed: int) -> Verdict:
    """One goal, one kill at the seed's point."""
    chance = Random(f"turn:{seed}")
    point = POINTS[seed % len(POINTS)]
    agent = f"a{chance.randrange(AGENTS)}"
    orders = one.folder / "orders"
    for left in orders.iterdir():
        left.unlink()
    order = kill_turn.place_order(orders, point.member, point.moment, point.nodes.replace("%", agent), point.victim)
    begun, goal = time.monotonic(), goal_of(seed)["goal_id"]
    one.chordal.submit(goal_of(seed))
    one.wait(lambda: one.chordal.summary(goal).terminal, GOAL_SECONDS, f"seed {seed}, {point.name}: the goal's end")
    seconds = time.monotonic() - begun
    struck = kill_turn.struck(order)
    one.wait(lambda: all(member.ready for member in one.members), 60, "everybody is back")
    repeated = {key: more for key, more in one.model.repeated().items() if key[0].startswith(f"{goal}/")}
    ran = Counter((one.folder / "ran").read_text().split())
    (one.folder / "ran").unlink()
    tools = sum(count - 1 for count in ran.values())
    faults = [*_of_goal(one.chordal, goal), *_of_counts(ran, sum(repeated.values()), tools, struck)]
    return Verdict(seed, point.name, struck, sum(repeated.values()), tools, round(seconds, 1), faults)


def _of_counts(ran: Counter[str], calls_again: int, tools_again: int, struck: bool) -> Iterator[str]:
    if not struck:
        yield "nobody was killed: the point was never reached"
    if calls_again > 1:
        yield f"{calls_again} calls of the model were repeated"
    if tools_again > 1:
        yield f"{tools_again} runs of tools were repeated"
    wanted = {f"a{at}-{turn}-{index}" for at in range(AGENTS) for turn, index in ((1, 0), (1, 1), (2, 0))}
    if set(ran) != wanted:
        yield f"tools ran: {sorted(set(ran) ^ wanted)} too many or too few"


def _of_goal(chordal: Chordal, goal: str) -> Iterator[str]:
    summary = chordal.summary(goal)
    if summary.state != "DONE":
        yield f"the goal is {summary.state}"
    for at in range(AGENTS):
        yield from (f"a{at}: {fault}" for fault in faults_of(chordal.agents.transcript(goal, f"a{at}")))
    yield from (str(one) for one in check_goal(chordal.store, goal))


def faults_of(entries: Sequence[dict[str, Any]]) -> Iterator[str]:
    """Gaps and doubles of a transcript."""
    answers = [entry for entry in entries if entry["kind"] == "answer"]
    numbers = [entry["turn"] for entry in answers]
    if numbers != list(range(1, len(numbers) + 1)):
        yield f"its turns are {numbers}"
    if not answers or not answers[-1].get("final") or sum(bool(entry.get("final")) for entry in answers) != 1:
        yield "it has no final answer, or several"
    results = {entry["turn"]: entry for entry in entries if entry["kind"] == "results"}
    if sum(entry["kind"] == "results" for entry in entries) != len(results):
        yield "the results of a turn stand there twice"
    for entry in answers:
        asked = [call["id"] for call in entry.get("calls", ())]
        given = [one["id"] for one in results.get(entry["turn"], {"results": ()})["results"]]
        if asked != given:
            yield f"turn {entry['turn']} called {asked} and got results of {given}"


def table(verdicts: Sequence[Verdict]) -> str:
    """For a terminal."""
    width = max(len(one.point) for one in verdicts)
    head = f"seed  {'killed':<{width}}  calls again  tools again  seconds  faults"
    rows = [
        f"{one.seed:>4}  {one.point:<{width}}  {one.repeated_calls:>11}  {one.repeated_tools:>11}  {one.seconds:>7}  "
        f"{'; '.join(one.faults) or 'none'}"
        for one in verdicts
    ]
    return "\n".join([head, *rows])


def run(seeds: Sequence[int], say: Callable[[str], None] = print) -> list[Verdict]:
    """Every seed, in one world."""
    found: list[Verdict] = []
    with world() as one:
        for seed in seeds:
            found.append(play(one, seed))
            say(table(found[-1:]).splitlines()[1])
    return found
