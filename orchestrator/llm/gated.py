"""Reads the inbox of an account's gated calls and hands each word on, among all processes that do so."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Final

from orchestrator.store.connection import ConnectionFailed
from orchestrator.store.llm import GATE
from orchestrator.store.llm_records import Word
from orchestrator.store.store import Store

log = logging.getLogger(__name__)

AWAY_SECONDS: Final = 0.2
"""Pause before the next try while Redis is away."""
_MOST: Final = 16
"""Words read at once: those of a process that dies then go back when their claims run out."""


class GateReader:
    """A thread that sleeps in one blocking pop. Several compete; each word reaches one of them."""

    def __init__(
        self, store: Store, account: str, process: str, publish: Callable[[Word], None], tick: Callable[[], None]
    ) -> None:
        """`publish` gets the words; what it raises is logged, and the grant goes back when its claim runs out."""
        self._store, self._account, self._own = store, account, f"{process}-gate"
        self._publish, self._tick = publish, tick
        self._stopped = False
        self._inbox = store.llm.inbox(store.url, account, self._own, GATE)

    def start(self) -> None:
        """From now on."""
        threading.Thread(target=self._read, name="chordal-llm-gate", daemon=True).start()

    def _read(self) -> None:
        # From the first tick on the account knows that a gate lives.
        words: list[Word] = []
        while not self._stopped:
            try:
                if not words:
                    self._tick()
                words = self._inbox.read(_MOST)
            except ConnectionFailed as error:
                log.warning("account %s: the gate is cut off: %s", self._account, error)
                words = []
                time.sleep(AWAY_SECONDS)
            except Exception:
                log.exception("account %s: the gate failed once; it goes on", self._account)
                words = []
                time.sleep(AWAY_SECONDS)
            for word in words:
                self._hand_on(word)
        self._inbox.close()

    def _hand_on(self, word: Word) -> None:
        try:
            self._publish(word)
        except Exception:
            log.exception("account %s: call %s was not published; it goes back into the line", self._account, word.id)

    def close(self) -> None:
        """Stop the thread."""
        self._stopped = True
        with suppress(*ConnectionFailed):
            self._store.llm.nudge(self._account, self._own)
