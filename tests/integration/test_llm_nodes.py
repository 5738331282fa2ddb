"""Calls of nodes on their way: granted, failed, refused, handed on, lost and found."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from orchestrator.domain.events import Event
from orchestrator.llm.limits import Limits
from orchestrator.llm.scripted import Step
from orchestrator.store.llm_records import Outcome, Word
from orchestrator.store.store import Store
from support.calls import ANSWERS, Calls
from support.servers import until


def test_a_call_that_may_go_out_is_sent_by_whoever_asked(calls: Callable[..., Calls]) -> None:
    one = calls()
    one.submit("hello")
    one.crew.work()
    assert one.crew.states() == {"n0": "WAITING"}
    ((account, word),) = one.crew.mail.words
    assert (account, word.outcome) == ("first", Outcome.GRANTED)
    assert one.step() == ["accepted"]
    assert one.crew.state() == "DONE"
    assert one.crew.output("n0")["text"] == "an answer"
    assert not one.limiter.status("first").leases


def test_a_word_that_comes_twice_makes_one_call(calls: Callable[..., Calls]) -> None:
    one = calls()
    one.submit("hello", "world")
    one.crew.work()
    one.crew.mail.words.extend(list(one.crew.mail.words))
    outcomes = one.step()
    assert sorted(outcomes) == ["accepted", "accepted", "stale", "stale"]
    assert len(one.provider.calls) == 2
    assert not one.limiter.status("first").leases


def test_a_permit_that_ran_out_on_its_way_leaves_the_node_in_the_line(calls: Callable[..., Calls]) -> None:
    one = calls()
    one.submit("hello")
    one.crew.work()
    account, word = one.crew.mail.words.popleft()
    stale = Word(word.id, word.outcome, f"{word.fence + 7} {word.at_ms}")
    assert one.gate.answer(account, stale.id, stale.outcome.value, stale.detail) == "stale"
    assert one.crew.states() == {"n0": "WAITING"}
    assert not one.provider.calls
    assert not one.crew.mail.words, "a word that comes late brings forth no other"
    assert one.gate.answer(account, word.id, word.outcome.value, word.detail) == "accepted"
    assert one.crew.state() == "DONE"


def test_a_permit_that_goes_back_while_its_node_is_claimed_leaves_the_node_parked(
    calls: Callable[..., Calls], monkeypatch: pytest.MonkeyPatch
) -> None:
    one = calls()
    one.submit("hello")
    one.crew.work()
    account, word = one.crew.mail.words.popleft()
    monkeypatch.setattr(one.limiter, "take_up", lambda *_: None)
    assert one.gate.answer(account, word.id, word.outcome.value, word.detail) == "accepted"
    monkeypatch.undo()
    assert one.crew.states() == {"n0": "WAITING"}
    assert not one.crew.mail.words
    assert one.gate.answer(account, word.id, word.outcome.value, word.detail) == "accepted"
    assert one.crew.state() == "DONE"


def test_a_word_of_a_goal_that_is_gone_gives_its_permit_back(calls: Callable[..., Calls]) -> None:
    one = calls()
    one.submit("hello")
    one.crew.work()
    words = list(one.crew.mail.words)
    one.crew.control.cancel("g")
    one.crew.store.goals.remove("g")
    assert one.step() == ["gone"]
    assert not one.limiter.status("first").leases
    one.crew.mail.invitations.clear()
    one.submit("hello again")
    for account, word in words:
        answered = one.gate.answer(account, word.id, word.outcome.value, word.detail)
        assert answered == "stale", "it is of an earlier goal of the same name"


def test_a_paused_goal_gives_its_permit_back_and_asks_again_when_it_goes_on(calls: Callable[..., Calls]) -> None:
    one = calls()
    one.submit("hello")
    one.crew.work()
    one.crew.control.pause("g")
    assert one.step() == ["PAUSED"]
    assert not one.limiter.status("first").leases
    one.crew.control.resume("g")
    one.crew.duties.reap()
    one.work()
    assert one.crew.state() == "DONE"


def test_a_failed_attempt_asks_again_and_the_chain_goes_on_to_the_next_model(calls: Callable[..., Calls]) -> None:
    broken = Step(model="a", failure={"kind": "server", "status": 500}, times=None)  # type: ignore[arg-type]
    one = calls(broken, ANSWERS)
    one.submit("hello")
    one.work()
    assert [call.model for call in one.provider.calls] == ["a", "a", "b"]
    output = one.crew.output("n0")
    assert (output["model"], output["attempts"]) == ("b", 3)
    waits = [json.loads(fields["data"]) for _, fields in one.events() if fields["type"] == "node.waiting"]
    assert [wait.get("why") for wait in waits] == [None, "server: HTTP 500", "server: HTTP 500"]


def test_a_request_that_does_not_fit_one_model_goes_to_the_next(calls: Callable[..., Calls]) -> None:
    one = calls()
    one.submit({"prompt": "hello", "max_output_tokens": 5000})
    one.work()
    assert [call.model for call in one.provider.calls] == ["b"]


def test_a_call_above_the_accounts_limit_goes_to_the_next_model(calls: Callable[..., Calls]) -> None:
    one = calls()
    one.limiter.set_limits("first", {"tokens_per_minute": 10})
    one.submit({"prompt": "hello", "max_output_tokens": 500})
    one.work()
    assert [call.model for call in one.provider.calls] == ["b"]


def test_an_open_breaker_goes_to_the_next_model_and_without_one_the_node_fails(calls: Callable[..., Calls]) -> None:
    one = calls()
    one.limiter.open_breaker("first", 60, "it burns")
    one.submit("hello", {"prompt": "hello", "model": "a"})
    one.work()
    assert one.crew.states() == {"n0": "DONE", "n1": "FAILED"}
    assert one.failure("n1") == "BreakerOpen: account first: the breaker is open: it burns"


def test_a_refused_request_fails_for_good_and_says_nothing_of_it(calls: Callable[..., Calls]) -> None:
    one = calls(Step(failure={"kind": "fatal", "status": 400}, times=None))  # type: ignore[arg-type]
    one.crew.submit([{"id": "n0", "kind": "llm", "inputs": {"prompt": "the secret"}, "retries": 5}])
    one.work()
    assert one.crew.state() == "FAILED"
    assert len(one.provider.calls) == 1
    assert "the secret" not in one.failure()


@pytest.mark.parametrize(
    ("inputs", "named"),
    [
        ({"prompt": 3}, "inputs.prompt"),
        ({"prompt": "x", "temperature": 9}, "inputs.temperature"),
        ({"prompt": "x", "colour": "red"}, "inputs.colour"),
        ({"messages": []}, "inputs.messages"),
        ({"prompt": "x", "model": "nobody"}, "there is no model or chain 'nobody'"),
    ],
)
def test_bad_inputs_fail_the_node_and_name_the_field(
    calls: Callable[..., Calls], inputs: dict[str, Any], named: str
) -> None:
    one = calls()
    one.submit(inputs)
    one.work()
    assert one.crew.state() == "FAILED"
    assert named in one.failure()


def test_words_come_through_the_gate_when_there_is_room(calls: Callable[..., Calls]) -> None:
    one = calls()
    one.limiter.set_limits("first", {"concurrency": 1})
    one.submit("hello", "world", "again")
    one.crew.work()
    assert len(one.crew.mail.words) == 1
    for _ in range(3):
        until(lambda: len(one.crew.mail.words) == 1, what="a word")
        one.step()
    assert one.crew.state() == "DONE"


def test_a_gate_is_opened_once(calls: Callable[..., Calls]) -> None:
    """Celery starts a consumer's steps again after every lost connection to the broker."""
    one = calls()
    one.gate.open()
    one.submit("hello")
    one.work()
    assert one.crew.state() == "DONE"


