"""The signature of a webhook: that it comes from here, and when it was sent.

HMAC-SHA256 (RFC 2104) with the shared secret over the timestamp, a dot and the body, byte by byte. The timestamp is part
of what is signed, so that a receiver can refuse what somebody recorded and sends again.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping
from typing import Final

EVENT: Final = "Chordal-Event"
EVENT_ID: Final = "Chordal-Event-Id"
TIMESTAMP: Final = "Chordal-Timestamp"
SIGNATURE: Final = "Chordal-Signature"
VERSION: Final = "v1="
TOLERANCE_SECONDS: Final = 300.0
LONGEST_STAMP: Final = 15
"""Digits; a number of thousands of them, which anybody can send, cannot be computed with."""


def sign(secret: str, timestamp: int, body: bytes) -> str:
    """The value of the header Chordal-Signature: ``v1=`` and 64 hexadecimal digits."""
    return VERSION + hmac.new(secret.encode(), b"%d." % timestamp + body, hashlib.sha256).hexdigest()


def verify(
    secret: str, headers: Mapping[str, str], body: bytes, now: float, tolerance_seconds: float = TOLERANCE_SECONDS
) -> bool:
    """Whether a webhook is genuine and not older, or newer, than the tolerance; for receivers in Python.

    `headers` by any case, `body` as it came, `now` in seconds since the epoch. There may be several signatures with
    commas, while a secret is being changed.
    """
    found = {name.lower(): value for name, value in headers.items()}
    stamp = found.get(TIMESTAMP.lower(), "")
    if (
        not (stamp.isascii() and stamp.isdecimal() and len(stamp) <= LONGEST_STAMP)
        or abs(now - int(stamp)) > tolerance_seconds
    ):
        return False
    wanted = sign(secret, int(stamp), body).encode()
    given = found.get(SIGNATURE.lower(), "").split(",")
    return any(hmac.compare_digest(wanted, one.strip().encode("utf-8", "replace")) for one in given)
