"""What a language model is asked to write, and what of its answer is kept.

The model gets a few sentences of facts and is asked to put them into plain ones. A small model drops, mixes up and invents,
so nothing of it is taken on trust: a sentence stays only if it is whole, each figure in it stands in the facts beside the
same word, and most of its words come from there. The report prints the facts beside it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise
from typing import Any, Final

from audit_model import SEVERITIES, Audit, ModuleReport, Passage, Severity, Subject, count, score
from audit_totals import plural, share, totals

SYSTEM: Final = "Rewrite the text of the user as plain sentences. Keep all names and numbers."
MOST_CHARACTERS: Final = 600
KNOWN_WORDS: Final = 0.5
"""The least share of a sentence's longer words that the facts must hold."""
_BREAK: Final = re.compile(r"(?<=[.!?])\s+")
_TOKEN: Final = re.compile(r"\d+(?:\.\d+)?%?(?![\w])|[a-z_][\w.]*")
_FILLERS: Final = frozenset({"a", "an", "and", "are", "at", "has", "is", "of", "only", "the", "with"})
_TWICE: Final = re.compile(r"(\b\d[\w ]*), with \1")
"""`has 5 lines, with 5 lines`: what small models do."""
_WORD: Final = re.compile(r"[a-z]{4,}")


def subjects_of(modules: Sequence[ModuleReport], number: int) -> list[Subject]:
    """The modules to write about: the highest score first, then the largest."""
    ranked = sorted(modules, key=lambda one: (-score(one["findings"]), -one["code_lines"], one["name"]))
    return [_subject(one["name"], _of_module(one)) for one in _cycled(ranked, number)]


def subject_of(audit: Audit) -> Subject:
    """The audit as a whole."""
    return _subject(audit["name"], _of_audit(audit))


def _cycled(ranked: Sequence[ModuleReport], number: int) -> Iterator[ModuleReport]:
    """`number` modules, from the start again where there are fewer: files may vanish before they are read."""
    yield from (ranked[place % len(ranked)] for place in range(number if ranked else 0))


def _subject(name: str, facts: Iterable[str]) -> Subject:
    return Subject(name=name, facts=" ".join(facts))


def _of_module(module: ModuleReport) -> Iterator[str]:
    yield f"The module {module['name']} has {plural(module['code_lines'], 'line')} of code."
    if module["most_complex"]:
        name, value = module["most_complex"]["name"], module["most_complex"]["value"]
        yield f"Its most complex function is {name} with complexity {value}."
    if module["longest"]:
        yield f"Its longest function is {module['longest']['name']} with {plural(module['longest']['value'], 'line')}."
    yield f"The audit found {_found([(one, count(module['findings'], one)) for one in SEVERITIES])} in it."


def _of_audit(audit: Audit) -> Iterator[str]:
    sums = totals(audit)
    lines = plural(sums.code_lines, "line")
    yield f"The audit of {audit['name']} covers {plural(sums.modules, 'module')} with {lines} of code."
    yield f"It found {_found(list(sums.findings.items()))}."
    if sums.documented is not None:
        yield f"{share(sums.documented)} of the public definitions have a docstring."
    yield f"There are {plural(sums.cycles, 'import cycle')}." if sums.cycles else "There are no import cycles."


def _found(counts: Sequence[tuple[Severity, int]]) -> str:
    listed = [plural(number, severity) for severity, number in counts if number]
    return " and ".join(listed) if listed else "nothing"


def passage_of(subject: Subject, output: dict[str, Any]) -> Passage:
    """What stays of an `llm` node's output about a subject, and what it cost."""
    said = str(output["text"])
    kept = checked(said, subject["facts"])
    return Passage(
        subject=subject["name"],
        facts=subject["facts"],
        said=said,
        kept=kept,
        model=output["model"],
        account=output["account"],
        input_tokens=output["usage"]["input_tokens"],
        output_tokens=output["usage"]["output_tokens"],
    )


def checked(said: str, facts: str) -> str:
    """The sentences of an answer that hold against the facts, at most MOST_CHARACTERS; may be empty."""
    kept: list[str] = []
    for sentence in _BREAK.split(_TWICE.sub(r"\1", " ".join(said.split()))):
        if _is_backed(sentence, facts) and sentence not in kept:
            kept.append(sentence)
        if len(" ".join(kept)) > MOST_CHARACTERS:
            return " ".join(kept[:-1])
    return " ".join(kept)


def _is_backed(sentence: str, facts: str) -> bool:
    if sentence[-1:] not in (".", "!", "?"):
        return False  # the limit of the answer cut it off
    known = [_tokens(one) for one in _BREAK.split(facts)]
    said = _tokens(sentence)
    beside = set().union(*(_beside(one) for one in known))
    figures = {place for place, token in enumerate(said) if token[0].isdigit()}
    if any(not beside & set(_pairs(said, place)) for place in figures):
        return False
    words = _WORD.findall(" ".join(said))
    backed = {word for one in known for word in _WORD.findall(" ".join(one))}
    return bool(words) and sum(word in backed for word in words) >= KNOWN_WORDS * len(words)


def _tokens(sentence: str) -> list[str]:
    """Figures and words in small letters; models leave separators of thousands out."""
    plain = re.sub(r"(?<=\d),(?=\d{3})", "", sentence.lower())
    return [token.rstrip(".") for token in _TOKEN.findall(plain) if token not in _FILLERS]


def _beside(tokens: Sequence[str]) -> set[tuple[str, str]]:
    return {pair for place, token in enumerate(tokens) if token[0].isdigit() for pair in _pairs(tokens, place)}


def _pairs(tokens: Sequence[str], place: int) -> list[tuple[str, str]]:
    """A figure with the word before it and the word behind it."""
    return list(pairwise(tokens[max(0, place - 1) : place + 2]))
