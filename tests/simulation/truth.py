"""The workers' side of the story: what ran with which inputs, what was sent and answered. The stored history must agree."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from orchestrator.domain.lease import Lease
from orchestrator.store.records import Outcome, Result, Verdict

Entry = tuple[str, Mapping[str, str]]
ENDS = ("node.done", "node.failed", "node.retry", "node.waiting", "node.released")
"""How a lease can end by a commit."""


@dataclass(frozen=True, slots=True)
class Ran:
    """One run of a node's function."""

    lease: Lease
    upstream: Mapping[str, Any] | None
    """What it read, by parent; None where the node was given its inputs."""
    output: Any = None


@dataclass(slots=True)
class Truth:
    """What the processes of the simulation know, by goal."""

    runs: dict[str, dict[tuple[str, int, str], Ran]] = field(default_factory=lambda: defaultdict(dict))
    outputs: dict[str, set[tuple[str, int, str, str]]] = field(default_factory=lambda: defaultdict(set))
    """Outputs that were sent: node, token, nonce, stored text."""
    verdicts: dict[str, dict[tuple[str, int, str], Counter[Verdict]]] = field(
        default_factory=lambda: defaultdict(lambda: defaultdict(Counter))
    )
    """Answers to commits of outputs, by node, token and nonce."""
    answered_approvals: Counter[str] = field(default_factory=Counter)
    steered: dict[tuple[str, str], list[str]] = field(default_factory=lambda: defaultdict(list))
    """Ids of messages that were taken in, by goal and node."""
    accepted: set[str] = field(default_factory=set)
    """Goals whose submission returned."""
    commands: dict[tuple[str, str, str], str] = field(default_factory=dict)
    """What came of commands: by goal, receiver and id."""
    twice: list[str] = field(default_factory=list)

    def ran(self, lease: Lease, upstream: Mapping[str, Any] | None) -> None:
        """A function starts."""
        key = (lease.node, lease.token, lease.nonce)
        if key in self.runs[lease.goal]:
            self.twice.append(f"T1 {lease.goal} {lease.node}: ran twice under token {lease.token}")
        self.runs[lease.goal][key] = Ran(lease, upstream)

    def sent(self, goal: str, results: Sequence[Result]) -> None:
        """A commit goes out."""
        for result in results:
            if result.outcome is Outcome.DONE:
                lease = result.lease
                self.outputs[goal].add((lease.node, lease.token, lease.nonce, result.body))

    def answered(self, goal: str, results: Sequence[Result], verdicts: Sequence[Verdict]) -> None:
        """A commit was answered."""
        for result, verdict in zip(results, verdicts, strict=True):
            if result.outcome is Outcome.DONE:
                lease = result.lease
                self.verdicts[goal][lease.node, lease.token, lease.nonce][verdict] += 1

    def obeyed(self, goal: str, receiver: str, command: str, word: str, repeated: bool) -> None:
        """A command was answered: it acted, or had done so before."""
        known = (goal, receiver, command) in self.commands
        before = self.commands.setdefault((goal, receiver, command), word)
        if before != word or (known and not repeated):
            again = "" if repeated else " once more"
            self.twice.append(f"T10 {goal} {receiver}: of command {command} came{again} {word}, and {before} before")

    def forget(self, goal: str) -> None:
        """The goal is removed; another of its name is another story."""
        for book in (self.runs, self.outputs, self.verdicts):
            book.pop(goal, None)
        self.answered_approvals.pop(goal, None)
        for key in [key for key in self.steered if key[0] == goal]:
            del self.steered[key]
        for order in [order for order in self.commands if order[0] == goal]:
            del self.commands[order]

    # -- against the history ----------------------------------------------------------------------------------------

    def disagreements(self, goal: str, events: Sequence[Entry], outputs: Mapping[str, str]) -> Iterator[str]:
        """Where the stored history of a goal is not what its workers saw."""
        done, ended, standing = set[tuple[str, int]](), set[tuple[str, int]](), set[tuple[str, int]]()
        for _, event in events:
            if event["type"] == "node.reopened":
                standing = {one for one in standing if one[0] != event["node"]}
            if event["type"] in ENDS and event["token"] and event["worker"]:
                ended.add((event["node"], int(event["token"])))
                if event["type"] == "node.done":
                    done.add((event["node"], int(event["token"])))
                    standing.add((event["node"], int(event["token"])))
        yield from self._answers(goal, done, ended)
        yield from self._outputs(goal, standing, outputs)
        yield from _commands(goal, events)
        woken = sum(e["type"] == "node.woken" and '"approval"' in e["data"] for _, e in events)
        if self.answered_approvals[goal] > woken:
            yield f"T5 {goal}: {self.answered_approvals[goal]} approvals were answered, {woken} nodes woken"
        yield from self._inputs(goal, events, outputs)

    def unsaid(self, goal: str, node: str, entries: Sequence[str], left: Sequence[str]) -> Iterator[str]:
        """Each message that was taken in stands in the transcript once, or waits still; the parts of one in their order."""
        said = [entry["id"] for entry in map(json.loads, entries) if entry["kind"] == "steered"]
        said += [json.loads(text)["id"] for text in left]
        for serial in self.steered[goal, node]:
            mine = [name for name in said if name.rpartition(".")[0] == serial]
            if mine != [f"{serial}.0", f"{serial}.1"]:
                yield f"T9 {goal} {node}: of the messages {serial} there are {mine}"

    def _answers(self, goal: str, done: set[tuple[str, int]], ended: set[tuple[str, int]]) -> Iterator[str]:
        """One accepted answer, one `node.done`."""
        for (node, token, _), verdicts in self.verdicts[goal].items():
            if verdicts[Verdict.ACCEPTED] > 1:
                yield f"T2 {goal} {node}: token {token} was accepted {verdicts[Verdict.ACCEPTED]} times"
            if verdicts[Verdict.ACCEPTED] and (node, token) not in done:
                yield f"T2 {goal} {node}: token {token} was accepted and is not in the history"
            # The keeper may have ended the lease before its work did: then the work's own commit is a repetition.
            if verdicts[Verdict.REPEATED] and (node, token) not in ended:
                yield f"T2 {goal} {node}: token {token} was told that it had ended, and it is not in the history"
            refused = verdicts[Verdict.FENCED] + verdicts[Verdict.CANCELLING]
            if verdicts[Verdict.ACCEPTED] and refused:
                yield f"T2 {goal} {node}: token {token} was accepted and refused: {dict(verdicts)}"

    def _outputs(self, goal: str, done: set[tuple[str, int]], outputs: Mapping[str, str]) -> Iterator[str]:
        """What is stored is what the one accepted attempt sent."""
        sent = {(node, token, text) for node, token, _, text in self.outputs[goal]}
        for node, token in sorted(done):
            if (node, token, outputs.get(node, "")) not in sent:
                yield f"T3 {goal} {node}: token {token} is done and never sent what is stored: {outputs.get(node, '')[:80]}"

    def _inputs(self, goal: str, events: Sequence[Entry], outputs: Mapping[str, str]) -> Iterator[str]:
        """What an accepted attempt read is what its parents have committed."""
        ended: set[str] = set()
        before: dict[tuple[str, int], set[str]] = {}
        won: set[tuple[str, int]] = set()
        for _, event in events:
            if event["type"] == "node.claimed":
                before[event["node"], int(event["token"])] = set(ended)
            elif event["type"] == "node.reopened":
                ended.discard(event["node"])
                won = {one for one in won if one[0] != event["node"]}
            elif event["type"] == "node.done":
                ended.add(event["node"])
                if event["worker"] and event["token"]:
                    won.add((event["node"], int(event["token"])))
        for (node, token, _), run in self.runs[goal].items():
            if (node, token) not in won:
                continue
            for parent, seen in (run.upstream or {}).items():
                stored = outputs.get(parent, "")
                true = json.loads(stored) if stored and not stored.startswith("@") else None
                if stored.startswith("@") or seen == true:
                    continue
                if seen is not None or parent in before.get((node, token), set()):
                    yield f"T4 {goal} {node}: token {token} read {str(seen)[:60]} of {parent}, committed is {stored[:60]}"


def _commands(goal: str, events: Sequence[Entry]) -> Iterator[str]:
    """Nothing is claimed while the goal is paused; it is submitted once."""
    paused, submitted = False, 0
    for stamp, event in events:
        kind = event["type"]
        submitted += kind == "goal.submitted"
        paused = kind == "goal.paused" or (paused and kind not in ("goal.resumed", "goal.failed"))  # a retry resumes
        if paused and kind == "node.claimed":
            yield f"T6 {goal} {event['node']} {stamp}: claimed while the goal is paused"
    if submitted != 1:
        yield f"T7 {goal}: submitted {submitted} times"
