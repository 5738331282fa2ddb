"""compose.yaml is a compose file, and keeps the rules for what is reachable and what is secret."""

from __future__ import annotations

import json
import re
from typing import Any

import jsonschema
import pytest
import yaml

from support.house import ROOT

SERVICES = ("redis", "worker", "llm-worker", "beat", "flower")
SECRET = re.compile(r"PASSWORD|SECRET|TOKEN|AUTH|API_KEY")


@pytest.fixture(scope="module")
def compose() -> dict[str, Any]:
    return dict(yaml.safe_load((ROOT / "compose.yaml").read_text("utf-8")))


@pytest.fixture(params=SERVICES)
def service(request: pytest.FixtureRequest, compose: dict[str, Any]) -> dict[str, Any]:
    return dict(compose["services"][request.param])


def test_it_is_a_compose_file(compose: dict[str, Any]) -> None:
    schema = json.loads((ROOT / "tests/data/compose.schema.json").read_text("utf-8"))
    jsonschema.Draft202012Validator.check_schema(schema)
    jsonschema.Draft202012Validator(schema).validate(compose)


def test_its_services_are_the_expected_ones(compose: dict[str, Any]) -> None:
    assert set(compose["services"]) == set(SERVICES)


def test_what_a_service_refers_to_exists(compose: dict[str, Any], service: dict[str, Any]) -> None:
    assert set(service.get("depends_on", ())) <= set(compose["services"])
    assert set(service["networks"]) <= set(compose["networks"])
    named = {volume.split(":")[0] for volume in service.get("volumes", ()) if volume[0] not in "./$"}
    assert named <= set(compose["volumes"])
    if "build" in service:
        assert (ROOT / service["build"]["dockerfile"]).is_file()


def test_a_service_has_a_health_check_or_waits_for_one(compose: dict[str, Any], service: dict[str, Any]) -> None:
    assert "healthcheck" in service or service.get("depends_on")
    for name, how in service.get("depends_on", {}).items():
        if how["condition"] == "service_healthy":
            assert "healthcheck" in compose["services"][name]


def test_nothing_is_published_beyond_loopback(service: dict[str, Any]) -> None:
    assert "network_mode" not in service
    assert all(port.startswith("127.0.0.1:") for port in service.get("ports", ()))


def test_there_is_no_default_password(service: dict[str, Any]) -> None:
    for name, value in service.get("environment", {}).items():
        if SECRET.search(name):
            assert re.fullmatch(r"\$\{\w+:\?[^}]+\}", str(value)), f"{name} must come from the environment, and only so"
        login = re.search(r"//[^:@/]*:(.*)@", str(value))
        assert login is None or re.fullmatch(r"\$\{\w+:\?[^}]+\}", login[1])


def test_no_secret_is_in_an_argument(service: dict[str, Any]) -> None:
    # `$$NAME` is read by the shell in the container; `${NAME}` would be put into the command line by compose.
    assert not [part for part in service.get("command", ()) if re.search(r"(?<!\$)\$\{?\w*(PASSWORD|AUTH)", part)]


def test_the_redis_keeps_what_it_is_told(compose: dict[str, Any]) -> None:
    command = " ".join(compose["services"]["redis"]["command"])
    assert "--appendonly yes" in command
    assert "--maxmemory-policy noeviction" in command
    assert "redis:/data" in compose["services"]["redis"]["volumes"]


def test_beat_is_redundant(compose: dict[str, Any]) -> None:
    assert compose["services"]["beat"]["deploy"]["replicas"] >= 2


def test_the_image_is_multi_stage_and_runs_as_nobody_special() -> None:
    lines = (ROOT / "deploy/Dockerfile").read_text("utf-8").splitlines()
    stages = [index for index, line in enumerate(lines) if line.startswith("FROM ")]
    assert len(stages) == 2
    final = lines[stages[-1] :]
    users = [line.split()[1] for line in final if line.startswith("USER ")]
    assert users == ["chordal"]
    assert not [line for line in lines if line.startswith("ENV") and SECRET.search(line)]
    for line in lines:
        if line.startswith("COPY ") and "--from" not in line:
            assert all((ROOT / name).exists() for name in line.split()[1:-1])
