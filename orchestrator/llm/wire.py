"""HTTP under a wall clock: one time limit for the whole exchange, from the connection to the last byte.

An HTTP client's read time-out starts again with every byte, so a server that drips keeps a call, its lease and its slot for
as long as it likes. Here each read and write gets what is left until the deadline of the thread's current call. The same
place refuses addresses that must not be called, once names are resolved. Proxies of the environment are not used, and
redirects are not followed.
"""

from __future__ import annotations

import ipaddress
import socket
import ssl
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import cache, partial
from typing import Any, Final

import httpcore2
import httpx2

from orchestrator.llm.address import fault_of_address

NotConnected = httpx2.ConnectError
"""No connection was made, so nothing was sent."""

_READ_BYTES: Final = 8192
"""A socket's buffer is there as long as a call waits for its answer; httpcore would take 64 kB for each."""
_IDLE_SECONDS: Final = 30.0
"""A connection that has not been used for so long is closed."""

_until: ContextVar[float | None] = ContextVar("until", default=None)


class RefusedAddress(Exception):
    """A name resolved to an address that must not be called."""


@contextmanager
def deadline(at: float) -> Iterator[None]:
    """Every exchange inside ends by `at`, seconds of the monotonic clock."""
    token = _until.set(at)
    try:
        yield
    finally:
        _until.reset(token)


def _left(timeout: float | None) -> float | None:
    until = _until.get()
    if until is None:
        return timeout
    left = until - time.monotonic()
    if left <= 0:
        raise httpcore2.ReadTimeout("the deadline has passed")
    return left if timeout is None else min(timeout, left)


class _Stream(httpcore2.NetworkStream):
    def __init__(self, inner: httpcore2.NetworkStream) -> None:
        self._inner = inner

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        return self._inner.read(min(max_bytes, _READ_BYTES), _left(timeout))

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        self._inner.write(buffer, _left(timeout))

    def close(self) -> None:
        self._inner.close()

    def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore2.NetworkStream:
        return _Stream(self._inner.start_tls(ssl_context, server_hostname, _left(timeout)))

    def get_extra_info(self, info: str) -> Any:
        return self._inner.get_extra_info(info)


class _Backend(httpcore2.NetworkBackend):
    def __init__(self) -> None:
        self._inner = httpcore2.SyncBackend()

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore2.NetworkStream:
        failed: Exception = httpcore2.ConnectError("the name has no address")
        for address in _resolve(host, port):
            try:
                return _Stream(self._inner.connect_tcp(address, port, _left(timeout), local_address, socket_options))
            except (httpcore2.ConnectError, httpcore2.ConnectTimeout) as error:
                failed = error
        raise failed

    def sleep(self, seconds: float) -> None:
        time.sleep(seconds)


def _resolve(host: str, port: int) -> list[str]:
    """The addresses of a host, all of them checked: connecting to the name again could give another one."""
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except OSError:
        raise httpcore2.ConnectError("the name cannot be resolved") from None
    addresses = list(dict.fromkeys(str(info[4][0]) for info in found))
    for text in addresses:
        if fault := fault_of_address(ipaddress.ip_address(text.partition("%")[0])):
            raise RefusedAddress(fault)
    return addresses


@contextmanager
def _as_httpx() -> Iterator[None]:
    try:
        yield
    except (httpcore2.ConnectError, httpcore2.ConnectTimeout) as error:
        raise httpx2.ConnectError(type(error).__name__) from None
    except httpcore2.TimeoutException as error:
        raise httpx2.ReadTimeout(type(error).__name__) from None
    except (httpcore2.NetworkError, httpcore2.ProtocolError) as error:
        raise httpx2.ReadError(type(error).__name__) from None


class _Idle:
    """Open connections that no call uses, the latest on top.

    A call takes a connection out and puts it back, so nothing is ever searched: the pool that comes with httpcore looks at
    every connection for every call, which with a thousand in flight is most of what a call costs.
    """

    def __init__(self, keep: int) -> None:
        self._keep = keep
        self._found: deque[tuple[float, httpcore2.HTTPConnection]] = deque()
        self._lock = threading.Lock()
        self._closed = False

    def take(self, origin: httpcore2.Origin) -> httpcore2.HTTPConnection:
        """One that still stands, or a new one."""
        while True:
            with self._lock:
                connection = self._found.pop()[1] if self._found else None
            if connection is None:
                return httpcore2.HTTPConnection(
                    origin, ssl_context=tls(), keepalive_expiry=_IDLE_SECONDS, network_backend=_Backend()
                )
            if connection.can_handle_request(origin) and not connection.has_expired():
                return connection
            connection.close()

    def put(self, connection: httpcore2.HTTPConnection) -> None:
        """The call is over."""
        now, over = time.monotonic(), []
        with self._lock:
            if self._closed or not connection.is_idle() or len(self._found) >= self._keep:
                over.append(connection)
            else:
                self._found.append((now, connection))
            while self._found and self._found[0][0] < now - _IDLE_SECONDS:
                over.append(self._found.popleft()[1])
        for one in over:
            one.close()

    def close(self) -> None:
        """Close them; those in use follow when their calls end."""
        with self._lock:
            self._closed = True
            over = [connection for _, connection in self._found]
            self._found.clear()
        for one in over:
            one.close()


class _Body(httpx2.SyncByteStream):
    def __init__(self, inner: Any, done: Callable[[], None]) -> None:
        self._inner = inner
        self._done = done
        self._closed = False

    def __iter__(self) -> Iterator[bytes]:
        try:
            with _as_httpx():
                yield from self._inner
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        if not self._closed:
            self._closed = True
            try:
                self._inner.close()
            finally:
                self._done()


@cache
def tls() -> ssl.SSLContext:
    """Certificates are read once a process; every account uses them."""
    return httpx2.create_ssl_context()


class Transport(httpx2.BaseTransport):
    """An HTTP/1.1 transport that keeps deadlines and refuses addresses. Safe to share between threads.

    How many connections are open is the limiter's business; `keep` is how many of them stay open without a call.
    """

    def __init__(self, keep: int = 256) -> None:
        self._idle = _Idle(keep)

    def handle_request(self, request: httpx2.Request) -> httpx2.Response:
        """Send one request; the body of the answer is read under the same deadline."""
        asked = httpcore2.Request(
            method=request.method,
            url=httpcore2.URL(
                scheme=request.url.raw_scheme,
                host=request.url.raw_host,
                port=request.url.port,
                target=request.url.raw_path,
            ),
            headers=request.headers.raw,
            content=request.stream,
            extensions=request.extensions,
        )
        connection = self._idle.take(asked.url.origin)
        try:
            with _as_httpx():
                answer = connection.handle_request(asked)
        except BaseException:
            connection.close()
            raise
        body = _Body(answer.stream, partial(self._idle.put, connection))
        return httpx2.Response(answer.status, headers=answer.headers, stream=body, extensions=answer.extensions)

    def close(self) -> None:
        """Close every connection."""
        self._idle.close()


def http_client() -> httpx2.Client:
    """An HTTP client on such a transport: no redirects, nothing from the environment."""
    return httpx2.Client(transport=Transport(), follow_redirects=False, trust_env=False, timeout=None)
