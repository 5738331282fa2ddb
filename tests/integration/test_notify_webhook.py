"""One POST of a webhook: what is sent, what counts as told, and what a bad receiver can do to it."""

from __future__ import annotations

import shutil
import socket
import ssl
import subprocess
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import pytest

from orchestrator.notify.webhook import NotTold, fault_of_url, post
from support.receiver import Receiver, drip, receiver


@pytest.fixture
def hook() -> Iterator[Receiver]:
    with receiver() as one:
        yield one


def send(url: str, seconds: float = 5.0, insecure: bool = False) -> int:
    return post(url, b'{"a":1}', {"Content-Type": "application/json", "X-One": "1"}, seconds, insecure)


def test_what_is_sent_arrives_whole(hook: Receiver) -> None:
    assert send(hook.url) == 204
    (got,) = hook.got
    assert (got.body, got.path) == (b'{"a":1}', "/hook?from=test")
    assert (got.headers["X-One"], got.headers["Content-Type"]) == ("1", "application/json")


@pytest.mark.parametrize("status", [301, 302, 400, 410, 500, 503])
def test_only_2xx_counts_as_told_and_redirects_are_not_followed(hook: Receiver, status: int) -> None:
    hook.status, hook.headers = status, {"Location": hook.url + "&again=1"}
    with pytest.raises(NotTold, match=str(status)):
        send(hook.url)
    assert len(hook.got) == 1


def test_retry_after_is_heard(hook: Receiver) -> None:
    hook.status, hook.headers = 429, {"Retry-After": "17"}
    with pytest.raises(NotTold) as told:
        send(hook.url)
    assert told.value.after_seconds == 17.0


def test_an_answer_that_drips_is_cut_at_the_time_limit(hook: Receiver) -> None:
    hook.answer = drip
    begun = time.monotonic()
    with pytest.raises(NotTold, match="within 0\\.6 s"):
        send(hook.url, 0.6)
    assert time.monotonic() - begun < 2.0
    assert not [one for one in threading.enumerate() if one.name == "chordal-webhook" and not _ends(one)]


def _ends(thread: threading.Thread) -> bool:
    thread.join(5)
    return not thread.is_alive()


def test_nobody_there() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # bound and not listening: connections are refused
        with pytest.raises(NotTold, match="ConnectionRefused"):
            send(f"http://127.0.0.1:{taken.getsockname()[1]}/")


def test_garbage_instead_of_http(hook: Receiver) -> None:
    def nonsense(handler: BaseHTTPRequestHandler) -> None:
        handler.wfile.write(b"\x00\xff nonsense\r\n\r\n")

    hook.answer = nonsense
    with pytest.raises(NotTold):
        send(hook.url)


def test_a_name_that_leads_off_this_machine_gets_nothing_over_http(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        address = listening.getsockname()

        class Elsewhere(socket.socket):
            def getpeername(self) -> tuple[str, int]:
                return "192.0.2.7", 80

        def connect(*_: object, **__: object) -> socket.socket:
            one = Elsewhere()
            one.connect(address)
            return one

        monkeypatch.setattr(socket, "create_connection", connect)
        with pytest.raises(NotTold, match="another machine"):
            send(f"http://localhost:{address[1]}/")
        peer, _ = listening.accept()
        with peer:
            assert peer.recv(100) == b"", "the connection was closed before anything was sent"


@pytest.fixture(scope="session")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A certificate for localhost that nobody has signed, and its key."""
    folder = tmp_path_factory.mktemp("tls")
    made = folder / "cert.pem", folder / "key.pem"
    openssl = shutil.which("openssl")
    if openssl is None:
        pytest.skip("openssl is not installed: there is no certificate to test with")
    command = [openssl, "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost"]
    more = ["-addext", "subjectAltName=DNS:localhost", "-out", str(made[0]), "-keyout", str(made[1])]
    subprocess.run([*command, *more], check=True, capture_output=True, timeout=60)
    return made


def test_https_is_verified(certificate: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*certificate)
    with receiver(context) as secure:
        url = secure.url.replace("http://127.0.0.1", "https://localhost")
        with pytest.raises(NotTold, match="CERTIFICATE_VERIFY_FAILED"):
            send(url)
        assert secure.got == []
        monkeypatch.setenv("SSL_CERT_FILE", str(certificate[0]))
        assert send(url) == 204
        assert len(secure.got) == 1


def test_a_handshake_that_never_comes_is_cut_too() -> None:
    begun = time.monotonic()
    with (
        socket.create_server(("127.0.0.1", 0)) as silent,
        pytest.raises(NotTold, match=r"within|timed out"),
    ):
        send(f"https://localhost:{silent.getsockname()[1]}/", 0.5)
    assert time.monotonic() - begun < 5


@pytest.mark.parametrize(
    ("url", "insecure", "said"),
    [
        ("https://example.org/hook", False, None),
        ("http://localhost:8080/hook", False, None),
        ("http://[::1]/hook", False, None),
        ("http://example.org/hook", False, "http to another machine"),
        ("http://127.0.0.1.example.org/hook", False, "http to another machine"),
        ("http://example.org/hook", True, None),
        ("https://user:password@example.org/", False, "user or password"),
        ("ftp://example.org/", True, "must begin with"),
        ("https://", True, "must begin with"),
        ("https://example.org:99999/", True, "not a URL"),
        ("https://example.org/a b", True, "blanks"),
        ("https://example.org/\r\nX: 1", True, "blanks"),
    ],
)
def test_what_a_webhooks_url_may_be(url: str, insecure: bool, said: str | None) -> None:
    fault = fault_of_url(url, insecure)
    assert fault is None if said is None else said in str(fault)
