"""Makes the package `bench` importable by itself: the root of the checkout must not be on the path."""

from __future__ import annotations

import sys
from importlib.util import module_from_spec, spec_from_file_location

from support.house import ROOT

if "bench" not in sys.modules:
    spec = spec_from_file_location(
        "bench", ROOT / "bench" / "__init__.py", submodule_search_locations=[str(ROOT / "bench")]
    )
    assert spec is not None
    assert spec.loader is not None
    sys.modules["bench"] = module_from_spec(spec)
    spec.loader.exec_module(sys.modules["bench"])
