"""Whatever a model answers, turn after turn: it ends in time, can be stored, and stays a conversation that providers take."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from orchestrator.agents.conversation.decide import (
    AskAgain,
    CallTools,
    Finished,
    GivenUp,
    Opening,
    after,
    request,
    results_of,
)
from orchestrator.agents.conversation.transcript import Answered, Entry, Result, Results, Told, as_text, of_text, turns
from orchestrator.llm.messages import Message, Reply, Speaker, ToolCall
from support.talks import ANSWER_SCHEMA, HELPER, LOOK, START_GOAL, card, kit, reply

ANY = st.text(max_size=60)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | ANY,
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(ANY | st.sampled_from(["word", "goal", "nodes"]), inner, max_size=4)
    ),
    max_leaves=12,
)
ARGUMENTS = (
    ANY
    | JSON.map(json.dumps)
    | st.sampled_from([
        '{"word": "x"}', '{"task": "y"}', '{"word": "\\ud800"}', "[" * 5000, '{"word": "a", "word": "b"}', "9" * 5000,
        '{"goal": {"nodes": [{"id": "a", "kind": "agent", "agent": "helper"}]}}',
        '{"goal": {"nodes": [{"id": "a", "kind": "python", "call": "os:system"}]}}',
    ])
)  # fmt: skip
CALLS = st.builds(
    ToolCall, id=ANY | st.sampled_from(["", "call_1_0", "same"]), arguments=ARGUMENTS,
    name=st.sampled_from(["look", "helper", "start_goal", "Look", "../look", ""]) | ANY,
)  # fmt: skip
TEXTS = ANY | st.sampled_from(['{"size": 3}', '```json\n{"size": "3"}\n```', "[" * 5000, "half \ud800"])
REPLIES = st.builds(
    lambda text, calls, finish: reply(text, *calls, finish=finish),
    TEXTS, st.lists(CALLS, max_size=6), st.sampled_from(["", "", "length", "refusal", "content_filter", "odd"]),
)  # fmt: skip


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(REPLIES, min_size=12, max_size=12), st.booleans())
def test_a_conversation_with_anybody(replies: list[Reply], structured: bool) -> None:
    limits = {"max_turns": 4, "repairs": 2, "tools_per_turn": 3, "spawn": 2, "argument_bytes": 1000}
    allowed = kit(LOOK, HELPER, START_GOAL, schema=ANSWER_SCHEMA if structured else None)
    entries: list[Entry] = []
    spawned = 0
    for answer in replies:
        made, _ = request(card(**limits), allowed, Opening("s", "t"), entries, model="m", room_tokens=400, count=len)
        _sent(made.messages)
        step = after(
            card(**limits), allowed, entries, answer, name_of=lambda index: f"n.{index}", spawned=spawned, depth=0
        )  # fmt: skip
        if isinstance(step, CallTools):
            given_ = {one.called.id: Result(id=one.called.id, text="ok") for one in step.calls}
            spawned += sum(one.tool.name != "look" for one in step.calls)
            entries += [step.answered, results_of(step.answered, given_)]
        elif isinstance(step, Finished):
            entries.append(step.answered)
        else:
            entries += step.entries
        if isinstance(step, Finished | GivenUp):
            break
        assert isinstance(step, AskAgain | CallTools)
    assert isinstance(step, Finished | GivenUp), "max_turns and repairs bound it"
    assert turns(entries) <= 4 + 2
    assert spawned <= 2
    _stored(entries)


def _stored(entries: list[Entry]) -> None:
    """As Redis keeps it, and bounded."""
    assert [of_text(as_text(entry).encode().decode()) for entry in entries] == entries
    ids = [call.id for entry in entries if isinstance(entry, Answered) for call in entry.calls]
    assert len(set(ids)) == len(ids)
    assert [entry.turn for entry in entries if isinstance(entry, Answered)] == list(range(1, turns(entries) + 1))
    for entry in entries:
        if isinstance(entry, Results):
            assert all(len(one.text) < 3200 for one in entry.results)
        if isinstance(entry, Told):
            assert len(entry.text) < 3200


def _sent(messages: Any) -> None:
    """As providers want it: results right behind their calls, arguments JSON objects, names and ids as they take them."""
    due: list[str] = []
    one: Message
    for one in messages:
        if one.speaker is Speaker.TOOL:
            assert due.pop(0) == one.tool_call_id
            continue
        assert due == []
        due = [call.id for call in one.tool_calls]
        for call in one.tool_calls:
            assert isinstance(json.loads(call.arguments), dict)
            assert call.name
            assert call.name.replace("_", "a").replace("-", "a").isalnum()
            assert 1 <= len(call.id) <= 40
    assert due == []
