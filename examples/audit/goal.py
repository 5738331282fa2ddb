"""The audit as a goal: scan a source tree, one node a module, one join a package, one report over all.

Run it with ``chordal run examples/audit --set source=PATH --set out=DIR``.
"""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any, Final

PROJECT: Final = Path(__file__).resolve().parents[2]


def goal(source: str = str(PROJECT), out: str = "audit-report", limit: int | str = 5000) -> dict[str, Any]:
    """The goal document. Workers have folders of their own, so both paths become absolute here.

    Raises ValueError if `source` is no folder or `limit` no positive number.
    """
    tree, target = Path(source).expanduser().resolve(), Path(out).expanduser().resolve()
    if not tree.is_dir():
        raise ValueError(f"source: there is no folder {tree}")
    if not str(limit).isdigit() or int(limit) < 1:
        raise ValueError(f"limit: {limit!r} is not a positive number")
    name = project_name(tree)
    return {
        "title": f"Audit of {name}",
        "nodes": [
            _node("scan", "List the modules", source=str(tree), limit=int(limit)),
            _map("modules", "Analyse each module", "analyse", _from("scan", "modules"), source=str(tree)),
            _node("group", "Group by package", modules=_from("modules")),
            _map("packages", "Join each package", "package", _from("group", "packages")),
            _node("graph", "Import graph", modules=_from("modules")),
            _node(
                "report", "Write the report",
                scan=_from("scan"), modules=_from("modules"), packages=_from("packages"), graph=_from("graph"),
                name=name, out=str(target),
            ),
        ],
        "edges": [
            {"source": "scan", "target": "modules"},
            {"source": "modules", "target": "group"},
            {"source": "modules", "target": "graph"},
            {"source": "group", "target": "packages"},
            {"source": "packages", "target": "report"},
            {"source": "graph", "target": "report"},
        ],
    }  # fmt: skip


def project_name(tree: Path) -> str:
    """What the tree calls itself in its pyproject.toml, else its folder's name."""
    try:
        named = tomllib.loads((tree / "pyproject.toml").read_text(encoding="utf-8"))["project"]["name"]
    except (OSError, ValueError, KeyError, TypeError):
        named = ""
    return named if re.fullmatch(r"[A-Za-z0-9._ -]{1,100}", str(named)) else tree.name or str(tree)


def _node(node: str, title: str, **inputs: object) -> dict[str, Any]:
    return {"id": node, "title": title, "call": f"audit_nodes:{node}", "inputs": inputs}


def _map(name: str, title: str, function: str, items: dict[str, str], **inputs: object) -> dict[str, Any]:
    call = f"audit_nodes:{function}"
    return {"id": name, "title": title, "kind": "map", "call": call, "inputs": {"items": items, **inputs}}


def _from(node: str, path: str = "") -> dict[str, str]:
    return {"from": node, "path": path} if path else {"from": node}
