"""What a call costs, in millionths of a US dollar: by the operator's own table, else by `genai-prices`."""

from __future__ import annotations

import math
from decimal import ROUND_CEILING, Decimal

from orchestrator.llm.messages import Usage
from orchestrator.llm.profiles import Account, Model, Price


def micro_usd(usage: Usage, name: str, model: Model, account: Account) -> int | None:
    """The price of a call, rounded up to whole micro-USD; None where nobody knows a price. Self-hosted and scripted
    models are free unless their profile has a price."""
    if model.price is not None:
        return by_table(usage, model.price)
    if account.price_provider is None:
        return 0 if account.free else None
    return by_library(usage, model.name or name, account.price_provider)


def by_table(usage: Usage, price: Price) -> int:
    """The price by a table of dollars a million tokens, which is micro-dollars a token."""
    cached = price.input if price.cached_input is None else price.cached_input
    fresh = max(0, usage.input_tokens - usage.cached_input_tokens)
    parts = ((fresh, price.input), (usage.cached_input_tokens, cached), (usage.output_tokens, price.output))
    total = sum((Decimal(count) * Decimal(str(dollars)) for count, dollars in parts), Decimal())
    return int(total.to_integral_value(ROUND_CEILING))


def by_library(usage: Usage, name: str, provider: str) -> int | None:
    """The price by the tables of `genai-prices`; None if it is not installed or does not know the model."""
    try:
        from genai_prices import Usage as Counted
        from genai_prices import calc_price
    except ImportError:
        return None
    counted = Counted(
        input_tokens=usage.input_tokens,
        cache_read_tokens=min(usage.cached_input_tokens, usage.input_tokens),
        output_tokens=usage.output_tokens,
    )
    try:
        price = calc_price(counted, name, provider_id=provider)
    except (LookupError, ValueError):
        return None
    return math.ceil(price.total_price * 1_000_000)
