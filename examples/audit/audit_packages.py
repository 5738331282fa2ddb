"""The joins: module reports grouped by package, and one package's figures from those of its modules."""

from __future__ import annotations

from collections.abc import Sequence

from audit_model import ModuleFigures, ModuleReport, PackageItem, PackageReport, count, score


def group_by_package(modules: Sequence[ModuleReport]) -> list[PackageItem]:
    """One item a package, in name order, each with the figures of its modules: small enough to travel in a message."""
    packages: dict[str, list[ModuleFigures]] = {}
    for module in modules:
        packages.setdefault(module["package"], []).append(figures(module))
    return [PackageItem(package=name, modules=packages[name]) for name in sorted(packages)]


def figures(module: ModuleReport) -> ModuleFigures:
    """A module's figures and how many findings of each severity it has."""
    return ModuleFigures(
        name=module["name"],
        code_lines=module["code_lines"],
        functions=module["functions"],
        documented=module["documented"],
        documentable=module["documentable"],
        complexity_sum=module["complexity_sum"],
        complexity_count=module["complexity_count"],
        complexity_max=module["most_complex"]["value"] if module["most_complex"] else 0,
        maintainability=module["maintainability"],
        errors=count(module["findings"], "error"),
        warnings=count(module["findings"], "warning"),
        notes=count(module["findings"], "note"),
    )


def join_package(item: PackageItem) -> PackageReport:
    """The figures of a package. Maintainability is the mean of its modules, weighted by their code lines."""
    modules = item["modules"]
    rated = [(m["maintainability"], max(1, m["code_lines"])) for m in modules if m["maintainability"] is not None]
    blocks = sum(m["complexity_count"] for m in modules)
    worst = max(modules, key=lambda m: (5 * m["errors"] + 2 * m["warnings"] + m["notes"], m["code_lines"]))
    return PackageReport(
        name=item["package"],
        modules=len(modules),
        code_lines=sum(m["code_lines"] for m in modules),
        functions=sum(m["functions"] for m in modules),
        documented=sum(m["documented"] for m in modules),
        documentable=sum(m["documentable"] for m in modules),
        complexity_mean=round(sum(m["complexity_sum"] for m in modules) / blocks, 2) if blocks else 0.0,
        complexity_max=max((m["complexity_max"] for m in modules), default=0),
        maintainability=round(sum(i * w for i, w in rated) / sum(w for _, w in rated), 1) if rated else None,
        errors=sum(m["errors"] for m in modules),
        warnings=sum(m["warnings"] for m in modules),
        notes=sum(m["notes"] for m in modules),
        worst=worst["name"],
    )


def worst_modules(modules: Sequence[ModuleReport], limit: int) -> list[ModuleReport]:
    """The modules with the highest weighted number of findings; clean modules are never among them."""
    ranked = sorted(modules, key=lambda module: (-score(module["findings"]), module["name"]))
    return [module for module in ranked[:limit] if module["findings"]]
