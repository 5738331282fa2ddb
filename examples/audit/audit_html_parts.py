"""Building blocks of the page: tiles, sections, sortable tables, severity signs."""

from __future__ import annotations

from collections.abc import Sequence

from audit_graph_svg import mark
from audit_markup import Child, Markup, tag


def tiles(items: Sequence[tuple[str, str, str]]) -> Markup:
    """A row of figures: name, value, what it means."""
    return tag(
        "dl",
        [tag("div", tag("dt", name), tag("dd", value, tag("small", more))) for name, value, more in items],
        class_="tiles",
    )


def section(place: str, title: str, lead: Child, *content: Child) -> Markup:
    """A part of the page with its heading and one sentence on what it shows."""
    return tag("section", tag("h2", title), tag("p", lead, class_="lead"), content, id=place)


def table(name: str, heads: Sequence[tuple[str, str]], rows: Sequence[Markup], **attributes: str) -> Markup:
    """A table whose columns can be sorted; a head is (title, class), the class `n` means numbers."""
    cells = [tag("th", tag("button", title, type="button"), scope="col", class_=kind or None) for title, kind in heads]
    body = tag("table", tag("thead", tag("tr", cells)), tag("tbody", rows), **attributes)
    return tag("div", body, class_="scroll", tabindex=0, role="region", aria_label=name)


def cell(value: Child, key: float | None = None, kind: str = "") -> Markup:
    """A table cell; `key` is what a numeric column is sorted by."""
    return tag("td", value, class_=kind or None, data_v=key)


def mark_of(severity: str) -> Markup:
    """The sign of a severity as a small picture in a line of text."""
    return tag("svg", mark(severity), viewBox="0 0 12 12", class_="sign", aria_hidden="true")
