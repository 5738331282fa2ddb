"""The demo as people start it: a worker is killed halfway, the report is there, and it says what happened."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

from support.model_server import chat, model_server, says

PROJECT = Path(__file__).resolve().parents[2]
DEMO = PROJECT / "examples" / "audit" / "demo.py"


MODELS = ("OPENAI_API_KEY", "OPENAI_BASE_URL", "OPENAI_MODEL", "CHORDAL_LLM_FILE")


def demo(*arguments: str | Path, **environment: str) -> subprocess.CompletedProcess[str]:
    known = {name: value for name, value in os.environ.items() if name not in MODELS}
    return subprocess.run(
        [sys.executable, DEMO, *arguments],
        capture_output=True, text=True, timeout=110, check=False, env={**known, **environment},
    )  # fmt: skip


def test_the_demo_survives_the_kill_of_a_worker(tmp_path: Path) -> None:
    done = demo("--source", PROJECT / "orchestrator", "--out", tmp_path / "out", "--data-dir", tmp_path / "data")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "SIGKILL w" in done.stdout
    assert "nodes have exactly one accepted commit" in done.stdout
    assert "1,000 nodes DONE with 1,000 commits" in done.stdout
    assert done.stdout.rstrip().endswith("everything held")
    report = json.loads((tmp_path / "out" / "report.json").read_text())
    assert "orchestrator.domain.dag" in {module["name"] for module in report["modules"]}
    assert 'id="run"' in (tmp_path / "out" / "report.html").read_text()
    text = (tmp_path / "out" / "report.md").read_text()
    assert "workers killed: 1" in text
    # The local model wrote the abstract and about four modules, and the limiter's books say the same.
    abstract = report["prose"]["abstract"]
    passages = [abstract, *report["prose"]["modules"]]
    assert len(passages) == 5
    assert all((one["model"], one["account"]) == ("smollm2-135m", "local") for one in passages)
    assert all(one["input_tokens"] > 20 and 0 < one["output_tokens"] <= 80 for one in passages)
    assert abstract["kept"], abstract["said"]
    tokens = sum(one["input_tokens"] + one["output_tokens"] for one in passages)
    assert f"the limiter's books balance: {tokens:,} tokens counted, 0 in flight, 0 waiting" in done.stdout
    assert f"abstract, by smollm2-135m: {abstract['kept']}" in done.stdout
    assert "model calls: 2 of 2 in flight" in done.stdout, "the gauges are in the progress"
    assert "## Model calls" in text
    assert 'id="calls"' in (tmp_path / "out" / "report.html").read_text()


def test_the_demo_calls_the_model_that_the_environment_names(tmp_path: Path) -> None:
    shop = tmp_path / "shop"
    shop.mkdir()
    (shop / "shop.py").write_text('"""A shop."""\n\n\ndef sell() -> int:\n    """Sell."""\n    return 1\n')
    usage = {"prompt_tokens": 70, "completion_tokens": 9, "total_tokens": 79}
    with model_server() as server:
        server.does(says(chat("The audit found nothing in it. It has 99 bugs.", usage=usage)))
        done = demo(
            "--source", shop, "--out", tmp_path / "out", "--data-dir", tmp_path / "data", "--no-chaos",
            OPENAI_BASE_URL=server.url, OPENAI_MODEL="big",
        )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    prose = json.loads((tmp_path / "out" / "report.json").read_text())["prose"]
    (module,) = prose["modules"]
    assert (module["model"], module["account"], module["output_tokens"]) == ("big", "openai", 9)
    assert module["kept"] == "The audit found nothing in it."
    assert "the limiter's books balance: 158 tokens counted" in done.stdout
    assert len(server.asked) == 2


def test_a_source_that_is_not_there_is_told(tmp_path: Path) -> None:
    done = demo("--source", tmp_path / "nowhere", "--out", tmp_path / "out")
    assert done.returncode == 2
    assert done.stderr == f"demo: source: there is no folder {tmp_path / 'nowhere'}\n"
