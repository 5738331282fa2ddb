"""HTML and SVG with escaping as the default: text becomes a text node, whatever it holds."""

from __future__ import annotations

from collections.abc import Iterable
from html import escape
from typing import Final

_VOID: Final = frozenset({"meta", "br", "hr", "input", "path", "rect", "circle", "line"})
_VOID_SVG: Final = frozenset({"path", "rect", "circle", "line"})


class Markup(str):
    """Text that is markup already. Only this module's functions and constants of the report make it."""

    __slots__ = ()


Child = str | int | float | None | Iterable["Child"]


def text(value: Child) -> Markup:
    """A child as markup: markup stays, lists are joined, None is nothing, anything else is escaped."""
    if value is None:
        return Markup()
    if isinstance(value, Markup):
        return value
    if isinstance(value, str | int | float):
        clean = str(value).encode("utf-8", "replace").decode()
        shown = "".join(letter if letter.isprintable() or letter in "\n\t" else "\ufffd" for letter in clean)
        return Markup(escape(shown))
    return Markup("".join(text(child) for child in value))


def tag(name: str, /, *children: Child, **attributes: str | float | bool | None) -> Markup:
    """One element. `class_` is class, other underscores are hyphens; None and False leave an attribute out."""
    shown = []
    for key, value in attributes.items():
        if value is None or value is False:
            continue
        plain = key.rstrip("_").replace("_", "-")
        shown.append(f" {plain}" if value is True else f' {plain}="{text(_number(value))}"')
    if name in _VOID:
        end = "/>" if name in _VOID_SVG and not children else ">"
        body = "" if not children else f"{text(children)}</{name}>"
        return Markup(f"<{name}{''.join(shown)}{end}{body}")
    return Markup(f"<{name}{''.join(shown)}>{text(children)}</{name}>")


def name_of(value: str) -> Markup:
    """A path or dotted name as code, which lines may break where a reader would break it."""
    parts = text(value)
    for letter in "./":
        parts = Markup(parts.replace(letter, f"{letter}<wbr>"))
    return tag("code", parts)


def _number(value: str | float) -> str | float:
    """Coordinates with at most two decimals: pictures of thousands of shapes stay small."""
    return f"{value:.2f}".rstrip("0").rstrip(".") if isinstance(value, float) else value


def plain_markdown(value: str) -> str:
    """Text that Markdown shows as it is, also inside a table cell."""
    clean = value.encode("utf-8", "replace").decode()
    clean = "".join(letter if letter.isprintable() else " " for letter in clean)
    clean = clean.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return "".join(f"\\{letter}" if letter in "\\`*_[]|#~!" else letter for letter in clean)