def test_a_goals_budget_holds_over_its_accounts(calls: Callable[..., Calls]) -> None:
    one = calls()
    asked = [{"prompt": "hello", "model": model, "max_output_tokens": 40} for model in ("a", "b", "a")]
    nodes = [{"id": f"n{at}", "kind": "llm", "inputs": inputs} for at, inputs in enumerate(asked)]
    one.crew.submit(nodes, [("n0", "n1"), ("n1", "n2")], budget={"tokens": 65, "when_spent": "fail"})
    one.work()
    assert one.crew.states() == {"n0": "DONE", "n1": "DONE", "n2": "FAILED"}
    assert one.failure("n2") == "OverBudget: account first: the budget of goal:g cannot pay for the call"


def test_accounts_keep_nothing_of_a_goal_that_is_removed(calls: Callable[..., Calls], store: Store) -> None:
    one = calls()
    one.submit("hello", budget={"tokens": 1000})
    one.work()
    assert one.limiter.status("first").budgets == {"goal:g:tokens": 1000}
    store.client.hset(store.keys.goal("g"), "ended", 0)
    store.goals.expect("g")
    one.crew.duties.reap()
    one.crew.upkeep.removal.tick()
    assert one.crew.state() == "GONE"
    seen = one.limiter.status("first")
    assert (seen.budgets, [name for name in seen.spend if "goal" in name]) == ({}, [])


