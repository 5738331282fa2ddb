"""Celery canvases from goals and goals from Celery canvases. Nothing else in `orchestrator.compile` knows Celery."""

from orchestrator.compile.canvas.errors import NotACanvas, NotAGoal
from orchestrator.compile.canvas.incoming import from_canvas
from orchestrator.compile.canvas.options import ARGS, PLAIN_TASK
from orchestrator.compile.canvas.outgoing import Canvas, to_canvas

__all__ = ["ARGS", "PLAIN_TASK", "Canvas", "NotACanvas", "NotAGoal", "from_canvas", "to_canvas"]
