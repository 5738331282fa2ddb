"""Compile a DAG: every DAG is chains, forked by links and joined by chords, in exactly one way.

A maximal linear run of nodes is a chain. Between chains there are only two shapes. A chain whose head has one parent, which
has other children too, follows the chain that ends in that parent: a link. A chain whose head has several parents is the
body of a chord; its header is the chains that end in those parents. A chain may stand in the header of many chords, which
Celery's own chord cannot say, so this holds for every DAG, series-parallel or not.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

from orchestrator.compile.critical_path import longest_path
from orchestrator.domain import graph
from orchestrator.domain.dag import Dag, Edge, Firing, Node
from orchestrator.domain.errors import InvalidGoal
from orchestrator.domain.limits import DEFAULT_LIMITS
from orchestrator.domain.validate import graph_faults


@dataclass(frozen=True, slots=True)
class Chain:
    """Nodes that run one after the other. Its id is the id of its first node."""

    id: str
    nodes: tuple[str, ...]

    @property
    def tail(self) -> str:
        """The last node."""
        return self.nodes[-1]


@dataclass(frozen=True, slots=True)
class Link:
    """A fork: the chain `target` may start when the chain `source`, which others follow too, has ended."""

    source: str
    target: str


@dataclass(frozen=True, slots=True)
class Chord:
    """A join: the chain `body` may start when `need` of the chains in `header` have ended."""

    header: tuple[str, ...]
    """Chain ids, in the order of the edges into the body."""
    body: str
    need: int
    """All of the header, 1 of it (`join: any`) or k of it."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What a DAG compiles to. Chains, links and chords hold every edge once; `guards` holds what else edges say."""

    dag: Dag
    chains: tuple[Chain, ...]
    """In topological order of their heads; within it in the order of the document."""
    links: tuple[Link, ...]
    chords: tuple[Chord, ...]
    guards: Mapping[tuple[str, str], Edge]
    """Edges that fire otherwise than on a plain `done`, by (source, target): they have another `on`, or a `when`."""
    order: tuple[str, ...]
    """Every node, so that each edge points forward."""
    rank: Mapping[str, int]
    """Nodes on the longest path from the node to an end, itself included: what is left to do, and so its urgency."""
    layers: tuple[tuple[str, ...], ...]
    """Nodes by the number of nodes on the longest path to them: those of one layer never wait for each other."""
    critical_path: tuple[str, ...]
    """The path that bounds the makespan when all nodes take equally long. `compile.critical_path` has it by seconds."""

    def edges(self) -> Iterator[tuple[str, str]]:
        """Every edge of the DAG as (source, target), rebuilt from chains, links and chords."""
        tails = {chain.id: chain.tail for chain in self.chains}
        for chain in self.chains:
            yield from pairwise(chain.nodes)
        for link in self.links:
            yield tails[link.source], link.target
        for chord in self.chords:
            for source in chord.header:
                yield tails[source], chord.body


def compile(dag: Dag) -> Plan:
    """The plan of a DAG (or goal), in time linear in nodes + edges. Raises InvalidGoal for what is not a DAG."""
    ids = [node.id for node in dag.nodes]
    pairs = [(edge.source, edge.target) for edge in dag.edges]
    known = set(ids)
    if len(known) < len(ids) or len(set(pairs)) < len(pairs) or not all(s in known and t in known for s, t in pairs):
        raise _invalid(dag)
    children, parents = graph.successors(ids, pairs), graph.predecessors(ids, pairs)
    order = graph.topological_order(children)
    if len(order) < len(ids):
        raise _invalid(dag)
    need = {node.id: _need(node, len(parents[node.id])) for node in dag.nodes}
    chains, chain_of = _chains(order, children, parents)
    links, chords = _between(chains, chain_of, parents, need)
    return Plan(
        dag=dag,
        chains=chains,
        links=links,
        chords=chords,
        guards={(edge.source, edge.target): edge for edge in dag.edges if edge.on is not Firing.DONE or edge.when},
        order=tuple(order),
        rank=graph.upward_rank(children, order),
        layers=_layers(order, parents),
        critical_path=longest_path(order, parents, need).nodes,
    )


def _need(node: Node, ways: int) -> int:
    if isinstance(node.join, int):
        return node.join
    return ways if node.join == "all" else min(1, ways)


def _chains(
    order: Sequence[str], children: Mapping[str, Sequence[str]], parents: Mapping[str, Sequence[str]]
) -> tuple[tuple[Chain, ...], dict[str, str]]:
    runs: dict[str, list[str]] = {}
    chain_of: dict[str, str] = {}
    for node in order:
        above = parents[node]
        head = chain_of[above[0]] if len(above) == 1 and len(children[above[0]]) == 1 else node
        chain_of[node] = head
        runs.setdefault(head, []).append(node)
    return tuple(Chain(head, tuple(run)) for head, run in runs.items()), chain_of


def _between(
    chains: Sequence[Chain], chain_of: Mapping[str, str], parents: Mapping[str, Sequence[str]], need: Mapping[str, int]
) -> tuple[tuple[Link, ...], tuple[Chord, ...]]:
    links, chords = [], []
    for chain in chains:
        header = tuple(chain_of[parent] for parent in parents[chain.id])
        if len(header) == 1:
            links.append(Link(header[0], chain.id))
        elif header:
            chords.append(Chord(header, chain.id, need[chain.id]))
    return tuple(links), tuple(chords)


def _layers(order: Sequence[str], parents: Mapping[str, Sequence[str]]) -> tuple[tuple[str, ...], ...]:
    level: dict[str, int] = {}
    layers: list[list[str]] = []
    for node in order:
        level[node] = 1 + max((level[parent] for parent in parents[node]), default=-1)
        if level[node] == len(layers):
            layers.append([])
        layers[level[node]].append(node)
    return tuple(map(tuple, layers))


def _invalid(dag: Dag) -> InvalidGoal:
    return InvalidGoal(graph_faults(dict(enumerate(dag.nodes)), dict(enumerate(dag.edges)), DEFAULT_LIMITS))
