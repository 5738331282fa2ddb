"""How many tokens a request has, counted offline with OpenAI's own vocabularies, and counted high for other models.

The vocabularies come with `bpe-openai`; nothing is downloaded. What a provider adds around messages is an allowance.
"""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Callable
from functools import lru_cache
from importlib.machinery import PathFinder
from typing import Any, Final

from orchestrator.llm.messages import Request
from orchestrator.llm.profiles import Model

MESSAGE_OVERHEAD: Final = 4
"""Tokens around one message: 3 and its role, as OpenAI's cookbook counts them, rounded up."""
REPLY_OVERHEAD: Final = 3
_O200K: Final = ("gpt-4o", "gpt-4.1", "gpt-4.5", "gpt-5", "chatgpt", "o1", "o3", "o4", "gpt-oss")
_CL100K: Final = ("gpt-4", "gpt-3.5", "gpt-35", "text-embedding")


def count_text(text: str, encoding: str | None) -> int:
    """Tokens of a text. Without a known encoding: one for every 3 bytes of UTF-8, and 10 % of safety on top."""
    count = _counter(encoding) if encoding else None
    return count(text) if count else -(-len(text.encode("utf-8", "replace")) * 11 // 30)


def count_request(request: Request, encoding: str | None) -> int:
    """Input tokens of a request: messages, tool calls, tools and the answer's schema."""
    total = REPLY_OVERHEAD
    for message in request.messages:
        total += MESSAGE_OVERHEAD + count_text(message.text, encoding)
        for call in message.tool_calls:
            total += MESSAGE_OVERHEAD + count_text(call.name + call.arguments, encoding)
    shapes = [tool.model_dump(mode="json") for tool in request.tools]
    if request.response_schema is not None:
        shapes.append(request.response_schema)
    return total + sum(count_text(json.dumps(shape, ensure_ascii=False), encoding) for shape in shapes)


def encoding_of(model: Model, name: str) -> str | None:
    """The encoding of a model: as its profile says, or after the provider's name of it; None if neither is known."""
    if model.encoding:
        return model.encoding
    bare = (model.name or name).lower().rpartition("/")[2]
    if bare.startswith(_O200K):
        return "o200k_base"
    return "cl100k_base" if bare.startswith(_CL100K) else None


@lru_cache(maxsize=8)
def _counter(encoding: str) -> Callable[[str], int] | None:
    try:
        count: Callable[[str], int] = _binding().tokenizer_for_encoding(encoding).count
    except (ImportError, KeyError, ValueError, LookupError):
        return None
    return lambda text: count(text.encode("utf-8", "replace").decode())


@lru_cache(maxsize=1)
def _binding() -> Any:
    """The compiled part of `bpe-openai` alone: the package around it reads three vocabularies into dictionaries that only
    its decoder needs (67 MB and half a second), and refuses long texts."""
    package = importlib.util.find_spec("bpe_openai")
    found = package and PathFinder.find_spec("bpe_openai._bindings", package.submodule_search_locations)
    if not (found and found.loader):
        raise ImportError("bpe_openai has no compiled part")
    module = importlib.util.module_from_spec(found)
    found.loader.exec_module(module)
    return module
