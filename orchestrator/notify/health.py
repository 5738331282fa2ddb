"""What `chordal doctor` says of notifications."""

from __future__ import annotations

import time
from typing import Final

from orchestrator.domain.views import Check
from orchestrator.notify.parts import NotifyParts
from orchestrator.notify.targets import WEBHOOK
from orchestrator.settings import Settings
from orchestrator.store.store import Store

LATE_MS: Final = 60_000
"""News that are due for longer say that no worker takes the messages."""
SILENT_MS: Final = 300_000
"""Workers say every minute which receivers they know."""
RECENT_MS: Final = 86_400_000


def checks(store: Store, settings: Settings, parts: NotifyParts) -> list[Check]:
    """A line on receivers, one on what waits, one on what was given up; none where nobody is to be told."""
    targets, fault = parts.targets(), parts.fault()
    if not targets and fault is None:
        return []
    return [_receivers(store, settings, parts, fault), _waiting(store, settings), _given_up(store)]


def _receivers(store: Store, settings: Settings, parts: NotifyParts, fault: str | None) -> Check:
    name, targets = "notifications", parts.targets()
    if fault is not None:
        return Check(name, False, fault, "mend the setting and restart the workers")
    now = store.goals.clock_ms()
    silent = [one.name for one in targets.values() if now - one.seen_ms > SILENT_MS]
    if silent:
        return Check(
            name, False, f"no worker knows {', '.join(silent)}",
            "start workers with the same CHORDAL_IMPORTS and CHORDAL_WEBHOOK_URL; one that is gone for good is forgotten "
            "after an hour",
        )  # fmt: skip
    unsigned = WEBHOOK in targets and settings.webhook_secret is None and settings.webhook_url is not None
    detail = f"{len(targets)} told: {', '.join(targets)}" + ("; webhooks are not signed" if unsigned else "")
    return Check(name, True, detail, "set CHORDAL_WEBHOOK_SECRET" if unsigned else "")


def _waiting(store: Store, settings: Settings) -> Check:
    count, first = store.tell.waiting()
    late = 0 if first is None else store.goals.clock_ms() - first
    if late > LATE_MS:
        return Check(
            "notifications waiting", False, f"{count} goals have news, the first for {late / 1000:.0f} s",
            f"no worker serves the queue {settings.notify_queue!r}, or beat does not tick",
        )  # fmt: skip
    return Check("notifications waiting", True, f"{count} goals" if count else "none")


def _given_up(store: Store) -> Check:
    since = store.goals.clock_ms() - RECENT_MS
    recent = [entry for entry in store.tell.untold() if entry["at_ms"] >= since]
    if not recent:
        return Check("notifications given up", True, "none within a day")
    last = recent[0]
    ago = time.strftime("%H:%M:%S", time.gmtime(last["at_ms"] / 1000))
    detail = f"{len(recent)} within a day; the last, {last['event']} to {last['target']} at {ago} UTC: {last['why']}"
    return Check("notifications given up", False, detail, "mend the receiver; `chordal events GOAL` has what it missed")
