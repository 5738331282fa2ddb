"""The openai SDK with its own retries: two after each refusal, as long behind it as the provider says."""

from __future__ import annotations

from typing import Any

import openai

from bench.llm import backlog


def main() -> None:
    """Call until the time is over."""
    order = backlog.Order.given()
    client = openai.OpenAI(api_key="none", base_url=order.url, max_retries=2)
    request: Any = backlog.REQUEST
    backlog.threads(order, lambda: client.chat.completions.create(**request))


if __name__ == "__main__":
    main()
