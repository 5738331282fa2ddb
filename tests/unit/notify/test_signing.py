"""The signature of a webhook: known values, and what must not pass."""

from __future__ import annotations

import pytest

from orchestrator.notify.signing import SIGNATURE, TIMESTAMP, sign, verify

SECRET, BODY, NOW = "a secret", b'{"goal":"g"}', 1_700_000_000


def test_the_signature_is_an_hmac_over_timestamp_dot_body() -> None:
    # printf '1700000000.{"goal":"g"}' | openssl dgst -sha256 -hmac 'a secret'
    assert sign(SECRET, NOW, BODY) == "v1=18b6ac3e403c83e161b89a782307f3f5e053570d1587a75a76f4c398b9d752f3"


def headers(**changes: str) -> dict[str, str]:
    return {TIMESTAMP: str(NOW), SIGNATURE: sign(SECRET, NOW, BODY)} | changes


def test_a_genuine_one_passes_whatever_the_case_of_its_headers() -> None:
    assert verify(SECRET, headers(), BODY, NOW + 10)
    assert verify(SECRET, {name.lower(): value for name, value in headers().items()}, BODY, NOW - 10)


def test_while_a_secret_is_changed_one_of_several_signatures_is_enough() -> None:
    both = f"{sign('the old one', NOW, BODY)}, {sign(SECRET, NOW, BODY)}"
    assert verify(SECRET, headers(**{SIGNATURE: both}), BODY, NOW)


@pytest.mark.parametrize(
    "changes",
    [
        {SIGNATURE: ""},
        {SIGNATURE: sign("another", NOW, BODY)},
        {SIGNATURE: sign(SECRET, NOW, BODY).removeprefix("v1=")},
        {SIGNATURE: sign(SECRET, NOW + 1, BODY)},
        {TIMESTAMP: ""},
        {TIMESTAMP: str(NOW + 1)},
        {TIMESTAMP: "\u0661"},
        {TIMESTAMP: "-5"},
    ],
)
def test_what_was_changed_does_not(changes: dict[str, str]) -> None:
    assert not verify(SECRET, headers(**changes), BODY, NOW)


def test_an_old_one_does_not() -> None:
    assert not verify(SECRET, headers(), BODY, NOW + 301)
    assert verify(SECRET, headers(), BODY, NOW + 301, tolerance_seconds=600)


def test_another_body_does_not() -> None:
    assert not verify(SECRET, headers(), BODY + b" ", NOW)


@pytest.mark.parametrize("digits", [16, 400, 5000])
def test_a_timestamp_that_nobody_can_compute_with_is_refused(digits: int) -> None:
    assert not verify(SECRET, headers(**{TIMESTAMP: "9" * digits}), BODY, float(NOW))
