"""The import graph of a tree: who imports whom, at import time or later, and which imports run in a circle."""

from __future__ import annotations

import ast
import sys
from collections import Counter, deque
from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from audit_model import Count, Finding, Import, ImportEdge, ImportGraph, ModuleReport, When

_FUNCTIONS: Final = (ast.FunctionDef, ast.AsyncFunctionDef)
_HOLD_STATEMENTS: Final = (ast.stmt, ast.ExceptHandler, ast.match_case)


def collect(tree: ast.Module, module: str, is_package: bool) -> list[Import]:
    """The import statements of a module; relative ones are made absolute (iterative: hostile sources nest deeply)."""
    found: list[Import] = []
    stack: list[tuple[ast.AST, When]] = [(node, "import") for node in reversed(tree.body)]
    while stack:
        node, when = stack.pop()
        if isinstance(node, ast.Import):
            found.extend(Import(target=alias.name, names=[], when=when) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            if target := _absolute(node, module, is_package):
                found.append(Import(target=target, names=[alias.name for alias in node.names], when=when))
        elif isinstance(node, ast.If) and _is_type_checking(node.test):
            stack.extend((child, "typing") for child in reversed(node.body))
            stack.extend((child, when) for child in reversed(node.orelse))
        else:
            inside: When = "lazy" if when == "import" and isinstance(node, _FUNCTIONS) else when
            children = [child for child in ast.iter_child_nodes(node) if isinstance(child, _HOLD_STATEMENTS)]
            stack.extend((child, inside) for child in reversed(children))
    return found


def _absolute(node: ast.ImportFrom, module: str, is_package: bool) -> str:
    if not node.level:
        return node.module or ""
    parts = module.split(".")
    keep = len(parts) - node.level + (1 if is_package else 0)
    return ".".join([*parts[: max(0, keep)], *([node.module] if node.module else [])]) if keep >= 0 else ""


def _is_type_checking(test: ast.expr) -> bool:
    name = test.attr if isinstance(test, ast.Attribute) else test.id if isinstance(test, ast.Name) else ""
    return name == "TYPE_CHECKING"


def build_graph(modules: Sequence[ModuleReport]) -> ImportGraph:
    """The import graph of the analysed modules.

    Cycles are those of import time alone: importing inside a function is how one avoids them.
    """
    known = {module["name"]: module for module in modules}
    scripts = _scripts(modules)
    edges: dict[tuple[str, str], When] = {}
    third_party: Counter[str] = Counter()
    inside = {name.partition(".")[0] for name in known} | sys.stdlib_module_names
    for module in modules:
        outside: set[str] = set()
        for statement in module["imports"]:
            targets = list(_targets(statement, module, known, scripts))
            for target in targets:
                pair = (module["name"], target)
                if target != module["name"] and _sooner(statement["when"], edges.get(pair)):
                    edges[pair] = statement["when"]
            if not targets:
                outside.add(statement["target"].partition(".")[0])
        third_party.update(outside - inside)
    importers = Counter(target for _, target in edges)
    cycles = find_cycles(known, [pair for pair, when in edges.items() if when == "import"])
    return ImportGraph(
        edges=[ImportEdge(source=source, target=target, when=when) for (source, target), when in edges.items()],
        cycles=cycles,
        most_imported=_counts(importers, 15),
        third_party=_counts(third_party, 30),
        findings=[_cycle_finding(cycle, known) for cycle in cycles],
    )


def _sooner(when: When, before: When | None) -> bool:
    order: tuple[When, ...] = ("import", "lazy", "typing")
    return before is None or order.index(when) < order.index(before)


def _scripts(modules: Sequence[ModuleReport]) -> dict[str, str]:
    """Modules outside packages by their bare name, where it is the only one: some path leads to their folder."""
    bare = [(module["name"].rpartition(".")[2], module["name"]) for module in modules if not module["regular"]]
    often = Counter(short for short, _ in bare)
    return {short: name for short, name in bare if often[short] == 1}


def _targets(
    statement: Import, module: ModuleReport, known: Mapping[str, ModuleReport], scripts: Mapping[str, str]
) -> Iterator[str]:
    """The modules of the tree that a statement imports: `from a import b` is a.b where that is a module, else a."""
    target = statement["target"]
    if target not in known and target not in sys.stdlib_module_names:
        sibling = f"{module['package']}.{target}"  # a script's own folder is on its path, before any other
        target = sibling if not module["regular"] and sibling in known else scripts.get(target, target)
    inner = [f"{target}.{name}" for name in statement["names"] if f"{target}.{name}" in known]
    yield from inner
    if target in known and len(inner) < max(1, len(statement["names"])):
        yield target


def _counts(counter: Counter[str], limit: int) -> list[Count]:
    ranked = sorted(counter.items(), key=lambda item: (-item[1], item[0]))
    return [Count(name=name, count=number) for name, number in ranked[:limit]]


def _cycle_finding(cycle: list[str], known: Mapping[str, ModuleReport]) -> Finding:
    message = f"import cycle: {' → '.join(cycle)}"
    return Finding(severity="warning", rule="import-cycle", path=known[cycle[0]]["path"], line=1, message=message)


def find_cycles(nodes: Mapping[str, object], edges: Sequence[tuple[str, str]]) -> list[list[str]]:
    """For each knot of modules that import each other, one shortest cycle through its first module."""
    children: dict[str, list[str]] = {node: [] for node in nodes}
    for source, target in edges:
        children[source].append(target)
    knots = [sorted(knot) for knot in strongly_connected(children) if len(knot) > 1]
    return sorted(_shortest_cycle(knot[0], set(knot), children) for knot in knots)


def _shortest_cycle(start: str, knot: set[str], children: Mapping[str, Sequence[str]]) -> list[str]:
    came: dict[str, str] = {}
    queue = deque([start])
    while queue:
        node = queue.popleft()
        for target in children[node]:
            if target == start:
                path = [node]
                while path[-1] != start:
                    path.append(came[path[-1]])
                return [*reversed(path), start]
            if target in knot and target not in came:
                came[target] = node
                queue.append(target)
    raise ValueError(f"{start} is on no cycle")


def strongly_connected(children: Mapping[str, Sequence[str]]) -> list[list[str]]:
    """The strongly connected components, those that others depend on first (Tarjan 1972, iterative)."""
    index: dict[str, int] = {}
    low: dict[str, int] = {}
    on_stack: set[str] = set()
    stack: list[str] = []
    out: list[list[str]] = []
    for root in children:
        if root in index:
            continue
        index[root] = low[root] = len(index)
        stack.append(root)
        on_stack.add(root)
        work = [(root, iter(children[root]))]
        while work:
            node, rest = work[-1]
            for target in rest:
                if target not in index:
                    index[target] = low[target] = len(index)
                    stack.append(target)
                    on_stack.add(target)
                    work.append((target, iter(children[target])))
                    break
                if target in on_stack:
                    low[node] = min(low[node], index[target])
            else:
                work.pop()
                if work:
                    low[work[-1][0]] = min(low[work[-1][0]], low[node])
                if low[node] == index[node]:
                    at = stack.index(node)
                    out.append(stack[at:])
                    on_stack.difference_update(stack[at:])
                    del stack[at:]
    return out
