"""The page about beat names every duty with the setting of its interval."""

from __future__ import annotations

import re
from pathlib import Path

from orchestrator.settings import Settings
from orchestrator.wiring import connect
from support.house import ROOT

PAGE = ROOT / "docs" / "explanation" / "beat.md"
ROW = re.compile(r"^\| `(\w+)` \| `CHORDAL_(\w+)` \|", re.MULTILINE)


def test_every_duty_is_there_with_the_setting_of_its_interval(tmp_path: Path) -> None:
    rows = dict(ROW.findall(PAGE.read_text("utf-8")))
    names = set(rows.values())
    changed = {name.lower(): 100.0 + place for place, name in enumerate(sorted(names))}
    usual = connect(Settings(redis_url="redis://127.0.0.1:1", data_dir=tmp_path))
    other = connect(Settings(redis_url="redis://127.0.0.1:1", data_dir=tmp_path, **changed))  # type: ignore[arg-type]
    assert list(rows) == [duty.name for duty in usual.duties.all()]
    assert other.duties.intervals() == {duty: changed[setting.lower()] for duty, setting in rows.items()}
