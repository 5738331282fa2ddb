"""What the page on notifications says is so: its receiver takes what is sent, and refuses what is forged."""

from __future__ import annotations

import re
import threading
import time
from http.server import ThreadingHTTPServer
from typing import Any

import pytest

from orchestrator.notify import signing
from orchestrator.notify.notice import Notice
from orchestrator.notify.targets import CALLBACKS, OUTCOMES, on
from orchestrator.notify.webhook import NotTold, post
from orchestrator.settings import Settings
from support.house import ROOT

PAGE = (ROOT / "docs/how-to/notifications.md").read_text("utf-8")
CODE = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)


def headers(secret: str, body: bytes, event: str = "g/1-0") -> dict[str, str]:
    now = int(time.time())
    return {
        signing.EVENT: "goal.done", signing.EVENT_ID: event, signing.TIMESTAMP: str(now),
        signing.SIGNATURE: signing.sign(secret, now, body),
    }  # fmt: skip


def test_the_receiver_of_the_page_works(capsys: pytest.CaptureFixture[str]) -> None:
    scope: dict[str, Any] = {"__name__": "page"}
    exec(CODE[0], scope)
    scope["Hook"].log_message = lambda *_: None
    server = ThreadingHTTPServer(("127.0.0.1", 0), scope["Hook"])
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    try:
        url, body, secret = f"http://127.0.0.1:{server.server_address[1]}/", b'{"goal":"g"}', scope["SECRET"]
        assert post(url, body, headers(secret, body), 5) == 204
        assert post(url, body, headers(secret, body), 5) == 204
        with pytest.raises(NotTold, match="401"):
            post(url, body, headers("another", body), 5)
    finally:
        server.shutdown()
        server.server_close()
        thread.join(5)
    assert capsys.readouterr().out == 'goal.done {"goal":"g"}\n', "once, although it came twice"


def test_the_callback_of_the_page_is_one() -> None:
    before = dict(CALLBACKS.functions)
    try:
        exec(CODE[1], {"__name__": "page"})
        assert CALLBACKS.targets()["page:tell_ann"].owner == "ann"
    finally:
        CALLBACKS.functions.clear()
        CALLBACKS.functions.update(before)


def test_headers_fields_and_defaults_are_those_of_the_code() -> None:
    for name in (signing.EVENT, signing.EVENT_ID, signing.TIMESTAMP, signing.SIGNATURE):
        assert f"| `{name}` |" in PAGE
    example = re.findall(r'"(\w+)":', re.findall(r"```json\n(.*?)```", PAGE, re.DOTALL)[0])
    assert set(Notice.__slots__) <= set(example)
    assert ", ".join(f"`{kind}`" for kind in OUTCOMES) in PAGE
    assert Settings().webhook_events == OUTCOMES


@pytest.mark.parametrize("pattern", ["goal.finished", "node", "", "nothing.*"])
def test_a_pattern_that_fits_no_event_is_refused(pattern: str) -> None:
    with pytest.raises(ValueError, match="no event is called"):
        on(pattern)


def test_a_coroutine_function_is_refused() -> None:
    async def late(_: Notice) -> None:
        """It would never be awaited."""

    with pytest.raises(TypeError, match="coroutine"):
        on("goal.done")(late)
