"""Pieces of an answer, written where screens can follow them, a few times a second."""

from __future__ import annotations

import logging
import time
from typing import Final

from orchestrator.domain.lease import Lease
from orchestrator.llm.messages import Chunk
from orchestrator.store.llm_shared import SharingFailed
from orchestrator.store.store import Store

log = logging.getLogger(__name__)

EVERY_SECONDS: Final = 0.1


class ChunkWriter:
    """Gathers the pieces of one attempt. What cannot be written is lost: the answer is whole with the commit."""

    def __init__(self, store: Store, lease: Lease) -> None:
        self._store = store
        self._lease = lease
        self._text: list[str] = []
        self._last: Chunk | None = None
        self._at = 0.0

    def __call__(self, chunk: Chunk) -> None:
        """One more piece."""
        self._text.append(chunk.text)
        self._last = chunk
        if time.monotonic() - self._at >= EVERY_SECONDS:
            self.flush()

    def flush(self) -> None:
        """Write what has gathered."""
        if self._last is None or not self._text:
            return
        text, self._text, self._at = "".join(self._text), [], time.monotonic()
        try:
            self._store.chunks.add(self._lease, self._last.attempt, self._last.model, text)
        except SharingFailed as error:  # away, or full
            log.warning("a piece of an answer in %s is not shown: %s", self._lease.goal, error)
