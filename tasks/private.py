"""Messages whose arguments are nobody's business: they hold prompts."""

from __future__ import annotations

from typing import Any, Final

from celery.worker.request import Request

HIDDEN: Final = "..."


class PrivateRequest(Request):
    """A request whose arguments stand in no event, log or answer to `inspect`, whoever sent it."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._argsrepr = self._kwargsrepr = HIDDEN
        self._request_dict.update(argsrepr=HIDDEN, kwargsrepr=HIDDEN)  # what a failed task is logged with

    def info(self, safe: bool = False) -> dict[str, Any]:  # noqa: ARG002 (Celery's signature)
        """What `celery inspect` shows: the hidden form, also to those who ask for the arguments."""
        shown: dict[str, Any] = super().info(safe=True)
        return shown
