"""HTTP under a wall clock: one time limit for the whole exchange, from the connection to the last byte.

Proxies of the environment are not used, and redirects are not followed. How waits end, and which addresses may be called,
is the business of `orchestrator.llm.sockets`.
"""

from __future__ import annotations

import ssl
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache, partial
from typing import Any, Final

import httpcore2
import httpx2

from orchestrator.llm.sockets import Backend, RefusedAddress, deadline, leave

__all__ = ["NotConnected", "RefusedAddress", "Transport", "deadline", "http_client", "tls"]

NotConnected = httpx2.ConnectError
"""No connection was made, so nothing was sent."""

_IDLE_SECONDS: Final = 30.0
"""A connection that has not been used for so long is closed."""


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
                    origin, ssl_context=tls(), keepalive_expiry=_IDLE_SECONDS, network_backend=Backend()
                )
            if connection.can_handle_request(origin) and not connection.has_expired():
                return connection
            connection.close()

    def put(self, connection: httpcore2.HTTPConnection) -> None:
        """The call is over."""
        leave()
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
