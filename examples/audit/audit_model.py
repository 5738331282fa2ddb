"""What the nodes of the audit hand to each other. Node outputs are JSON, so these are the shapes of JSON objects."""

from __future__ import annotations

from typing import Final, Literal, NotRequired, TypedDict

Severity = Literal["error", "warning", "note"]
When = Literal["import", "lazy", "typing"]

SEVERITIES: Final[tuple[Severity, ...]] = ("error", "warning", "note")
WEIGHT: Final[dict[Severity, int]] = {"error": 5, "warning": 2, "note": 1}
"""What a finding adds to its module's score. The report states these figures."""


class Finding(TypedDict):
    """One thing worth a look: where it is, how bad, which rule says so."""

    severity: Severity
    rule: str
    path: str
    line: int
    message: str


class ModuleRef(TypedDict):
    """A Python file of the tree: `path` is relative to the source, `name` is dotted and unique in the tree."""

    path: str
    name: str
    package: str
    regular: bool  # its folder has an __init__.py: `import x` never means a sibling


class Skipped(TypedDict):
    """A folder or file that was left out, and why."""

    path: str
    reason: str


class Scan(TypedDict):
    """The output of the node `scan`."""

    source: str
    modules: list[ModuleRef]
    skipped: list[Skipped]
    findings: list[Finding]


class Import(TypedDict):
    """One import statement: `from target import names` (no names: `import target`), already absolute."""

    target: str
    names: list[str]
    when: When  # at import time, inside a function, or under TYPE_CHECKING


class Block(TypedDict):
    """A function and one figure about it."""

    name: str
    line: int
    value: int


class Metrics(TypedDict):
    """Figures of one module. `maintainability` is radon's index (0 to 100, higher is better), None without radon."""

    lines: int
    code_lines: int
    functions: int
    classes: int
    documented: int
    documentable: int
    complexity_sum: int
    complexity_count: int
    most_complex: Block | None
    longest: Block | None
    maintainability: float | None


class ModuleReport(Metrics):
    """The output of one item of the node `modules`."""

    path: str
    name: str
    package: str
    regular: bool
    summary: str
    imports: list[Import]
    findings: list[Finding]
    missing_tools: list[str]


class ModuleFigures(TypedDict):
    """What a package's join needs of a module: its figures, without its findings and imports."""

    name: str
    code_lines: int
    functions: int
    documented: int
    documentable: int
    complexity_sum: int
    complexity_count: int
    complexity_max: int
    maintainability: float | None
    errors: int
    warnings: int
    notes: int


class PackageItem(TypedDict):
    """One item of the node `packages`."""

    package: str
    modules: list[ModuleFigures]


class PackageReport(TypedDict):
    """The output of one item of the node `packages`."""

    name: str
    modules: int
    code_lines: int
    functions: int
    documented: int
    documentable: int
    complexity_mean: float
    complexity_max: int
    maintainability: float | None
    errors: int
    warnings: int
    notes: int
    worst: str


class ImportEdge(TypedDict):
    """Module `source` imports module `target` of the same tree."""

    source: str
    target: str
    when: When


class Count(TypedDict):
    """A name and how many modules have to do with it."""

    name: str
    count: int


class ImportGraph(TypedDict):
    """The output of the node `graph`. A cycle is a path that ends where it begins."""

    edges: list[ImportEdge]
    cycles: list[list[str]]
    most_imported: list[Count]
    third_party: list[Count]
    findings: list[Finding]


class Subject(TypedDict):
    """Something a language model writes about: the facts about it, which are all it is told."""

    name: str
    facts: str


class Passage(TypedDict):
    """What a model said about a subject, and which of its sentences were kept; tokens are those of the call."""

    subject: str
    facts: str
    said: str
    kept: str
    model: str
    account: str
    input_tokens: int
    output_tokens: int


class Prose(TypedDict):
    """Everything in the report that a language model wrote."""

    abstract: Passage
    modules: list[Passage]


class Audit(TypedDict):
    """Everything the report shows about the source; written as report.json."""

    name: str
    source: str
    made_at: str
    modules: list[ModuleReport]
    packages: list[PackageReport]
    graph: ImportGraph
    findings: list[Finding]
    skipped: list[Skipped]
    missing_tools: list[str]
    prose: NotRequired[Prose]


def by_weight(finding: Finding) -> tuple[int, str, int, str]:
    """Sort key: the worst first, then by place."""
    return SEVERITIES.index(finding["severity"]), finding["path"], finding["line"], finding["rule"]


def score(findings: list[Finding]) -> int:
    """The weighted number of findings."""
    return sum(WEIGHT[finding["severity"]] for finding in findings)


def count(findings: list[Finding], severity: Severity) -> int:
    """How many findings have this severity."""
    return sum(finding["severity"] == severity for finding in findings)
