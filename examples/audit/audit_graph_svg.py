"""The import graph as inline SVG: packages as boxes, their modules as rows, imports between packages as ribbons.

Lines between single modules appear when a module is pointed at or chosen (report.js): all at once they are a hairball.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import pairwise
from math import log2
from typing import Final

from audit_layout import LETTER, NAME_LETTERS, WIDTH, Box, grouped, lay_out, short_name
from audit_markup import Markup, tag
from audit_model import SEVERITIES, Audit, ModuleReport

MAX_MODULES: Final = 300
MAX_GROUPS: Final = 30


def drawn_modules(audit: Audit) -> list[ModuleReport]:
    """The modules that are drawn: all, or the best connected ones where there are too many."""
    links: Counter[str] = Counter()
    for edge in audit["graph"]["edges"]:
        links.update((edge["source"], edge["target"]))
    ranked = sorted(audit["modules"], key=lambda module: (-links[module["name"]], module["name"]))
    return sorted(ranked[:MAX_MODULES], key=lambda module: module["name"])


def graph_svg(audit: Audit) -> Markup:
    """The drawing. Chips carry their module's index as `data-m`, which `edge_list` refers to."""
    modules = drawn_modules(audit)
    index = {module["name"]: place for place, module in enumerate(modules)}
    groups = grouped([(module["name"], module["package"]) for module in modules], MAX_GROUPS)
    group_of = {name: group for group, names in groups.items() for name in names}
    between, ordering = _weights(audit, group_of, False), _weights(audit, group_of, True)
    boxes, height = lay_out(groups, ordering)
    places = {name: box.place(i) for box in boxes for i, name in enumerate(box.modules)}
    worst = {module["name"]: _worst(module) for module in modules}
    label = f"Import graph: {len(modules)} modules in {len(boxes)} packages"
    return tag(
        "svg",
        tag("g", _ribbons(boxes, between), class_="ribbons"),
        [_box(box, index, worst) for box in boxes],
        tag("g", _cycles(audit["graph"]["cycles"], places), class_="cycles"),
        tag("g", class_="links"),
        viewBox=f"0 0 {WIDTH:.0f} {height:.0f}", class_="graph", role="img", aria_label=label,
    )  # fmt: skip


def _weights(audit: Audit, group_of: Mapping[str, str], at_import: bool) -> dict[tuple[str, str], int]:
    """How many imports run from group to group; `at_import` leaves out those inside functions and for typing."""
    return Counter(
        (group_of[edge["source"]], group_of[edge["target"]])
        for edge in audit["graph"]["edges"]
        if edge["source"] in group_of and edge["target"] in group_of
        and group_of[edge["source"]] != group_of[edge["target"]]
        and (edge["when"] == "import" or not at_import)
    )  # fmt: skip


def edge_list(audit: Audit) -> list[list[int]]:
    """The imports between drawn modules as [source, target, lazy or typing] for the script: numbers only."""
    index = {module["name"]: place for place, module in enumerate(drawn_modules(audit))}
    return [
        [index[edge["source"]], index[edge["target"]], int(edge["when"] != "import")]
        for edge in audit["graph"]["edges"]
        if edge["source"] in index and edge["target"] in index
    ]


def mark(severity: str, x: float = 6, y: float = 6) -> Markup:
    """The sign of a severity: shape and colour, so that neither is needed alone."""
    shapes = {
        "error": f"M{x - 5:g} {y + 4:g}L{x:g} {y - 5:g}L{x + 5:g} {y + 4:g}Z",
        "warning": f"M{x - 5:g} {y:g}L{x:g} {y - 5:g}L{x + 5:g} {y:g}L{x:g} {y + 5:g}Z",
    }
    if severity in shapes:
        return tag("path", d=shapes[severity], class_=f"mark {severity}")
    return tag("circle", cx=x, cy=y, r=3.6 if severity == "note" else 3.1, class_=f"mark {severity}")


