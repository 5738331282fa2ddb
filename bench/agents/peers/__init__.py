"""The same turns by others."""
