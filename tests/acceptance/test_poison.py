"""Messages that no worker can read: they are set aside with the reason, and the worker goes on."""

from __future__ import annotations

import base64
import json
import uuid
from pathlib import Path
from typing import Any

from orchestrator.domain.states import GoalState
from support.servers import Fleet, server, until


def message(body: str, **headers: Any) -> str:
    """A broker entry as Celery writes it."""
    name = str(uuid.uuid4())
    properties = {
        "correlation_id": name, "delivery_mode": 2, "delivery_info": {"exchange": "", "routing_key": "default"},
        "priority": 0, "body_encoding": "base64", "delivery_tag": name,
    }  # fmt: skip
    entry = {"body": body, "content-encoding": "utf-8", "content-type": "application/json", "properties": properties}
    return json.dumps(entry | {"headers": {"lang": "py", "id": name, "root_id": name, **headers}})


def encoded(value: Any) -> str:
    return base64.b64encode(json.dumps(value).encode()).decode()


POISON = {
    "bad base64": message("*", task="tasks.node.run"),
    "a body that is no list": message(encoded({"no": "arguments"}), task="tasks.node.run"),
    "no task": message(encoded([[], {}, {}]), what="?"),
}


def test_a_worker_survives_what_it_cannot_read(tmp_path: Path) -> None:
    with server() as redis_server:
        fleet = Fleet(redis_server.url, tmp_path, {})
        try:
            chordal = fleet.chordal()
            worker, _ = fleet.worker("w"), fleet.beat()
            for entry in POISON.values():
                chordal.store.client.lpush("default", entry)
            goal = chordal.submit({"nodes": [{"id": "a"}]})
            until(lambda: chordal.summary(goal).state is GoalState.DONE, 20, "the goal behind the poison")
            assert worker.process.poll() is None, worker.text()
            found = until(lambda: len(chordal.store.fleet.poison()) == len(POISON) and chordal.store.fleet.poison(), 10)
            assert {"tasks.node.run" in record["headers"] for record in found} == {True, False}
            assert all(record["reason"] for record in found), found
            assert any("arguments" in record["body"] for record in found), found
            assert not chordal.store.client.hlen("unacked"), "nothing is left to be delivered again"
            (check,) = [check for check in chordal.doctor() if check.name == "poison messages"]
            assert f"{len(POISON)} set aside" in check.detail
        finally:
            fleet.stop()
