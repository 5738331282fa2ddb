"""Outcomes of goals and nodes, told to webhooks and to callbacks of the user, at least once."""
