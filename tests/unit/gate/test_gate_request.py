"""Inputs of `llm` nodes."""

from __future__ import annotations

from typing import Any

import pytest

from orchestrator.gate.request import BadInputs, output_of, read_inputs, to_request
from orchestrator.llm.messages import Reply, Request


def request(**inputs: Any) -> Request:
    return to_request(read_inputs(inputs), "default", owner="o", goal="g", priority=3)


def test_a_prompt_is_a_users_message_behind_the_system() -> None:
    made = request(prompt="ask", system="be short")
    assert [(one.speaker, one.text) for one in made.messages] == [("system", "be short"), ("user", "ask")]
    assert (made.owner, made.goal, made.role, made.priority) == ("o", "g", "", 3)


def test_a_conversation_is_taken_as_it_is() -> None:
    made = request(messages=[{"speaker": "user", "text": "a"}, {"speaker": "assistant", "text": "b"}], role="judge")
    assert [one.text for one in made.messages] == ["a", "b"]
    assert made.role == "judge"


@pytest.mark.parametrize(
    ("inputs", "named"),
    [
        ({}, "inputs.*: either prompt or messages"),
        ({"prompt": "the secret", "messages": [{"speaker": "user", "text": "x"}]}, "inputs.*"),
        ({"prompt": "the secret", "max_output_tokens": 0}, "inputs.max_output_tokens"),
        ({"prompt": "the secret", "tools": [{"name": "no good"}]}, "inputs.tools.0.name"),
        ({"messages": [{"speaker": "nobody", "text": "the secret"}]}, "inputs.messages.0.speaker"),
    ],
)
def test_faults_name_the_field_and_no_text(inputs: dict[str, Any], named: str) -> None:
    with pytest.raises(BadInputs) as caught:
        read_inputs(inputs)
    assert named in str(caught.value)
    assert "secret" not in str(caught.value)


def test_the_output_is_plain_data() -> None:
    output = output_of(Reply(text="t", finish_reason="stop", model="m", account="a"))
    assert (output["text"], output["source"], output["tool_calls"]) == ("t", "provider", [])
