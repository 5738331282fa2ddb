"""Celery's `rate_limit` on a task that calls a model through the openai SDK, as its user would write it.

Run as a script it hands the backlog in and counts what became of it.
"""

# mypy: disable-error-code="untyped-decorator"
from __future__ import annotations

import os
import time
from typing import Any

import openai
import redis
from celery import Celery

from bench.llm import backlog

URL = os.environ.get("BENCH_REDIS_URL", "")
# Kombu's own words for a socket; its transport takes no other.
app = Celery("quota", broker=URL.replace("unix://", "redis+socket://"))
app.conf.task_ignore_result = True
counters: Any = redis.Redis.from_url(URL, decode_responses=True) if URL else None
client = openai.OpenAI(api_key="none", base_url=os.environ.get("BENCH_MODEL_URL", "http://127.0.0.1:9/v1"))


@app.task(name="ask", rate_limit=os.environ.get("BENCH_RATE_LIMIT"))
def ask() -> None:
    """Call the model; the SDK tries twice more by default."""
    request: Any = backlog.REQUEST
    try:
        client.chat.completions.create(**request)
    except openai.OpenAIError as error:
        counters.hincrby("failed", type(error).__name__, 1)
        raise
    counters.incr("answered")


def main() -> None:
    """Hand in more than the provider allows in the time, and count at its end."""
    order = backlog.Order.given()
    end = order.begin()
    with app.producer_or_acquire() as producer:
        for _ in range(round(order.per_minute * order.seconds / 60 * 3) + 64):
            ask.apply_async(producer=producer)
    time.sleep(max(0.0, end - time.monotonic()))
    tally = backlog.Tally(int(counters.get("answered") or 0))
    for reason, count in counters.hgetall("failed").items():
        tally.reasons[reason] = int(count)
    tally.failed = tally.reasons.total()
    tally.leave(order)


if __name__ == "__main__":
    main()
