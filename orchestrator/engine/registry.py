"""The functions that nodes may call, by name. Only what is registered can run: a goal never imports code."""

from __future__ import annotations

import inspect
import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from difflib import get_close_matches
from typing import Any, TypeVar, overload

from orchestrator.domain.errors import UnknownFunction

Function = TypeVar("Function", bound=Callable[..., Any])


@dataclass(frozen=True, slots=True)
class Registered:
    """A function and what the engine must know of its signature."""

    name: str
    function: Callable[..., Any]
    wants_upstream: bool
    """It has a parameter named `upstream`: without inputs it receives ``{parent: output}``."""


@dataclass(slots=True)
class Registry:
    """Functions by the names under which goals call them."""

    functions: dict[str, Registered] = field(default_factory=dict)
    imported: list[str] = field(default_factory=list)
    """Modules that were imported for their functions, for error messages."""
    later: dict[str, Callable[[], None]] = field(default_factory=dict)
    """What registers the functions of a module when the first of them is called, by the name of the module."""
    _lock: threading.RLock = field(default_factory=threading.RLock, repr=False, compare=False)

    def add(self, function: Callable[..., Any], name: str | None = None) -> None:
        """Register under `name`, by default ``"package.module:qualname"``."""
        known = name or default_name(function)
        parameters = inspect.signature(function).parameters
        self.functions[known] = Registered(known, function, "upstream" in parameters)

    def get(self, name: str) -> Registered:
        """The function of that name. Raises UnknownFunction, which says where was looked."""
        found = self.functions.get(name)
        if found is None and name.partition(":")[0] in self.later:
            self._register(name.partition(":")[0])
            found = self.functions.get(name)
        if found is None:
            raise UnknownFunction(self._not_found(name))
        return found

    def _register(self, module: str) -> None:
        with self._lock:  # whoever comes meanwhile waits until they are there
            if module in self.later:
                self.later[module]()
                del self.later[module]

    def _not_found(self, name: str) -> str:
        module, _, attribute = name.partition(":")
        where = f"imported: {', '.join(self.imported)}" if self.imported else "CHORDAL_IMPORTS is empty"
        near = get_close_matches(name, self.functions, n=3)
        hint = f"; did you mean {' or '.join(map(repr, near))}?" if near else ""
        if module in sys.modules and attribute and hasattr(sys.modules[module], attribute.split(".")[0]):
            return f"the function {name!r} is not registered: put @node on it ({where}){hint}"
        remedy = f"name its module in CHORDAL_IMPORTS ({module!r}) and restart the workers"
        return f"this worker knows no function {name!r} ({where}; {len(self.functions)} functions registered); {remedy}{hint}"


def default_name(function: Callable[..., Any]) -> str:
    """``"package.module:qualname"``; a function of a script that is run has its file's name as module."""
    module = function.__module__
    if module == "__main__":
        spec = getattr(sys.modules["__main__"], "__spec__", None)
        file = getattr(sys.modules["__main__"], "__file__", None)
        if spec is not None:
            module = spec.name
        elif file:
            module = file.rpartition("/")[2].removesuffix(".py")
    return f"{module}:{function.__qualname__}"


REGISTRY = Registry()
"""The process's registry, which `@node` fills."""


@overload
def node(function: Function, /) -> Function: ...
@overload
def node(*, name: str | None = None) -> Callable[[Function], Function]: ...
def node(function: Any = None, /, *, name: str | None = None) -> Any:
    """Let goals call this function; it stays an ordinary function.

    A node names it as ``"call": "package.module:function"``, or by the `name` given here.
    """

    def register(target: Function) -> Function:
        REGISTRY.add(target, name)
        return target

    return register(function) if function is not None else register
