"""What tells webhooks and callbacks of outcomes, put together."""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Callable, Mapping
from functools import cached_property, partial
from typing import Final

from orchestrator.engine.leases import Keeper
from orchestrator.notify import signing
from orchestrator.notify.calling import call
from orchestrator.notify.delivery import Deliverer, Tell
from orchestrator.notify.notice import Notice
from orchestrator.notify.targets import CALLBACKS, WEBHOOK, Callbacks, Target, check_patterns
from orchestrator.notify.watch import Watch
from orchestrator.notify.webhook import fault_of_url, post
from orchestrator.settings import Settings
from orchestrator.store.store import Store

log = logging.getLogger(__name__)

KNOWN_SECONDS: Final = 10.0
"""How long a process goes by what it last read of the fleet's receivers."""


class NotifyParts:
    """Webhooks and callbacks of one process."""

    def __init__(
        self, store: Store, settings: Settings, send: Callable[[str], None], keeper: Callable[[], Keeper],
        callbacks: Callbacks = CALLBACKS,
    ) -> None:  # fmt: skip
        """`send` sends the message that has a worker tell of a goal."""
        self._store = store
        self._settings = settings
        self._keeper = keeper
        self._callbacks = callbacks
        self._targets: Mapping[str, Target] = {}
        self._read = 0.0
        self.watch = Watch(store, settings, self.targets, send)

    @cached_property
    def deliverer(self) -> Deliverer:
        """Tells, on a worker."""
        return Deliverer(self._store, self._settings, self.targets, self.known, {})

    def targets(self) -> Mapping[str, Target]:
        """The receivers that the fleet knows, by name."""
        now = time.monotonic()
        if not self._read or now - self._read >= KNOWN_SECONDS:
            found = self._store.tell.targets()
            self._targets = {name: Target.of(name, *raw) for name, raw in found.items()}
            self._read = now
        return self._targets

    # -- what this process knows ------------------------------------------------------------------------------------

    def fault(self) -> str | None:
        """What is wrong with the webhook of the settings, or None."""
        settings = self._settings
        if settings.webhook_url is None:
            return None
        if fault := fault_of_url(settings.webhook_url, settings.webhook_insecure):
            return f"CHORDAL_WEBHOOK_URL: {fault}"
        try:
            check_patterns(settings.webhook_events)
        except ValueError as error:
            return f"CHORDAL_WEBHOOK_EVENTS: {error}"
        return None

    def mine(self) -> dict[str, Target]:
        """The receivers that this process can tell."""
        found = dict(self._callbacks.targets())
        if self._settings.webhook_url is not None and self.fault() is None:
            found[WEBHOOK] = Target(WEBHOOK, tuple(self._settings.webhook_events))
        return found

    def register(self) -> None:
        """Let the fleet know which receivers this worker can tell; every minute or so. Without any it does nothing."""
        if mine := self.mine():
            self._store.tell.register({name: target.as_text() for name, target in mine.items()})
            self._read = 0.0

    def known(self, name: str) -> Tell | None:
        """How to tell a receiver; None for one that this process does not know."""
        if name == WEBHOOK:
            return self._post if WEBHOOK in self.mine() else None
        found = self._callbacks.functions.get(name)
        if found is None:
            return None
        return partial(self._call, name)

    def _call(self, name: str, notice: Notice) -> None:
        _, function = self._callbacks.functions[name]
        call(self._keeper(), name, function, notice, self._settings.callback_timeout_seconds)

    def _post(self, notice: Notice) -> None:
        settings, stamp = self._settings, int(time.time())
        body = json.dumps(notice.as_json(), ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace")
        headers = {
            "Content-Type": "application/json",
            "User-Agent": "chordal",
            signing.EVENT: notice.type,
            signing.EVENT_ID: notice.id,
            signing.TIMESTAMP: str(stamp),
        }
        if settings.webhook_secret is not None:
            headers[signing.SIGNATURE] = signing.sign(settings.webhook_secret.get_secret_value(), stamp, body)
        assert settings.webhook_url is not None
        post(settings.webhook_url, body, headers, settings.webhook_timeout_seconds, settings.webhook_insecure)
