"""The embedded server: how it is started, and how one asks whether it answers.

It listens on a unix socket only. Tried with kombu 5.7, Celery's result backend (prefork, threads, gevent), redbeat 2.4,
Flower 2.2 and redis-py 8.1, each also over a `kill -9` of the server: all find it again. Against a loopback port it
needs no password (the folder's permissions do that), no free port has to be found and kept over a restart of the
server, and a script call takes 100 microseconds in place of 115-155. What it costs is two spellings of one URL: redis-py and
redbeat say `unix:///path`, kombu and Flower `redis+socket:///path`, and redis-cli wants `-s path`.
"""

from __future__ import annotations

import socket
from enum import Enum
from pathlib import Path

from orchestrator.embedded.binary import Server
from orchestrator.embedded.layout import Layout
from orchestrator.embedded.records import Role
from orchestrator.embedded.roles import REDIS_STOP, Command

_TIMEOUT = 1.0


class Answer(Enum):
    """What the server says to a PING."""

    READY = "ready"
    LOADING = "loading"
    SILENT = "silent"


def url_of(path: Path) -> str:
    """The URL of the server behind a socket."""
    return f"unix://{path}"


def server_command(server: Server, layout: Layout, path: Path) -> Command:
    """Run `server` in the data directory with its socket at `path`.

    Append-only file: a write is with the kernel before its answer goes out, so `kill -9` loses nothing, and on the disk
    within a second. `noeviction`: the truth does not forget. It works in its own directory, so no path needs quoting.
    """
    options = {
        "port": "0",
        "unixsocket": str(path),
        "unixsocketperm": "700",
        "daemonize": "no",
        "appendonly": "yes",
        "appendfsync": "everysec",
        "save": "",
        "maxmemory-policy": "noeviction",
        "always-show-logo": "no",
    }
    argv = [str(server.path)]
    for name, value in options.items():
        argv += [f"--{name}", value]
    return Command(
        Role.REDIS, "redis", tuple(argv), REDIS_STOP, directory=layout.valkey, orphan_signal=REDIS_STOP[0].signal
    )


def ask(path: Path) -> Answer:
    """Whether a server behind this socket is ready."""
    answer = _say(path, b"PING\r\n")
    if answer.startswith(b"+PONG"):
        return Answer.READY
    return Answer.LOADING if answer.startswith((b"-LOADING", b"-BUSY")) else Answer.SILENT


def shut_down(path: Path) -> bool:
    """Tell a server that outlived its supervisor to save and end; whether there was one.

    It can only be ours: the socket is in a folder of ours, and we hold the lock of the data directory.
    """
    if ask(path) is Answer.SILENT:
        return False
    _say(path, b"SHUTDOWN\r\n")
    return True


def _say(path: Path, line: bytes) -> bytes:
    """Send one inline command; the first bytes of the answer, empty if there is none."""
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(_TIMEOUT)
        try:
            connection.connect(str(path))
            connection.sendall(line)
            return connection.recv(64)
        except OSError:
            return b""
