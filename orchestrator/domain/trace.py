"""The trace id of a goal: what its log lines, its notifications and the calls made for it have in common."""

from __future__ import annotations

import hashlib


def trace_id(goal: str, created_ms: int | str) -> str:
    """32 hexadecimal digits, a trace id as W3C Trace Context has them, for the goal that was stored then.

    Whoever knows the two can tell it; a later goal of the same name has another one.
    """
    return hashlib.sha256(f"{goal}\n{created_ms}".encode()).hexdigest()[:32]
