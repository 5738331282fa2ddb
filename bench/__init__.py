"""Measure Chordal, beside plain Celery, in one run: ``python -m bench``."""
