"""An ordinary Celery app. The one line that Chordal needs is `attach(app)`; the tasks are what they were before.

celery -A shop worker -Q shop          # the app's own workers run its tasks
chordal up                             # Chordal's workers, or `celery -A orchestrator worker` and `beat`
chordal run examples/existing_app
"""

from __future__ import annotations

import os
from pathlib import Path

from celery import Celery

from orchestrator import attach

app = Celery("shop", broker=os.environ.get("SHOP_BROKER", "redis://127.0.0.1:6379/0"))
app.conf.update(task_default_queue="shop", task_acks_late=True, worker_prefetch_multiplier=4)
attach(app)


@app.task
def price(item: str, amount: int) -> int:
    """Cents for so many of an item."""
    return {"tea": 450, "cup": 1250}[item] * amount


@app.task(bind=True, max_retries=3, default_retry_delay=0.2)
def reserve(self, item: str, amount: int, log: str) -> str:  # type: ignore[no-untyped-def]
    """Fails the first time, and retries by Celery's own means."""
    with Path(log).open("a") as file:
        file.write(f"reserve {item}\n")
    if self.request.retries == 0:
        raise self.retry(exc=ConnectionError("the warehouse does not answer"))
    return f"{amount} x {item}"


@app.task
def invoice(tea: int, cup: int, log: str) -> str:
    """One line of text."""
    with Path(log).open("a") as file:
        file.write("invoice\n")
    return f"total {(tea + cup) / 100:.2f}"


@app.task
def refuse() -> None:
    """A task that fails."""
    raise ValueError("no such customer")
