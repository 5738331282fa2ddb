"""llmock with a quota, and a line in a file for each answer: `python -m bench.llm.quota_server PORT PER_MINUTE FILE`.

Its quota is a token bucket: it holds a minute's requests, is full at the start and fills up evenly. So a provider that
allows 600 a minute takes up to 1,200 in the first minute from whoever asks for all at once.
"""

from __future__ import annotations

import sys
import time
from collections.abc import MutableMapping
from pathlib import Path
from typing import IO, Any

import uvicorn
from llmock.main import create_app
from llmock.ratelimit import LimitSettings
from starlette.types import ASGIApp, Receive, Scope, Send


class Noted:
    """The application behind a counter: a line is `<seconds of the monotonic clock> <status>`."""

    def __init__(self, app: ASGIApp, out: IO[str]) -> None:
        self._app = app
        self._out = out

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""

        async def noting(message: MutableMapping[str, Any]) -> None:
            if message["type"] == "http.response.start":
                self._out.write(f"{time.monotonic():.4f} {message['status']}\n")
            await send(message)

        calls = scope["type"] == "http" and scope["method"] == "POST"
        await self._app(scope, receive, noting if calls else send)


def main() -> None:
    """Serve until the process is ended."""
    port, per_minute, path = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
    with Path(path).open("w", buffering=1) as out:
        app = Noted(create_app(limits=LimitSettings(rpm=per_minute)), out)
        uvicorn.run(app, host="127.0.0.1", port=port, log_level="warning")


if __name__ == "__main__":
    main()
