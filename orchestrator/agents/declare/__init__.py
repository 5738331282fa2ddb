"""Agents declared in files: INSTRUCTIONS in its forms."""
