"""The `when` of an edge: a small, safe test of the source node's output.

Written as ``"score >= 0.5"`` or ``{"path": "score", "op": ">=", "value": 0.5}``. Nothing is evaluated as code.
"""

from __future__ import annotations

import json
import operator
import re
from collections.abc import Callable
from typing import Any, Final

from pydantic import BaseModel, ConfigDict, model_validator

from orchestrator.domain.refs import MISSING, member

_OPERATORS: Final[dict[str, Callable[[Any, Any], bool]]] = {
    "==": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
    "in": lambda left, right: left in right,
    "contains": lambda left, right: right in left,
}
_TEXT: Final = re.compile(r"^\s*(?P<path>[\w.-]*)\s*(?P<op>==|!=|<=|>=|<|>|\bin\b|\bcontains\b)\s*(?P<value>.+?)\s*$")


class Condition(BaseModel):
    """`path op value`, tested against the source's output; the empty path is the whole output."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    path: str = ""
    """Where in the output, as in an input's `path`."""
    op: str = "truthy"
    """`==`, `!=`, `<`, `<=`, `>`, `>=`, `in`, `contains`, `truthy` or `exists`."""
    value: Any = None
    """What to compare with; JSON."""

    @model_validator(mode="before")
    @classmethod
    def _from_text(cls, raw: Any) -> Any:
        if not isinstance(raw, str):
            return raw
        found = _TEXT.match(raw)
        if not found:
            if re.fullmatch(r"[\w.-]+", raw.strip()):
                return {"path": raw.strip(), "op": "truthy"}
            raise ValueError('a condition reads "path op value", as in "score >= 0.5", or just "path"')
        try:
            value = json.loads(found["value"])
        except ValueError:
            raise ValueError(f"the right side {found['value']!r} is not JSON (a text needs double quotes)") from None
        return {"path": found["path"], "op": found["op"], "value": value}

    @model_validator(mode="after")
    def _known(self) -> Condition:
        if self.op not in _OPERATORS and self.op not in ("truthy", "exists"):
            known = ", ".join([*_OPERATORS, "truthy", "exists"])
            raise ValueError(f"unknown operator {self.op!r}; known: {known}")
        return self

    def holds(self, output: Any) -> bool:
        """Whether the output meets the condition. A missing member or a type that cannot be compared is False."""
        left = member(output, self.path)
        if self.op == "exists":
            return left is not MISSING
        if left is MISSING:
            return False
        if self.op == "truthy":
            return bool(left)
        try:
            return bool(_OPERATORS[self.op](left, self.value))
        except TypeError:
            return False
