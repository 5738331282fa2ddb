"""What a command says is so: what is refused has changed nothing, and no argument is left out without a word."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from orchestrator.domain.command import Answer, Code, Door, InvalidCommand, read_command
from orchestrator.store import agents
from support.crew import Crew
from support.servers import until
from support.sim import Sim

AGENT = {"kind": "agent", "agent": "writer", "inputs": {"task": "x"}}


def give(crew: Crew, name: str, /, **given: Any) -> Answer:
    return crew.wired.commands.carry_out(read_command({"command": name, **given}, Door.CLI, "ann"))


def pass_ms(crew: Crew, ms: int) -> None:
    now = crew.store.goals.clock_ms()
    until(lambda: crew.store.goals.clock_ms() > now + ms)


def test_inputs_stay_where_their_node_cannot_run_again(crew: Crew) -> None:
    waits = {"id": "w", "kind": "wait", "inputs": {"signal": "s"}}
    crew.function(lambda: 1 / 0, "broken")
    crew.submit([{"id": "a", "call": "broken"}, waits], deadline_seconds=0.1)
    crew.work()
    pass_ms(crew, 150)
    while crew.state() != "FAILED":
        crew.store.goals.hasten(["g"])
        crew.duties.reap()
    before = crew.store.goals.spec("g", "a")
    answer = give(crew, "EDIT", goal="g", node="a", set={"x": 2}, retry=True)
    assert (answer.code, "cancelled by its deadline" in answer.message) == (Code.REFUSED, True)
    assert crew.store.goals.spec("g", "a") == before


def test_inputs_of_an_item_stay_while_its_map_waits(sim: Sim, crew: Crew) -> None:
    sim.submit([{"id": "m", "kind": "map", "call": "x", "inputs": {"items": [1, 2]}}])
    lease = sim.take("m")
    sim.expand(lease, ["m.0", "m.1"])
    sim.park(lease, "items")
    sim.fail("m.0")
    before = crew.store.goals.spec("g", "m.0")
    answer = give(crew, "EDIT", goal="g", node="m.0", set={"x": 2}, retry=True)
    assert (answer.code, "belongs to 'm'" in answer.message) == (Code.REFUSED, True)
    assert crew.store.goals.spec("g", "m.0") == before


def test_an_agent_is_steered_at_every_node_that_takes_it(crew: Crew, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(agents, "MOST_STEERING", 2)
    crew.submit([{"id": name, **AGENT} for name in ("w1", "w2", "w3")], agents=[{"name": "writer"}])
    for text in ("one", "two"):
        give(crew, "STEER", goal="g", node="w2", message=text)
    answer = give(crew, "STEER", goal="g", agent="writer", message="Be kind.", id="s1")
    assert (answer.outcome, answer.extra["nodes"]) == ("steered", ["w1", "w3"])
    assert "too many messages wait for 'w2'" in answer.extra["detail"]
    assert give(crew, "STEER", goal="g", agent="writer", message=" ").code == Code.BAD


def test_a_goal_that_its_deadline_ends_is_not_said_to_be_cancelled(crew: Crew) -> None:
    crew.submit(["a", "b"], deadline_seconds=0.1)
    pass_ms(crew, 150)
    crew.store.nodes.reap("g", most=9, lost_limit=3, slots="{}", spare_leases=False, ttl_ms=(9**9,) * 4)
    assert crew.store.goals.field("g", "cancelling") == "FAILED"
    assert give(crew, "CANCEL", goal="g").outcome == "ended"
    assert crew.state() == "FAILED"


@pytest.mark.parametrize(
    ("given", "place"),
    [
        ({"command": "PAUSE", "goal": "g", "node": "a", "mode": "stop"}, "mode"),
        ({"command": "PAUSE", "agent": "writer", "mode": "stop"}, "mode"),
        ({"command": "SET-BUDGET", "goal": "g", "account": "openai", "tokens": 5}, "account"),
        ({"command": "RETRY", "goal": "g", "descendants": True}, "descendants"),
    ],
    ids=lambda one: str(one) if isinstance(one, str) else one["command"],
)
def test_an_argument_that_would_be_left_out_is_a_fault(given: dict[str, Any], place: str) -> None:
    with pytest.raises(InvalidCommand) as caught:
        read_command(given, Door.CLI)
    assert [fault.place for fault in caught.value.faults] == [place]


def test_a_budget_on_an_account_that_there_is_not_is_a_fault(crew: Crew, tmp_path: Path) -> None:
    profiles = tmp_path / "models.yaml"
    profiles.write_text(
        "accounts: {own: {base_url: 'http://127.0.0.1:9/v1', kind: self-hosted}}\nmodels: {tiny: {account: own}}\n"
    )
    one = Crew(crew.store, tmp_path, llm_file=profiles)
    answer = give(one, "SET-BUDGET", owner="acme", account="onw", tokens=5)
    assert (answer.code, answer.extra["faults"]) == (
        Code.BAD,
        [["account", "there is no such account", "known here: own"]],
    )
    assert give(one, "SET-BUDGET", owner="acme", account="own", tokens=5).outcome == "set"


def test_an_agent_without_a_goal_is_not_steered(crew: Crew) -> None:
    answer = give(crew, "STEER", agent="writer", message="x")
    assert (answer.code, answer.extra["faults"][0][0]) == (Code.BAD, "goal")


def test_a_paused_node_is_not_said_to_be_stopped(crew: Crew) -> None:
    crew.submit(["a"])
    assert give(crew, "PAUSE", goal="g", node="a").extra == {"nodes": ["a"]}


def test_a_refused_message_is_not_quoted(crew: Crew) -> None:
    crew.submit([{"id": "w", **AGENT}], agents=[{"name": "writer"}])
    for message in ([{"role": "canary", "content": "x"}], [{"role": "user", "content": "x", "canary": 1}]):
        assert give(crew, "STEER", goal="g", node="w", message=message).code == Code.BAD
    events = [str(one.data) for one in crew.wired.events("g")]
    assert "canary" not in str([*events, *(entry.fields for entry in crew.store.control.audit())])


def test_the_name_of_a_command_can_be_anything() -> None:
    name: Any = []
    for _ in range(5000):
        name = [name]
    with pytest.raises(InvalidCommand):
        read_command({"command": name, "goal": "g"}, Door.CELERY)
