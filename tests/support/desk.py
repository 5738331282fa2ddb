"""An account of LLM calls driven by hand: one call a method, time moves only when it is told to."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from orchestrator.llm.limits import Limits
from orchestrator.llm.status import Snapshot
from orchestrator.store.llm_records import Answer, Ask, Caller, Hold, Outcome, Release, Word
from orchestrator.store.store import Store

ACCOUNT = "acme"


@dataclass
class Desk:
    """Ids are given by the test; a permit is shown with the fence of its grant."""

    store: Store
    limits: Limits
    now: int = 1_700_000_000_000
    process: str = "p"
    seen: int = 0
    asks: dict[str, Ask] = field(default_factory=dict)
    fences: dict[str, int] = field(default_factory=dict)

    def caller(self, *started: str, process: str | None = None) -> Caller:
        pairs = [(name, self.fences[name]) for name in started]
        name = self.process if process is None else process
        return Caller(self.limits.as_json(), name, self.seen, pairs, self.now)

    def later(self, ms: int) -> Desk:
        self.now += ms
        return self

    def ask(self, name: str, tokens: int = 0, **fields: Any) -> str:
        """Join the line. Returns the outcome and, but for a grant, its detail."""
        self.asks[name] = self.ask_of(tokens, **fields)
        answer = self.store.llm.acquire(ACCOUNT, self.caller(process=self.asks[name].process), name, self.asks[name])
        return self.heard(Word(name, Outcome(answer.outcome), str(answer.rest[0])))

    def ask_of(self, tokens: int = 0, **fields: Any) -> Ask:
        plain: dict[str, Any] = {"micro_usd": 0, "owner": "o", "goal": "", "nonce": "n", "process": self.process}
        times = {"claim_ms": 1000, "ttl_ms": 5000}
        return Ask(**({"input_tokens": tokens, "output_tokens": 0} | plain | times | fields))

    def heard(self, word: Word) -> str:
        if word.outcome is Outcome.GRANTED:
            self.fences[word.id] = word.fence
            return "granted"
        return f"{word.outcome.value} {word.detail}"

    def inbox(self, process: str | None = None) -> dict[str, str]:
        """What came for a process since it was last read."""
        key = self.store.keys.llm_part(ACCOUNT, f"in:{self.process if process is None else process}")
        return {word.id: self.heard(word) for word in map(Word.of, self.store.client.lpop(key, 1000) or [])}

    def hold(self, name: str) -> Hold:
        return Hold(name, self.fences[name], self.asks[name].nonce)

    def begin(self, name: str) -> str:
        return self.store.llm.begin(ACCOUNT, self.caller(), self.hold(name)).outcome

    def end(self, name: str, tokens: int = 0, how: Release = Release.OK, reason: str = "", usd: int = 0) -> str:
        used = (tokens, 0, usd)
        return self.store.llm.release(ACCOUNT, self.caller(), self.hold(name), how, used, reason).outcome

    def tick(self, *started: str, process: str | None = None) -> Answer:
        return self.store.llm.tick(ACCOUNT, self.caller(*started, process=process))

    def beat(self, *names: str) -> tuple[Any, ...]:
        """Renew leases. Returns the ids of those that are lost."""
        return self.store.llm.renew(ACCOUNT, self.caller(), [self.hold(name) for name in names]).rest

    def cancel(self, name: str) -> Word:
        return Word.of(self.store.llm.cancel(ACCOUNT, self.caller(), [name]).rest[0])

    def adjust(self, what: str, value: object = "", detail: str = "") -> str:
        return self.store.llm.adjust(ACCOUNT, self.caller(process=""), what, str(value), detail).outcome

    def seen_now(self) -> Snapshot:
        return Snapshot.of(ACCOUNT, self.store.llm.status(ACCOUNT, self.caller(process=""), 100))

    def events(self) -> list[tuple[str, str, Any]]:
        return [
            (one.type, one.data["permit"], one.data.get("tokens"))
            for one in self.store.llm.events(ACCOUNT, most=10_000)
        ]
