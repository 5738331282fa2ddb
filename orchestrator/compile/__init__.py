"""From a DAG to how it runs: chains joined by chords, its critical path, its pictures, and Celery canvases both ways.

Pure, like the domain. `orchestrator.compile.canvas` alone knows Celery's canvas classes.
"""

from orchestrator.compile.plan import Chain, Chord, Link, Plan, compile

__all__ = ["Chain", "Chord", "Link", "Plan", "compile"]
