"""Calls of language models: a fair, durable line before the limits of a provider's account."""
