"""A model that calls a tool in every turn but the last, after a fixed time: `python -m bench.agents.tool_server PORT`.

Bare asyncio, HTTP/1.1, connections kept. A request to `/<milliseconds>/<turns>/v1/chat/completions` is answered that long
after it came: with a call of the tool `look` until the conversation has `turns` answers, then with a text. A GET of
`/count` says how many were answered and how many are open now and at most.
"""

from __future__ import annotations

import asyncio
import json
import sys
from typing import Any, Final

from bench.llm.slow_server import Connection as Slow
from bench.llm.slow_server import Counts, http, more_files

TOOL: Final = "look"
_USAGE: Final = {"prompt_tokens": 100, "completion_tokens": 20, "total_tokens": 120}
_CALL: Final = {"id": "c1", "type": "function", "function": {"name": TOOL, "arguments": '{"word": "lamp"}'}}


def _completion(message: dict[str, Any], finish: str) -> bytes:
    choice = {"index": 0, "message": {"role": "assistant", **message}, "finish_reason": finish}
    head = {"id": "c", "object": "chat.completion", "created": 1, "model": "m"}
    return http({**head, "choices": [choice], "usage": _USAGE})


CALLS: Final = _completion({"content": None, "tool_calls": [_CALL]}, "tool_calls")
ENDS: Final = _completion({"content": "It is bright."}, "stop")


class Connection(Slow):
    """One client's connection."""

    def answer_to(self, path: bytes, body: bytes) -> bytes:
        """By the number of answers in the conversation."""
        answers = sum(one["role"] == "assistant" for one in json.loads(body)["messages"])
        return ENDS if answers + 1 >= int(path.split(b"/", 3)[2]) else CALLS


async def serve(port: int) -> None:
    """Serve until the process is ended."""
    counts = Counts()
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: Connection(counts), "127.0.0.1", port, backlog=4096)
    await server.serve_forever()


if __name__ == "__main__":
    more_files()
    asyncio.run(serve(int(sys.argv[1])))
