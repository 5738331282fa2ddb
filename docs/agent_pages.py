"""The text of the reference page of agents; what follows from the models is put in by docs/generate.py."""

from __future__ import annotations

from typing import Final

INTRO: Final = """# Agents

What an agent is, what it may use, and what is kept of what was said. [Work with agents](../how-to/agents.md) shows it at
work. A goal carries its agents along in `agents`; a node of kind `agent` names one, and is found there or among the
`Agent`s of the modules that workers import."""

PLAIN: Final = """## How a turn goes

1. The *opening* is made anew: the agent's instructions, the goal's title and instructions, what the agent remembers, then
   the task with the node's other inputs, the outputs of its parents and the expected artifacts. Data stand between lines
   with a digest of all of them, so that no text can end its own fence; each datum is cut to `result_bytes`, all together to
   eight times that.
2. The entries of the node follow, then messages from outside that wait.
3. The model answers. A text is the final output; tool calls are judged, and the accepted ones become nodes of their own,
   `<node>.t<turn>.<call>`, which run at the same time. The agent's node waits for all of them, however they end.
4. An answer that cannot be used is given back with its faults, at most `repairs` times in a row: an output against the
   schema, no text at all, one that was cut off, or calls of which none was accepted. Then the node's turns are over and it
   fails, with the last faults as its error. An accepted answer or call begins the count anew, and so does a message.

The last of `max_turns` offers no tools and says that the final answer is due. Repairs of that answer go beyond `max_turns`,
so a node costs at most `max_turns + repairs` answers an attempt, and as many repairs again for each time that messages
come after that.

## What of a model's answer is accepted

| what it wrote | what follows |
|---|---|
| a tool that is not in the kit, in any other spelling | refused; the model is told which tools there are |
| arguments that are not JSON, have a key twice, NaN, a number out of range, half a surrogate pair, or more than 64 lists and objects inside each other | refused |
| arguments that are no object, or do not follow the tool's schema (unknown fields are refused) | refused, with the places of the first ten faults |
| arguments above `argument_bytes` | refused, and cut in the transcript |
| more calls than `tools_per_turn` | the rest is refused; beyond 16 more they are forgotten and counted |
| a call id that is empty, strange or was used before | the call gets another id |
| sub-agents and sub-goals above `spawn` or deeper than `depth` | refused |
| a sub-goal with other nodes than `agent`, `approval` and `wait`, with agents that it may not call, or with fields such as `queue`, `owner` or `agents` | refused, with its faults |
| any call on the last turn | refused: the final answer is due |
| an output in one Markdown fence | read without the fence |
| more than 1 MiB of text | cut, and given back |

What the model is told of its faults is Chordal's own text; it quotes at most 200 characters of the model's in one place.

## What is left out when it does not fit

The conversation is trimmed to `context_tokens`, or to what fits into the model beside its answer:

1. The results of tools are replaced by `[removed: N bytes]`, the oldest first, one by one until it fits.
2. Then the oldest answers go, each with its results and everything that was said before the next answer. A line says that
   they are gone.

3. Then the last turn itself is cut, step by step until it fits: the results of its tools; messages and what the model was
   told; the arguments of its calls, which become `{}`, the longest first; its text. Results, and then messages, are cut to
   the same length each: the beginning stays, and `[cut: N bytes]` follows, or `[removed: N bytes]` stands alone. A message
   is not cut below 64 tokens while there is an older one: the oldest go first, for `[removed: N messages]`.
4. Where not even the calls with notes of their results fit, a line says that they are gone.

Every call that stays has its result behind it, and the opening always stays: a call is too long for its model only where
the opening is. What was left out stands in the event `node.turn` as `trimmed`: results that were cut or replaced, entries
that were left out or cut, tokens before and after. The transcript keeps everything.

## What a node gives

```
{"text": "...", "output": "..." or what the schema asks for, "turns": 3,
 "usage": {"input_tokens": 812, "output_tokens": 96}, "micro_usd": 240}
```

`micro_usd` is null where one turn had no known price. Of an `output_type` the schema is checked, in durable runs and in
`run_inline`; what validators in Python refuse is neither given back to the model nor kept from being stored.

## What calling a tool means"""

KIT: Final = """The kit is made with the node's first step, from the agent's `tools`, and never grows: instructions that are read
anew while the goal runs change what the agent is told, not what it may use. `task:<name>` takes `{"args": [], "kwargs": {}}`
unless `task_tool` gave it a schema; `agent:<name>` takes `{"task": text}`; `ask_person` takes `{"question": text}`;
`start_goal` takes `{"goal": document}`."""

ENTRIES: Final = """## Entries

What was said on a node, in the order in which it was committed: `chordal transcript GOAL NODE`."""
