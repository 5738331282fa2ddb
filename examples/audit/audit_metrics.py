"""Figures of one module from its syntax tree: size, complexity, documentation; radon's where it is installed."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from audit_model import Block, Finding, Metrics, Severity

try:
    from radon.complexity import cc_visit_ast
    from radon.metrics import mi_visit
except ImportError:
    cc_visit_ast = mi_visit = None

Function = ast.FunctionDef | ast.AsyncFunctionDef
MAX_STATEMENT_LINES: Final = 300
HAS_RADON: Final = cc_visit_ast is not None
_BRANCHES: Final = (ast.If, ast.For, ast.AsyncFor, ast.While, ast.ExceptHandler, ast.IfExp, ast.Assert, ast.match_case)


@dataclass(frozen=True, slots=True)
class Definition:
    """A function or class of a module; `public` counts for docstring coverage."""

    node: Function | ast.ClassDef
    name: str
    public: bool


@dataclass(frozen=True, slots=True)
class Measured:
    """A module's figures, and its functions with their complexity and their length in lines."""

    metrics: Metrics
    complexities: list[Block]
    lengths: list[Block]


def measure(tree: ast.Module, text: str) -> Measured:
    """The figures of a parsed module."""
    found = list(definitions(tree))
    functions = [item for item in found if not isinstance(item.node, ast.ClassDef)]
    documentable = [tree, *(item.node for item in found if item.public)]
    complexities = complexity(tree, functions)
    lengths = [Block(name=f.name, line=f.node.lineno, value=_length(f.node)) for f in functions]
    lines = text.splitlines()
    metrics = Metrics(
        lines=len(lines),
        code_lines=sum(bool(line.strip()) and not line.lstrip().startswith("#") for line in lines),
        functions=len(functions),
        classes=len(found) - len(functions),
        documented=sum(ast.get_docstring(node, clean=False) is not None for node in documentable),
        documentable=len(documentable),
        complexity_sum=sum(block["value"] for block in complexities),
        complexity_count=len(complexities),
        most_complex=max(complexities, key=lambda block: block["value"], default=None),
        longest=max(lengths, key=lambda block: block["value"], default=None),
        maintainability=maintainability(tree, text),
    )
    return Measured(metrics, complexities, lengths)


def nothing_measured(text: str) -> Metrics:
    """The figures of a module that does not parse."""
    lines = text.splitlines()
    code_lines = sum(bool(line.strip()) for line in lines)
    return Metrics(
        lines=len(lines), code_lines=code_lines, functions=0, classes=0, documented=0, documentable=0, complexity_sum=0,
        complexity_count=0, most_complex=None, longest=None, maintainability=None,
    )  # fmt: skip


def definitions(tree: ast.Module) -> Iterator[Definition]:
    """Every function and class, with its qualified name (iterative: hostile sources nest deeply)."""
    stack: list[tuple[ast.AST, str, bool]] = [(tree, "", True)]
    while stack:
        parent, prefix, public_parent = stack.pop()
        for node in ast.iter_child_nodes(parent):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
                public = public_parent and not node.name.startswith("_")
                yield Definition(node, prefix + node.name, public)
                stack.append((node, f"{prefix}{node.name}.", public and isinstance(node, ast.ClassDef)))
            else:
                stack.append((node, prefix, public_parent))


def complexity(tree: ast.Module, functions: list[Definition]) -> list[Block]:
    """The cyclomatic complexity of each function (McCabe 1976), as radon counts it or else counted here."""
    if cc_visit_ast is not None:
        try:
            found = [block for block in cc_visit_ast(tree) if block.letter in "FM"]
            return [Block(name=block.fullname, line=block.lineno, value=block.complexity) for block in found]
        except RecursionError:
            pass
    return [Block(name=f.name, line=f.node.lineno, value=_branches(f.node)) for f in functions]


def maintainability(tree: ast.Module, text: str) -> float | None:
    """Radon's maintainability index, or None where radon is missing or gives up on the source.

    Radon's time grows with the square of the longest statement (22 s for a table of 1,600 lines), so sources with very
    long ones have no index.
    """
    if mi_visit is None or any(_length(node) > MAX_STATEMENT_LINES for node in _simple_statements(tree)):
        return None
    try:
        return round(float(mi_visit(text, True)), 1)
    except (RecursionError, SyntaxError, ValueError, IndexError):
        return None


def _simple_statements(tree: ast.Module) -> Iterator[ast.stmt]:
    """Statements that hold no others."""
    return (
        node
        for node in ast.walk(tree)
        if isinstance(node, ast.stmt) and not hasattr(node, "body") and not hasattr(node, "cases")
    )


def judge(path: str, measured: Measured) -> list[Finding]:
    """What the figures say by themselves: findings for long, tangled and hard-to-keep code."""
    found: list[Finding] = []

    def add(severity: Severity | None, rule: str, line: int, message: str) -> None:
        if severity:
            found.append(Finding(severity=severity, rule=rule, path=path, line=line, message=message))

    for block in measured.complexities:
        message = f"{block['name']} has a cyclomatic complexity of {block['value']}"
        add(_grade(block["value"], note=10, warning=20), "complex", block["line"], message)
    for block in measured.lengths:
        message = f"{block['name']} is {block['value']} lines long"
        add(_grade(block["value"], note=60, warning=120), "long-function", block["line"], message)
    lines, index = measured.metrics["lines"], measured.metrics["maintainability"]
    add(_grade(lines, note=800, warning=2000), "long-module", 1, f"the module has {lines:,} lines")
    if index is not None:
        message = f"its maintainability index is {index:.0f} of 100"
        add(_grade(-index, note=-20, warning=-10), "maintainability", 1, message)
    return found


def _grade(value: float, note: float, warning: float) -> Severity | None:
    return "warning" if value > warning else "note" if value > note else None


def _length(node: ast.stmt) -> int:
    return (node.end_lineno or node.lineno) - node.lineno + 1


def _branches(function: ast.AST) -> int:
    total = 1
    for node in ast.walk(function):
        if isinstance(node, _BRANCHES):
            total += 1
        elif isinstance(node, ast.BoolOp):
            total += len(node.values) - 1
        elif isinstance(node, ast.comprehension):
            total += 1 + len(node.ifs)
    return total
