"""Write dag-1000.json: a layered random DAG that is not series-parallel, the same at every run.

1,000 nodes in 20 layers of 50. Each node below the first layer has two or three parents: the first one in the layer
just above, so that the depth is exact, the others in the up to three layers above.
"""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any, Final

NODES: Final = 1000
LAYERS: Final = 20
SEED: Final = 20241121
TARGET: Final = Path(__file__).with_name("dag-1000.json")


def layered(nodes: int, layers: int, seed: int) -> dict[str, Any]:
    """The goal document; its nodes have no kind, so the default handler records their titles."""
    chance = random.Random(seed)
    names = [[f"n{layer:02}-{place:02}" for place in range(nodes // layers)] for layer in range(layers)]
    edges: list[dict[str, str]] = []
    for layer in range(1, layers):
        above = [name for names_of in names[max(0, layer - 3) : layer] for name in names_of]
        for name in names[layer]:
            parents = [chance.choice(names[layer - 1])]
            wanted = min(chance.choice((2, 3)), len(above))
            while len(parents) < wanted:
                parent = chance.choice(above)
                if parent not in parents:
                    parents.append(parent)
            edges.extend({"source": parent, "target": name} for parent in parents)
    listed = [{"id": name, "title": f"layer {layer}, {name}"} for layer, row in enumerate(names) for name in row]
    return {"title": f"{nodes:,} nodes in {layers} layers", "nodes": listed, "edges": edges}


def written(document: dict[str, Any]) -> str:
    """JSON with a line a node and a line an edge, so that a change can be read."""
    nodes, edges = (",\n".join(f"  {json.dumps(item)}" for item in document[part]) for part in ("nodes", "edges"))
    title = json.dumps(document["title"])
    return f'{{"title": {title},\n "nodes": [\n{nodes}\n ],\n "edges": [\n{edges}\n ]}}\n'


if __name__ == "__main__":
    TARGET.write_text(written(layered(NODES, LAYERS, SEED)), encoding="utf-8")
