"""The audit's modules are scripts' modules: put their folder on the path, as `python examples/audit/demo.py` does."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[3] / "examples" / "audit"))
