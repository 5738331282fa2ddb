"""Analyse one module: read it, parse it, measure it, lint it. Whatever is wrong with the file becomes a finding."""

from __future__ import annotations

import ast
import io
import tokenize
import warnings
from pathlib import Path

import audit_lint
import audit_metrics
from audit_imports import collect
from audit_model import Finding, Metrics, ModuleRef, ModuleReport, by_weight


def analyse_module(ref: ModuleRef, source: Path) -> ModuleReport:
    """The report on one module of the tree. Raises nothing that the file's content or absence could cause."""
    file = source / ref["path"]
    try:
        text = decode(file.read_bytes())
    except OSError as error:
        return _broken(ref, "", "unreadable", 1, f"cannot be read: {error.strerror or error}")
    except (UnicodeDecodeError, SyntaxError, LookupError) as error:
        return _broken(ref, "", "encoding", 1, f"cannot be decoded: {error}")
    try:
        tree = parse(text)
    except SyntaxError as error:
        return _broken(ref, text, "syntax", error.lineno or 1, f"does not parse: {error.msg}")
    except (ValueError, RecursionError, MemoryError) as error:
        return _broken(ref, text, "syntax", 1, f"does not parse: {str(error) or type(error).__name__}")
    measured = audit_metrics.measure(tree, text)
    ruff = audit_lint.find_ruff()
    findings = audit_metrics.judge(ref["path"], measured) + (audit_lint.lint(text, ref["path"], ruff) if ruff else [])
    missing = [name for name, there in (("radon", audit_metrics.HAS_RADON), ("ruff", ruff)) if not there]
    is_package = Path(ref["path"]).name == "__init__.py"
    return ModuleReport(
        **ref,
        **measured.metrics,
        summary=first_line(ast.get_docstring(tree, clean=True) or ""),
        imports=collect(tree, ref["name"], is_package),
        findings=sorted(findings, key=by_weight),
        missing_tools=missing,
    )


def decode(data: bytes) -> str:
    """Source bytes as text, by byte-order mark or PEP 263 cookie, else UTF-8.

    Raises UnicodeDecodeError or, for a cookie that names no encoding, SyntaxError.
    """
    encoding, _ = tokenize.detect_encoding(io.BytesIO(data).readline)
    return io.TextIOWrapper(io.BytesIO(data), encoding, newline=None).read()


def parse(text: str) -> ast.Module:
    """The syntax tree. Warnings about the source (invalid escapes) are the linter's business, not ours."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return ast.parse(text)


def first_line(docstring: str) -> str:
    """The first line of a docstring, printable, at most 160 characters."""
    line = docstring.strip().partition("\n")[0]
    shown = "".join(letter if letter.isprintable() else "\N{REPLACEMENT CHARACTER}" for letter in line)
    return shown if len(shown) <= 160 else f"{shown[:159]}…"


def _broken(ref: ModuleRef, text: str, rule: str, line: int, message: str) -> ModuleReport:
    metrics: Metrics = audit_metrics.nothing_measured(text)
    finding = Finding(severity="error", rule=rule, path=ref["path"], line=line, message=message)
    return ModuleReport(**ref, **metrics, summary="", imports=[], findings=[finding], missing_tools=[])
