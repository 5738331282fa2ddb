"""A provider of models as a process of its own: `python model_process.py PORT FOLDER`.

It answers every question, and the same way each time. FOLDER/behaviour says what else it does; FOLDER/calls gets a line
when a request comes and one when it is over, in one write each, so that what is in it survives a SIGKILL.
"""

from __future__ import annotations

import hashlib
import itertools
import os
import sys
import threading
import time
from contextlib import suppress
from http.server import ThreadingHTTPServer
from pathlib import Path
from typing import Any, Final

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from support.model_server import Behaviour, Handler, ModelServer, breaks_off, chat, fails, says

MODULUS: Final = 1_000_003
SECONDS: Final = (0.02, 0.1, 0.3, 0.8)
"""Of a call, by its question."""


def answer(question: str) -> str:
    """What the model says to a question."""
    return str(int.from_bytes(hashlib.sha256(question.encode()).digest()[:4]) % MODULUS)


def seconds(question: str) -> float:
    """How long that takes."""
    return SECONDS[int(answer(question)) % len(SECONDS)]


def wait(handler: Handler, length: float) -> None:
    """As a model that thinks."""
    handler.model.closing.wait(length)


def answers(handler: Handler) -> None:
    """As it should."""
    question = handler.asked.body["messages"][-1]["content"]
    wait(handler, seconds(question))
    says(chat(answer(question)))(handler)


def hangs(handler: Handler) -> None:
    """Longer than anybody waits."""
    wait(handler, 6)


def babbles(handler: Handler) -> None:
    """Bytes that are no answer."""
    says(b"{]")(handler)


BEHAVIOURS: Final[dict[str, tuple[Behaviour, ...]]] = {
    "answers": (answers,),
    "fails": (fails(500),),
    "throttles": (fails(429, "rate_limit_exceeded", retry_after_ms="300"),),
    "hangs": (hangs,),
    "breaks": (breaks_off, answers, babbles, fails(503), fails(429, "rate_limit_exceeded", retry_after="1"), answers),
}
"""What it does, in turns."""


class Recording:
    """Behaves as the file says, and writes down every request."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.serial = itertools.count()
        self.file = os.open(folder / "calls", os.O_CREAT | os.O_APPEND | os.O_WRONLY)

    def write(self, *words: Any) -> None:
        os.write(self.file, (" ".join(map(str, words)) + "\n").encode())

    def __call__(self, handler: Handler) -> None:
        number = next(self.serial)
        kind = "answers"
        with suppress(OSError):
            kind = (self.folder / "behaviour").read_text().strip()
        turns = BEHAVIOURS.get(kind, (answers,))
        self.write("begin", os.getpid(), number, time.monotonic())
        try:
            turns[number % len(turns)](handler)
        finally:
            self.write("end", os.getpid(), number, time.monotonic())


class Server(ThreadingHTTPServer):
    """Says nothing of callers that hang up or are killed."""

    request_queue_size = 128
    daemon_threads = True

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Nothing."""


def main() -> None:
    """Serve until the process is ended."""
    port, folder = int(sys.argv[1]), Path(sys.argv[2])
    model = ModelServer(port, [Recording(folder)], closing=threading.Event())
    with Server(("127.0.0.1", port), type("Bound", (Handler,), {"model": model})) as http:
        model.port = http.server_address[1]
        (folder / "port.new").write_text(str(model.port))
        (folder / "port.new").rename(folder / "port")
        http.serve_forever(0.2)


if __name__ == "__main__":
    main()
