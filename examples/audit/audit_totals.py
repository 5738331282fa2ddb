"""The audit in a handful of figures, shared by the Markdown and the HTML report."""

from __future__ import annotations

from dataclasses import dataclass

from audit_model import SEVERITIES, Audit, Severity, count


@dataclass(frozen=True, slots=True)
class Totals:
    """Sums over all modules; shares are 0 to 1, None where there is nothing to divide by."""

    modules: int
    packages: int
    code_lines: int
    functions: int
    classes: int
    findings: dict[Severity, int]
    documented: float | None
    complexity_mean: float | None
    complexity_max: int
    cycles: int


def totals(audit: Audit) -> Totals:
    """Add the modules up."""
    modules = audit["modules"]
    documentable = sum(module["documentable"] for module in modules)
    blocks = sum(module["complexity_count"] for module in modules)
    return Totals(
        modules=len(modules),
        packages=len(audit["packages"]),
        code_lines=sum(module["code_lines"] for module in modules),
        functions=sum(module["functions"] for module in modules),
        classes=sum(module["classes"] for module in modules),
        findings={severity: count(audit["findings"], severity) for severity in SEVERITIES},
        documented=sum(module["documented"] for module in modules) / documentable if documentable else None,
        complexity_mean=sum(module["complexity_sum"] for module in modules) / blocks if blocks else None,
        complexity_max=max((m["most_complex"]["value"] for m in modules if m["most_complex"]), default=0),
        cycles=len(audit["graph"]["cycles"]),
    )


def share(value: float | None) -> str:
    """A share as a percentage, or a dash."""
    return "–" if value is None else f"{value:.0%}"


def figure(value: float | None, digits: int = 1) -> str:
    """A number with fixed digits, or a dash."""
    return "–" if value is None else f"{value:,.{digits}f}"


def plural(number: int, one: str, many: str = "") -> str:
    """`1 module`, `2 modules`."""
    return f"{number:,} {one if number == 1 else many or one + 's'}"


def seconds(value: float) -> str:
    """A length of time in the unit that reads best."""
    return f"{value * 1000:.0f} ms" if value < 1 else f"{value:.2f} s"
