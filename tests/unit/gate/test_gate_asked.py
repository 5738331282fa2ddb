"""What a parked call keeps, and its name in the line."""

from __future__ import annotations

from orchestrator.domain.lease import Lease
from orchestrator.gate.asked import Asked
from orchestrator.gate.place import Place
from orchestrator.llm.course import Progress


def test_a_place_is_read_back_from_its_name() -> None:
    place = Asked(number=3).place(Lease("g.1", "n-2", 7, "x", 4), "1700")
    assert place == Place("g.1", "n-2", 4, 3, "1700")
    assert Place.of(place.name) == place
    assert place.task_id == "g.1:n-2:4"


def test_what_is_kept_is_read_back_and_anything_else_is_a_beginning() -> None:
    asked = Asked(Progress(1, 2, 3, 400, None), 5, 6, 7, 8, 9, "account")
    assert Asked.of(asked.as_text()) == asked
    assert Asked.of("") == Asked.of("task:1") == Asked()


def test_asking_anew_takes_another_place_and_keeps_the_clock() -> None:
    asked = Asked(number=2, since_ms=10, asked_ms=20, looks=3)
    assert asked.anew(Progress(place=1)) == Asked(Progress(place=1), 3, 10)
