"""Agents: declared roles, the turns they take on nodes, their tools, and the plans that they make."""