def test_an_answer_that_is_kept_ends_the_node_at_once_and_free(calls: Callable[..., Calls]) -> None:
    one = calls()
    one.crew.submit(
        [{"id": name, "kind": "llm", "inputs": {"prompt": "hello", "cache_seconds": 60}} for name in ("a", "b")],
        [("a", "b")],
    )
    one.work()
    assert len(one.provider.calls) == 1
    assert (one.crew.output("b")["source"], one.crew.output("b")["micro_usd"]) == ("cache", 0)
    ends = [json.loads(fields["data"]) for _, fields in one.events() if fields["type"] == "node.done"]
    assert [end["llm"]["source"] for end in ends] == ["provider", "cache"]


def test_pieces_of_an_answer_can_be_followed(calls: Callable[..., Calls]) -> None:
    one = calls(Step(text="a longer answer that comes in several pieces", times=None))
    one.submit({"prompt": "hello", "stream": True})
    one.work()
    pieces = [Event.from_stream("g", name, fields) for name, fields in one.crew.store.chunks.read("g", "0", 100)]
    assert "".join(piece.data["text"] for piece in pieces) == "a longer answer that comes in several pieces"
    assert {(piece.type, piece.node, piece.data["model"]) for piece in pieces} == {("node.chunk", "n0", "a")}


@pytest.mark.parametrize(("answers", "error"), [(True, None), (False, "LlmRefused")])
def test_the_end_of_a_call_is_the_result_of_its_celery_task(
    calls: Callable[..., Calls], answers: bool, error: str | None
) -> None:
    failing = Step(failure={"kind": "fatal", "status": 400}, times=None)  # type: ignore[arg-type]
    one = calls(ANSWERS if answers else failing)
    document = {"goal_id": "g", "nodes": [{"id": "call", "kind": "llm", "inputs": {"prompt": "hello"}}]}
    one.crew.submitter.submit(document, result_task="task-1")
    one.crew.submitter.submit(document, result_task="task-1")
    one.work()
    output, said = one.crew.mail.results["task-1"]
    if error is None:
        assert (output["text"], said) == ("an answer", None)
    else:
        assert output is None
        assert error in str(said)


def test_the_slots_of_llm_workers_bound_the_calls_in_flight(calls: Callable[..., Calls]) -> None:
    one = calls()
    one.crew.models.allot(3)
    one.submit(*["hello"] * 8)
    one.crew.work()
    assert len(one.crew.mail.words) == 2, "the other account has one of the three"
    one.crew.models.allot(3)
    until(lambda: len(one.crew.mail.words) == 3, what="the third slot, which only this account wants")
    one.crew.models.allot(0)
    assert one.limiter.status("first").slots == 0


def test_limits_of_profiles_reach_the_line(calls: Callable[..., Calls]) -> None:
    one = calls()
    assert one.limiter.limits_of("first") == Limits(concurrency=4, charges="reserved")
