"""How the slots of the live llm workers are divided among accounts."""

from __future__ import annotations

from collections.abc import Mapping


def share(slots: int, wanted: Mapping[str, int]) -> dict[str, int]:
    """Slots by account, all of them: as many as each wants (what it holds and what waits), in equal shares where that
    is too much (max-min fairness), and the rest evenly over all, so that a call of an idle account need not wait."""
    given = dict.fromkeys(wanted, 0)
    left, hungry = slots, sorted(name for name, want in wanted.items() if want > 0)
    while left > 0 and hungry:
        each = max(1, left // len(hungry))
        for name in hungry:
            more = min(each, wanted[name] - given[name], left)
            given[name] += more
            left -= more
        hungry = [name for name in hungry if given[name] < wanted[name]]
    names = sorted(wanted, key=lambda name: (given[name], name))
    for index, name in enumerate(names):
        given[name] += left // len(names) + (index < left % len(names))
    return given
