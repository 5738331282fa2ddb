"""Tools: typed functions and what else an agent may call, and the nodes that carry calls out."""
