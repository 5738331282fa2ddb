"""The `chordal` command, also mounted as `celery -A orchestrator goal`. Modules here import lazily: help is instant."""