def _worst(module: ModuleReport) -> str:
    found = {finding["severity"] for finding in module["findings"]}
    return next((severity for severity in SEVERITIES if severity in found), "clean")


def _box(box: Box, index: Mapping[str, int], worst: Mapping[str, str]) -> Markup:
    rows = [_chip(box, place, name, index[name], worst[name]) for place, name in enumerate(box.modules)]
    title = box.name if len(box.name) <= 34 else f"…{box.name[-33:]}"
    return tag(
        "g",
        tag("rect", x=box.x, y=box.y, width=box.width, height=box.height, rx=8, class_="box"),
        tag(
            "text",
            title,
            tag("tspan", f"  {len(box.modules)}", class_="dim"),
            x=box.x + 10,
            y=box.y + 18,
            class_="head",
        ),
        rows,
    )


def _chip(box: Box, place: int, name: str, index: int, worst: str) -> Markup:
    x, y = box.place(place)
    shown = short_name(name, box.name)
    cut = shown if len(shown) <= NAME_LETTERS else f"{shown[: NAME_LETTERS - 1]}…"
    return tag(
        "g",
        tag("title", name),
        tag("rect", x=x - 8, y=y - 8.5, width=len(cut) * LETTER + 24, height=17, rx=4, class_="hit"),
        mark(worst, x, y),
        tag("text", cut, x=x + 10, y=y + 3.8),
        class_="chip", data_m=index, data_x=x, data_y=y,
    )  # fmt: skip


def _ribbons(boxes: Sequence[Box], between: Mapping[tuple[str, str], int]) -> list[Markup]:
    """Curves from an importer's lower edge to the upper edge of what it imports; those that run upwards are marked."""
    at = {box.name: box for box in boxes}
    leave: dict[str, list[str]] = {name: [] for name in at}
    enter: dict[str, list[str]] = {name: [] for name in at}
    for source, target in between:
        leave[source].append(target)
        enter[target].append(source)

    def port(box: Box, others: list[str], other: str) -> float:
        order = sorted(others, key=lambda name: (at[name].x + at[name].width / 2, name))
        return box.x + box.width * (order.index(other) + 1) / (len(order) + 1)

    drawn = []
    for (source, target), weight in sorted(between.items(), key=lambda item: item[1]):
        upper, lower = at[source], at[target]
        x1, x2 = port(upper, leave[source], target), port(lower, enter[target], source)
        down = lower.y > upper.y
        y1, y2 = (upper.y + upper.height, lower.y) if down else (upper.y, lower.y + lower.height)
        if lower.y == upper.y:
            y1 = y2 = upper.y
            bend1 = bend2 = upper.y - 34
        else:
            reach = max(26.0, abs(y2 - y1) * 0.45)
            bend1, bend2 = (y1 + reach, y2 - reach) if down else (y1 - reach, y2 + reach)
        drawn.append(
            tag(
                "path",
                tag("title", f"{source} → {target}: {weight} imports"),
                d=f"M{x1:.0f} {y1:.0f}C{x1:.0f} {bend1:.0f} {x2:.0f} {bend2:.0f} {x2:.0f} {y2:.0f}",
                stroke_width=1 + 0.9 * log2(weight),
                class_="down" if down else "up",
            )
        )
    return drawn


def _cycles(cycles: Sequence[Sequence[str]], places: Mapping[str, tuple[float, float]]) -> list[Markup]:
    drawn = []
    for cycle in cycles:
        for source, target in pairwise(cycle):
            if source in places and target in places:
                (x1, y1), (x2, y2) = places[source], places[target]
                bend = 18 + abs(x2 - x1) * 0.15 + abs(y2 - y1) * 0.15
                middle = f"{(x1 + x2) / 2 - bend:.0f} {(y1 + y2) / 2:.0f}"
                drawn.append(
                    tag(
                        "path", tag("title", f"{source} → {target}"), d=f"M{x1:.0f} {y1:.0f}Q{middle} {x2:.0f} {y2:.0f}"
                    )
                )
    return drawn
