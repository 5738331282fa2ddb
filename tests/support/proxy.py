"""A TCP proxy in front of a server's unix socket, for tests: it delays, holds, resets and cuts what passes through."""

from __future__ import annotations

import asyncio
import random
import socket
import struct
import threading
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

CHUNK = 65_536
HOLD_SECONDS = 0.02


@dataclass
class Proxy:
    """Listens on a port of its own while it is started. The toxics are plain fields; change them at any time."""

    upstream: Path
    chance: random.Random = field(default_factory=lambda: random.Random(0))
    delay_seconds: float = 0.0
    """Each chunk waits so long, in both directions."""
    hold: bool = False
    """Nothing passes and nothing is lost: a network that swallows packets and comes back."""
    refuse: bool = False
    """New connections are reset."""
    cut_chance: float = 0.0
    """So many of the replies are cut short and their connection reset: the server has acted, the client cannot know."""
    port: int = 0
    cuts: int = 0
    """Replies that were cut."""
    _loop: asyncio.AbstractEventLoop = field(default_factory=asyncio.new_event_loop)
    _writers: set[asyncio.StreamWriter] = field(default_factory=set)
    _tasks: set[asyncio.Task[Any]] = field(default_factory=set)

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}/0"

    def start(self) -> None:
        listening = threading.Event()
        self._thread = threading.Thread(target=self._serve, args=(listening,), name="proxy", daemon=True)
        self._thread.start()
        assert listening.wait(10)

    def stop(self) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)

    def reset(self) -> None:
        """Reset every connection, as a firewall or a restarted host does."""
        done = threading.Event()

        def act() -> None:
            self._abort(*self._writers)
            done.set()

        self._loop.call_soon_threadsafe(act)
        done.wait(5)

    def _serve(self, listening: threading.Event) -> None:
        asyncio.set_event_loop(self._loop)
        server = self._loop.run_until_complete(asyncio.start_server(self._accept, "127.0.0.1", self.port))
        self.port = server.sockets[0].getsockname()[1]
        listening.set()
        self._loop.run_forever()
        server.close()
        self._abort(*self._writers)
        for task in asyncio.all_tasks(self._loop):
            task.cancel()
        self._loop.run_until_complete(asyncio.sleep(0.05))
        self._loop.close()

    def _abort(self, *writers: asyncio.StreamWriter) -> None:
        for writer in writers:
            plug: Any = writer.get_extra_info("socket")
            with suppress(OSError, AttributeError):
                plug.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            writer.transport.abort()
            self._writers.discard(writer)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        if self.refuse:
            self._abort(writer)
            return
        try:
            far_reader, far_writer = await asyncio.open_unix_connection(str(self.upstream))
        except OSError:
            self._abort(writer)
            return
        self._writers |= {writer, far_writer}
        pair = (writer, far_writer)
        with suppress(asyncio.CancelledError):
            await asyncio.gather(
                self._pass(reader, far_writer, pair, False), self._pass(far_reader, writer, pair, True)
            )
        self._abort(*pair)

    async def _pass(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, pair: tuple[Any, Any], replies: bool
    ) -> None:
        with suppress(OSError):
            while data := await reader.read(CHUNK):
                if self.delay_seconds:
                    await asyncio.sleep(self.delay_seconds)
                while self.hold:
                    await asyncio.sleep(HOLD_SECONDS)
                if replies and self.cut_chance and self.chance.random() < self.cut_chance:
                    self.cuts += 1
                    writer.write(data[: self.chance.randrange(len(data))])
                    break
                writer.write(data)
                await writer.drain()
        self._abort(*pair)
