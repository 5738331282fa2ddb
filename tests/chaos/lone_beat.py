"""The app of a beat that asks nobody: with a lock of its own it ticks beside the beat that has the fleet's lock."""

from __future__ import annotations

from orchestrator.app import app

app.conf.redbeat_lock_key = "redbeat:lone:lock"
