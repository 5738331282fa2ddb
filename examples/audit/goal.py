"""The audit as a goal: scan a source tree, one node a module, one join a package, one report over all.

With `calls` above 0 a language model writes about so many of the worst modules, and the abstract.

Run it with ``chordal run examples/audit --set source=PATH --set out=DIR``.
"""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any, Final

from audit_prose import SYSTEM
from audit_scan import scan_tree

PROJECT: Final = Path(__file__).resolve().parents[2]
PROMPT_TOKENS: Final = 2000
"""More than any of the prompts has."""


def goal(
    source: str = str(PROJECT),
    out: str = "audit-report",
    limit: int | str = 5000,
    calls: int | str = 0,
    output_tokens: int | str = 80,
    temperature: float | None = 0.0,
) -> dict[str, Any]:
    """The goal document. Workers have folders of their own, so both paths become absolute here.

    `calls`: how many modules a model writes about, besides the abstract; 0: no model is called. `output_tokens` is the
    longest answer. Raises ValueError if `source` is no folder or a number is not one.
    """
    tree, target = Path(source).expanduser().resolve(), Path(out).expanduser().resolve()
    if not tree.is_dir():
        raise ValueError(f"source: there is no folder {tree}")
    for name, number in (("limit", limit), ("output_tokens", output_tokens)):
        if not str(number).isdigit() or int(number) < 1:
            raise ValueError(f"{name}: {number!r} is not a positive number")
    if not str(calls).isdigit():
        raise ValueError(f"calls: {calls!r} is not a number")
    name = project_name(tree)
    made = _without_model(name, tree, target, int(limit))
    # Never more calls than modules: the plan is made before the tree is scanned.
    number = min(int(calls), len(scan_tree(tree, int(calls))["modules"])) if int(calls) else 0
    return _with_model(made, name, number, _asked(int(output_tokens), temperature)) if number else made


def _without_model(name: str, tree: Path, target: Path, limit: int) -> dict[str, Any]:
    return {
        "title": f"Audit of {name}",
        "nodes": [
            _node("scan", "List the modules", source=str(tree), limit=limit),
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


def _asked(output_tokens: int, temperature: float | None) -> dict[str, Any]:
    shape = {"model": "default", "system": SYSTEM, "max_output_tokens": output_tokens, "role": "audit"}
    return shape if temperature is None else {**shape, "temperature": temperature}


def _with_model(made: dict[str, Any], name: str, number: int, asked: dict[str, Any]) -> dict[str, Any]:
    """The plan with its calls: each is a node of its own, and what goes into the prompt comes from a node before it."""
    *others, report = made["nodes"]
    summaries = [f"summary-{place + 1}" for place in range(number)]
    inputs = {name: _from(name) for name in ("scan", "modules", "packages", "graph")}
    report["inputs"] |= {
        "brief": _from("brief"),
        "abstract": _from("abstract"),
        "subjects": _from("worst", "subjects"),
        "summaries": [_from(one) for one in summaries],
    }
    calls = [
        _call(one, f"Write about module {place + 1}", _from("worst", f"subjects.{place}.facts"), asked)
        for place, one in enumerate(summaries)
    ]
    made["nodes"] = [
        *others,
        _node("worst", "Choose the worst modules", modules=_from("modules"), number=number),
        *calls,
        _node("brief", "Facts for the abstract", **inputs, name=name),
        _call("abstract", "Write the abstract", _from("brief", "facts"), asked),
        report,
    ]
    pairs = [
        ("modules", "worst"), *(("worst", one) for one in summaries), *((one, "report") for one in summaries),
        ("packages", "brief"), ("graph", "brief"), ("brief", "abstract"), ("abstract", "report"),
    ]  # fmt: skip
    # Far more than the calls take; with a budget the account also counts what this goal spends.
    made["budget"] = {"tokens": (number + 1) * (PROMPT_TOKENS + asked["max_output_tokens"])}
    made["edges"] += [{"source": source, "target": target} for source, target in pairs]
    return made


def _call(node: str, title: str, prompt: dict[str, str], asked: dict[str, Any]) -> dict[str, Any]:
    return {"id": node, "title": title, "kind": "llm", "inputs": {**asked, "prompt": prompt}}


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
