"""The settings file of models: every fault with its place, and addresses that must not be called."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from orchestrator.llm.address import fault_of_host, fault_of_url
from orchestrator.llm.failures import InvalidProfiles
from orchestrator.llm.limits import Limits
from orchestrator.llm.profile_file import check_keys, default_profiles, load_profiles, read_profiles
from orchestrator.llm.profiles import api_key

GOOD = """
accounts:
  openai: {base_url: "https://api.openai.com/v1/", api_key_env: OPENAI_API_KEY, limits: {requests_per_minute: 500}}
  local: {kind: self-hosted, base_url: "http://127.0.0.1:8080/v1", limits: {concurrency: 2}}
models:
  small: {account: openai, name: gpt-5-mini}
  tiny: {account: local, encoding: o200k_base, price: {input: 0, output: 0.5}}
chains:
  default: [small, tiny]
"""


def places(raw: Any) -> dict[str, str]:
    with pytest.raises(InvalidProfiles) as caught:
        read_profiles(raw)
    return {fault.place: f"{fault.message} {fault.remedy}" for fault in caught.value.faults}


def test_a_file_is_read(tmp_path: Path) -> None:
    path = tmp_path / "models.yaml"
    path.write_text(GOOD)
    read = load_profiles(path, {"OPENAI_API_KEY": "x"})
    assert read.chain("default") == ["small", "tiny"]
    assert read.accounts["openai"].base_url == "https://api.openai.com/v1"
    assert api_key(read.accounts["openai"], {"OPENAI_API_KEY": "x"}) == "x"
    assert read.limits() == {
        "openai": Limits(requests_per_minute=500, charges="reserved"),
        "local": Limits(concurrency=2),
    }


def test_a_key_that_is_not_set_is_a_fault_for_who_calls(tmp_path: Path) -> None:
    path = tmp_path / "models.yaml"
    path.write_text(GOOD)
    profiles = load_profiles(path, {})
    with pytest.raises(InvalidProfiles, match=r"accounts\.openai\.api_key_env: .* OPENAI_API_KEY is not set"):
        check_keys(profiles, {})
    check_keys(profiles, {"OPENAI_API_KEY": "x"})


def test_all_faults_are_found_at_once() -> None:
    found = places(
        {
            "accounts": {
                "x": {"base_url": "http://169.254.169.254/v1", "api_key": "sk-secret", "limits": {"concurrency": 0}},
                "y": {"base_url": "ftp://h", "timeout_seconds": "5"},
            },
            "models": {"a": {"account": "gone", "colour": 1}, "b": {}},
            "chains": {"c": ["a", "nobody", "a"], "b": ["b"]},
            "speed": 1,
        }
    )
    assert "link-local" in found["accounts.x.base_url"]
    assert "api_key_env" in found["accounts.x.api_key"]
    assert "greater than or equal to 1" in found["accounts.x.limits.concurrency"]
    assert "http://" in found["accounts.y.base_url"]
    assert set(found) >= {"accounts.y.timeout_seconds", "models.b.account", "speed"}
    assert "known fields: account, name" in found["models.a.colour"]
    assert "known accounts: x, y" in found["models.a.account"]
    assert "there is no model 'nobody'" in found["chains.c[1]"]
    assert "twice" in found["chains.c[2]"]
    assert "a model has this name" in found["chains.b"]
    assert "sk-secret" not in str(found), "a key that stands in the file by mistake is not shown"


@pytest.mark.parametrize(
    ("text", "place"), [("accounts: [", "line 1"), ("{}", "accounts"), ("[]", "document"), ("a: 1\na: 2", "line 2")]
)
def test_a_text_that_is_no_such_file_says_where(tmp_path: Path, text: str, place: str) -> None:
    path = tmp_path / "models.yaml"
    path.write_text(text)
    with pytest.raises(InvalidProfiles) as caught:
        load_profiles(path, {})
    assert place in str(caught.value)


def test_a_file_that_is_not_there_says_so(tmp_path: Path) -> None:
    with pytest.raises(InvalidProfiles, match="No such file"):
        load_profiles(tmp_path / "gone.yaml", {})


def test_without_a_file_the_environment_decides() -> None:
    read = default_profiles({"OPENAI_API_KEY": "x"})
    assert read.accounts["openai"].base_url == "https://api.openai.com/v1"
    assert read.chain("default") == ["gpt-5-mini"]
    own = default_profiles({"OPENAI_BASE_URL": "http://127.0.0.1:1234/v1", "OPENAI_MODEL": "smollm2"})
    assert (own.accounts["openai"].kind, own.accounts["openai"].api_key_env) == ("self-hosted", None)
    assert own.chain("default") == ["smollm2"]
    with pytest.raises(InvalidProfiles, match="OPENAI_API_KEY"):
        default_profiles({})


@pytest.mark.parametrize(
    "host",
    ["169.254.169.254", "169.254.0.1", "2852039166", "0xa9fea9fe", "0251.0376.0251.0376", "fe80::1", "fd00:ec2::254",
     "::ffff:169.254.169.254", "100.100.100.200", "metadata.google.internal", "METADATA.google.internal.", "0.0.0.0",
     "224.0.0.1", "2002:a9fe:a9fe::"],
)  # fmt: skip
def test_addresses_of_metadata_services_are_refused(host: str) -> None:
    assert fault_of_host(host)


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "::1", "10.0.0.5", "api.openai.com", "8.8.8.8", "model"])
def test_other_hosts_may_be_called(host: str) -> None:
    assert fault_of_host(host) is None


@pytest.mark.parametrize(
    "url",
    ["", "api.openai.com", "file:///etc/passwd", "http://", "http://u:p@h/v1", "http://h/v1?x=1", "http://h/#x",
     "http://h:99999/", "http://[::1", "http://[fe80::1]/v1"],
)  # fmt: skip
def test_urls_that_are_none_are_refused(url: str) -> None:
    assert fault_of_url(url)
