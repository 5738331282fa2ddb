"""Sockets under a wall clock: each wait gets what is left until the deadline of the thread's call, and ends with the call.

An HTTP client's read time-out starts again with every byte, so a server that drips keeps a call, its lease and its slot for
as long as it likes. The same place refuses addresses that must not be called, once names are resolved.
"""

from __future__ import annotations

import ipaddress
import select
import socket
import ssl
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any, Final

import httpcore2

from orchestrator.llm.abort import Flight, watcher
from orchestrator.llm.address import fault_of_address
from orchestrator.llm.calls import never

_READ_BYTES: Final = 8192
"""A socket's buffer is there as long as a call waits for its answer; httpcore would take 64 kB for each."""


class RefusedAddress(Exception):
    """A name resolved to an address that must not be called."""


@dataclass(frozen=True, slots=True)
class Exchange:
    """What the thread's call may take."""

    until: float
    """Seconds of the monotonic clock."""
    flight: Flight | None = None
    """None: nobody cancels it."""

    @property
    def aborted(self) -> bool:
        """Was it cancelled on its way?"""
        return self.flight is not None and self.flight.aborted

    def stands_at(self, sock: socket.socket, ended: type[Exception]) -> None:
        """It may block at this socket from now on. Raises `ended` if it was cancelled."""
        if self.flight is not None and not self.flight.stands_at(sock):
            raise ended("the call was cancelled")


_ENDLESS: Final = Exchange(float("inf"))
_current: ContextVar[Exchange] = ContextVar("exchange", default=_ENDLESS)


@contextmanager
def deadline(at: float, cancelled: Callable[[], bool] = never) -> Iterator[Exchange]:
    """Every exchange inside ends by `at`, seconds of the monotonic clock, and within a quarter of a second once
    `cancelled`, which another thread asks, says so."""
    flight = None if cancelled is never else Flight(cancelled)
    exchange = Exchange(at, flight)
    token = _current.set(exchange)
    if flight is not None:
        watcher().add(flight)
    try:
        yield exchange
    finally:
        if flight is not None:
            watcher().drop(flight)
        _current.reset(token)


def leave() -> None:
    """The thread's call needs its connection no longer."""
    flight = _current.get().flight
    if flight is not None:
        flight.leave()


class Stream(httpcore2.NetworkStream):
    """A connected socket, with TLS or without."""

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        """What came; b'' at the end."""
        exchange = self._ready(timeout, httpcore2.ReadError)
        try:
            data = self._sock.recv(min(max_bytes, _READ_BYTES))
        except TimeoutError as error:
            raise httpcore2.ReadTimeout(str(error)) from None
        except OSError as error:
            raise httpcore2.ReadError(str(error)) from None
        if not data and exchange.aborted:
            raise httpcore2.ReadError("the call was cancelled")
        return data

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        """All of it."""
        rest = memoryview(buffer)
        while rest:
            self._ready(timeout, httpcore2.WriteError)
            try:
                rest = rest[self._sock.send(rest) :]
            except TimeoutError as error:
                raise httpcore2.WriteTimeout(str(error)) from None
            except OSError as error:
                raise httpcore2.WriteError(str(error)) from None

    def close(self) -> None:
        """Close it."""
        self._sock.close()

    def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore2.NetworkStream:
        """The same connection, encrypted."""
        try:
            self._sock = sock = ssl_context.wrap_socket(
                self._sock, server_hostname=server_hostname, do_handshake_on_connect=False
            )
            self._ready(timeout, httpcore2.ConnectError)
            sock.do_handshake()
        except BaseException as error:
            self.close()
            if isinstance(error, TimeoutError):
                raise httpcore2.ConnectTimeout(str(error)) from None
            if isinstance(error, OSError):
                raise httpcore2.ConnectError(str(error)) from None
            raise
        return Stream(sock)

    def get_extra_info(self, info: str) -> Any:
        """What httpcore asks of a connection."""
        if info == "ssl_object":
            return self._sock if isinstance(self._sock, ssl.SSLSocket) else None
        if info == "is_readable":
            return _readable(self._sock)
        return self._sock if info == "socket" else None

    def _ready(self, timeout: float | None, ended: type[Exception]) -> Exchange:
        """Before a wait: how long it may take, and whether the call is still wanted."""
        exchange = _current.get()
        exchange.stands_at(self._sock, ended)
        self._sock.settimeout(_left(exchange, timeout))
        return exchange


class Backend(httpcore2.NetworkBackend):
    """Makes connections to addresses that may be called."""

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,  # noqa: ARG002
        socket_options: Iterable[Any] | None = None,  # noqa: ARG002
    ) -> httpcore2.NetworkStream:
        """To the first of the host's addresses that answers."""
        failed: Exception = httpcore2.ConnectError("the name has no address")
        for family, address in _resolve(host, port):
            sock = socket.socket(family, socket.SOCK_STREAM)
            try:
                _connect(sock, address, timeout)
            except (httpcore2.ConnectError, httpcore2.ConnectTimeout) as error:
                sock.close()
                failed = error
            except BaseException:
                sock.close()
                raise
            else:
                return Stream(sock)
        raise failed

    def sleep(self, seconds: float) -> None:
        """As the protocol says."""
        time.sleep(seconds)


def _connect(sock: socket.socket, address: Any, timeout: float | None) -> None:
    exchange = _current.get()
    exchange.stands_at(sock, httpcore2.ConnectError)
    sock.settimeout(_left(exchange, timeout))
    try:
        sock.connect(address)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    except TimeoutError as error:
        raise httpcore2.ConnectTimeout(str(error)) from None
    except OSError as error:
        raise httpcore2.ConnectError(str(error)) from None


def _left(exchange: Exchange, timeout: float | None) -> float | None:
    if exchange is _ENDLESS:
        return timeout
    left = exchange.until - time.monotonic()
    if left <= 0:
        raise httpcore2.ReadTimeout("the deadline has passed")
    return left if timeout is None else min(timeout, left)


def _resolve(host: str, port: int) -> list[tuple[int, Any]]:
    """The addresses of a host, all of them checked: connecting to the name again could give another one."""
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except OSError:
        raise httpcore2.ConnectError("the name cannot be resolved") from None
    addresses = list(dict.fromkeys((info[0], info[4]) for info in found))
    for _, address in addresses:
        if fault := fault_of_address(ipaddress.ip_address(str(address[0]).partition("%")[0])):
            raise RefusedAddress(fault)
    return [(int(family), address) for family, address in addresses]


def _readable(sock: socket.socket) -> bool:
    """Is there something to read, or the end? Then an idle connection is of no use."""
    if sock.fileno() < 0:
        return True
    poll = select.poll()
    poll.register(sock, select.POLLIN)
    return bool(poll.poll(0))
