"""One POST of a webhook: a total time limit, no redirects, and nobody but the one address that the operator named."""

from __future__ import annotations

import ipaddress
import socket
import threading
from collections.abc import Mapping
from contextlib import closing, suppress
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import SplitResult, urlsplit

from orchestrator.domain.errors import ChordalError


class NotTold(ChordalError):
    """A receiver did not take an event; the message says why. It is told again later."""

    def __init__(self, message: str, after_seconds: float | None = None) -> None:
        super().__init__(message)
        self.after_seconds = after_seconds
        """How long the receiver asks not to be bothered; None where it does not say."""


def fault_of_url(url: str, insecure: bool) -> str | None:
    """Why a URL cannot be a webhook's, or None. `insecure` allows http to other machines."""
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError:
        return "it is not a URL"
    if parts.scheme not in ("http", "https") or not host:
        return "it must begin with https:// (http:// on this machine) and name a host"
    if parts.username is not None or parts.password is not None:
        return "it carries a user or password: what is sent is signed instead"
    if any(ord(one) <= 32 or ord(one) >= 127 for one in url):
        return "it has blanks or characters that are not ASCII"
    if parts.scheme == "http" and not insecure and not _is_here(host):
        return "http to another machine can be read on the way: use https, or set CHORDAL_WEBHOOK_INSECURE"
    return None


def post(url: str, body: bytes, headers: Mapping[str, str], timeout_seconds: float, insecure: bool = False) -> int:
    """Send a webhook; returns the status, 200 to 299. The time is that of everything: name, connection, TLS, answer.

    Raises NotTold.
    """
    call = _Call(urlsplit(url), body, headers, timeout_seconds, insecure)
    # Its own thread, because neither a resolver nor an answer that drips byte by byte heeds a socket's time limit.
    thread = threading.Thread(target=call.run, name="chordal-webhook", daemon=True)
    thread.start()
    thread.join(timeout_seconds)
    if thread.is_alive():
        call.give_up()
        raise NotTold(f"it did not answer within {timeout_seconds:g} s")
    if call.failure is not None:
        raise call.failure
    return call.status


@dataclass(slots=True)
class _Call:
    """One request, made by a thread of its own."""

    url: SplitResult
    body: bytes
    headers: Mapping[str, str]
    timeout_seconds: float
    insecure: bool
    status: int = 0
    failure: NotTold | None = None
    _connection: Any = None
    _given_up: bool = False
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def run(self) -> None:
        try:
            self._exchange()
        except NotTold as error:
            self.failure = error
        except Exception as error:  # what a receiver, a resolver or TLS can do to a request is no short list
            self.failure = NotTold(f"{type(error).__name__}: {error}" if str(error) else type(error).__name__)
        finally:
            self._close()

    def give_up(self) -> None:
        """Cut the connection: the thread ends with the next thing it reads."""
        self._given_up = True
        connection = self._connection
        if connection is not None and connection.sock is not None:
            with suppress(OSError):
                connection.sock.shutdown(socket.SHUT_RDWR)

    def _exchange(self) -> None:
        import http.client
        import ssl

        host, tls = self.url.hostname or "", self.url.scheme == "https"
        kind = http.client.HTTPSConnection if tls else http.client.HTTPConnection
        options: dict[str, Any] = {"context": ssl.create_default_context()} if tls else {}
        self._connection = kind(host, self.url.port, timeout=self.timeout_seconds, **options)
        self._connection.connect()
        self._check_peer()
        if self._given_up:
            return
        path = self.url.path or "/"
        target = f"{path}?{self.url.query}" if self.url.query else path
        self._connection.request("POST", target, self.body, {**self.headers, "Connection": "close"})
        with closing(self._connection.getresponse()) as answer:
            self._judge(answer)

    def _judge(self, answer: Any) -> None:
        self.status = answer.status
        if not 200 <= answer.status < 300:
            more = "; redirects are not followed" if 300 <= answer.status < 400 else ""
            raise NotTold(f"it answered {answer.status} {answer.reason[:80]}{more}", _asked(answer))

    def _check_peer(self) -> None:
        """What the name led to, before anything is sent: a name may lead to a metadata service, or off this machine."""
        from orchestrator.llm.address import fault_of_address

        address = ipaddress.ip_address(self._connection.sock.getpeername()[0].partition("%")[0])
        if fault := fault_of_address(address):
            raise NotTold(fault)
        if self.url.scheme == "http" and not self.insecure and not address.is_loopback:
            raise NotTold(f"{self.url.hostname} is {address}, another machine: http to it can be read on the way")

    def _close(self) -> None:
        with self._lock, suppress(OSError):
            if self._connection is not None:
                self._connection.close()


def _asked(answer: Any) -> float | None:
    """Retry-After in seconds; its other form, a date, is left to the usual wait."""
    text = answer.getheader("Retry-After") or ""
    return float(text) if text.isascii() and text.isdecimal() and len(text) < 10 else None


def _is_here(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
