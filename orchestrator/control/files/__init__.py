"""Heartbeat files: one directive a line, each of which acts once, whatever becomes of the file."""
