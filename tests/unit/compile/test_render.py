"""Plans for people: text, diagrams, data."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from itertools import pairwise
from typing import Any
from xml.etree import ElementTree

import pytest

from orchestrator.compile.plan import compile
from orchestrator.compile.render import render
from orchestrator.compile.render.layout import BOX_HEIGHT, layout
from orchestrator.compile.render.picture import picture
from orchestrator.compile.render.svg import svg
from orchestrator.domain.dag import Goal
from orchestrator.domain.validate import read_goal

SVG = "{http://www.w3.org/2000/svg}"


def goal(pairs: Sequence[tuple[str, str]], *more: dict[str, Any], **head: Any) -> Goal:
    given = {node["id"] for node in more}
    ids = [name for name in dict.fromkeys(name for pair in pairs for name in pair) if name not in given]
    edges = [{"source": source, "target": target} for source, target in pairs]
    return read_goal({"nodes": [*({"id": name} for name in ids), *more], "edges": edges, **head})


def audit() -> Goal:
    return read_goal(
        {
            "goal_id": "audit",
            "title": "Look at\nevery module",
            "nodes": [
                {"id": "scan", "title": "Scan the tree"},
                {"id": "lint", "call": "m:lint"},
                {"id": "types"},
                {"id": "each", "kind": "map", "call": "m:f", "inputs": {"items": [1]}},
                {"id": "ok", "kind": "approval", "join": 2, "title": 'Is "all" <well> & [good]?'},
                {"id": "report"},
                {"id": "alarm"},
            ],
            "edges": [
                {"source": "scan", "target": "lint"},
                {"source": "scan", "target": "types"},
                {"source": "scan", "target": "each"},
                {"source": "lint", "target": "ok"},
                {"source": "types", "target": "ok", "on": "finished"},
                {"source": "each", "target": "ok"},
                {"source": "ok", "target": "report", "when": "approved == true"},
                {"source": "lint", "target": "alarm", "on": "failed"},
            ],
        }
    )


def shown(made: Goal, format: str) -> str:
    return render(compile(made), made, format)


def test_text_says_what_each_chain_waits_for() -> None:
    assert shown(audit(), "text").splitlines() == [
        "goal audit: Look at every module",
        "7 nodes, 8 edges: 6 chains, 1 chord; 4 layers, up to 3 side by side",
        "",
        "  1  scan",
        "  2  lint   <- after 1",
        "  3  types   <- after 1",
        "  4  each   <- after 1",
        "  5  alarm   <- after 2 [failed]",
        "  6  ok -> [approved == true] report   <- any 2 of 2, 3 [finished], 4",
        "",
        "critical path, 4 nodes: scan -> types -> ok -> report",
    ]


def test_text_of_a_large_plan_is_a_summary() -> None:
    text = shown(goal([("a", f"n{place}") for place in range(2_000)]), "text")
    assert "2,001 nodes, 2,000 edges: 2,001 chains, 0 chords; 2 layers, up to 2,000 side by side" in text
    assert "widest fork: 2,000 chains follow a" in text
    assert len(text) < 500
    assert "... 988 more ..." in shown(goal(list(pairwise(f"n{place}" for place in range(1_000)))), "text")


def test_json_is_complete() -> None:
    made = audit()
    found = json.loads(shown(made, "json"))
    assert found["chords"] == [{"header": ["lint", "types", "each"], "body": "ok", "need": 2}]
    assert {"source": "lint", "target": "alarm", "on": "failed"} in found["guards"]
    assert found["rank"]["scan"] == 4
    assert sum(len(chain["nodes"]) for chain in found["chains"]) == found["nodes"] == 7


def test_mermaid_escapes_titles_and_never_uses_ids_as_words() -> None:
    text = shown(audit(), "mermaid")
    assert text.startswith("flowchart LR\n  %% audit\n")
    assert '{{"Is #quot;all#quot; #lt;well#gt; #amp; [good]?"}}' in text
    assert '-.->|"failed"|' in text
    assert '-->|"approved == true"|' in text
    words = shown(goal([("end", "graph"), ("graph", "class")]), "mermaid")
    assert all(re.match(r"  (n\d+[\[ ]|%%|classDef|class n)", line) for line in words.splitlines()[1:])


def test_dot_quotes_everything() -> None:
    text = shown(audit(), "dot")
    assert r'label="Is \"all\" <well> & [good]?"' in text
    assert '"lint" -> "alarm" [label="failed", style=dashed];' in text
    assert '"scan" -> "types" [penwidth=2];' in text


def test_svg_is_xml_with_a_tooltip_on_every_box() -> None:
    made = audit()
    root = ElementTree.fromstring(shown(made, "svg"))
    boxes = [group for group in root.findall(f"{SVG}g") if group.find(f"{SVG}rect") is not None]
    assert len(boxes) == 7
    tooltips = [group.findtext(f"{SVG}title") or "" for group in boxes]
    assert any("ok: approval, rank 2, waits for 2 of its parents" in tooltip for tooltip in tooltips)
    assert "prefers-color-scheme:dark" in (root.findtext(f"{SVG}style") or "")
    assert "http" not in shown(made, "svg").replace("http://www.w3.org/2000/svg", ""), "it needs nothing from outside"


def test_svg_shows_states_by_sign_as_well_as_colour() -> None:
    made = audit()
    text = svg(compile(made), made, {"scan": "DONE", "lint": "FAILED"})
    assert "✓" in text
    assert "✗" in text
    assert 'class="plain critical DONE"' in text


def test_control_characters_do_not_break_the_svg() -> None:
    made = goal([("a", "b")], {"id": "b", "title": "one\x00two\x1b"})
    ElementTree.fromstring(shown(made, "svg"))


@pytest.mark.parametrize(("most", "kind", "boxes"), [(24, "plain", 24), (23, "chain", 9), (8, "layer", 7)])
def test_a_picture_shows_the_most_that_fits(most: int, kind: str, boxes: int) -> None:
    """A run of 20 nodes, the last but one, two, three and four of which have a stub of their own."""
    run = [f"n{place}" for place in range(20)]
    made = goal([*pairwise(run), *((name, f"stub-{name}") for name in run[-5:-1])])
    found = picture(compile(made), most, 1_000)
    assert [{box.kind for box in found.boxes}, len(found.boxes)] == [{kind}, boxes]
    assert sum(len(box.nodes) for box in found.boxes) == len(made.nodes)
    assert all(arrow.source < arrow.target for arrow in found.arrows)
    assert bool(found.note) == (kind != "plain")


def test_boxes_never_overlap_and_lines_run_forward() -> None:
    pairs = [(one, two) for one in range(30) for two in range(one + 1, 30) if (one * 7 + two * 13) % 5 == 0]
    widths = [40.0 + place for place in range(30)]
    found = layout(widths, pairs)
    assert found == layout(widths, pairs)
    columns: dict[float, list[float]] = {}
    for x, y in found.corners:
        columns.setdefault(x, []).append(y)
    for tops in columns.values():
        assert all(below - above > BOX_HEIGHT for above, below in pairwise(sorted(tops)))
    for (one, two), route in zip(pairs, found.routes, strict=True):
        assert route[0][0] == found.corners[one][0] + widths[one]
        assert route[-1][0] == found.corners[two][0]
        assert all(before[0] <= after[0] for before, after in pairwise(route))
    assert all(x >= 0 and x + width <= found.width for (x, _), width in zip(found.corners, widths, strict=True))
    assert all(y >= 0 and y + BOX_HEIGHT <= found.height for _, y in found.corners)


def test_the_order_in_columns_undoes_crossings() -> None:
    """Two rows given crosswise come out parallel."""
    found = layout([50.0] * 4, [(0, 3), (1, 2)])
    heights = [y for _, y in found.corners]
    assert (heights[0] < heights[1]) == (heights[3] < heights[2])


def test_the_empty_layout() -> None:
    assert layout([], []).corners == ()
