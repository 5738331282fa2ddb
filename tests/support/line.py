"""An account of LLM calls under simulated processes and a simulated clock, on the real scripts.

Processes come, wait, call, crash, stand still and come back, as a seed decides; what really went out, and when, is
recorded beside the store, so that the windows can be recounted without its help.
"""

from __future__ import annotations

import heapq
import random
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Final

from orchestrator.llm.limits import Limits
from orchestrator.store.llm_records import Answer, Ask, Caller, Hold, Outcome, Release, Word
from orchestrator.store.store import Store

ACCOUNT: Final = "acme/model"
CLAIM_MS: Final = 1000
BEAT_MS: Final = 500
TTL_MS: Final = 3000
EPOCH_MS: Final = 1_700_000_000_000


@dataclass
class Call:
    """One call as it really was."""

    id: str
    ask: Ask
    arrived: int
    used: tuple[int, int, int]
    answered: int | None = None
    refused: str = ""
    fence: int = 0
    began: int | None = None
    ended: int | None = None
    lost: bool = False
    """Its holder crashed, or its lease ran out."""


@dataclass(eq=False)
class Process:
    """One process with its waiters and permits."""

    name: str
    alive: bool = True
    frozen_until: int = 0
    waiting: dict[str, Call] = field(default_factory=dict)
    calling: dict[str, Call] = field(default_factory=dict)
    started: list[tuple[str, int, int]] = field(default_factory=list)
    """Permits whose calls began, with the moment, and waiters that joined behind others: told with its next operation."""
    late: list[Call] = field(default_factory=list)
    seen: int = 0
    alarm: int = 0
    spoken: tuple[int, int] = (0, 0)
    """Its own time and the account's, when it last heard an answer."""


class Line:
    """The account and its processes; `run` goes on until nothing is left to happen."""

    def __init__(self, store: Store, limits: Limits, seed: int, processes: int = 3) -> None:
        self.store, self.limits, self.random = store, limits, random.Random(seed)
        self.now = EPOCH_MS
        self.clock_error = 0
        """What Redis's clock is behind by, as after a failover."""
        self.calls: list[Call] = []
        self.processes = [Process(f"p{index}") for index in range(processes)]
        self.after_each: Callable[[], None] = lambda: None
        self._agenda: list[tuple[int, int, Process | None, Callable[[], None]]] = []
        self._order = 0
        self._json = limits.as_json()
        for one in self.processes:
            self.at(BEAT_MS, lambda one=one: self._beat(one), one)  # type: ignore[misc]

    # -- the world ----------------------------------------------------------------------------------------------------

    def at(self, ms: int, action: Callable[[], None], process: Process | None = None) -> None:
        """Do something so much later; a process that stands still does it when it goes on, one that is dead never."""
        self._order += 1
        heapq.heappush(self._agenda, (self.now + max(0, ms), self._order, process, action))

    def run(self, until_ms: int) -> None:
        """Let so much time pass."""
        end = self.now + until_ms
        while self._agenda and self._agenda[0][0] <= end:
            due, order, process, action = heapq.heappop(self._agenda)
            self.now = max(self.now, due)
            if process is not None and not process.alive:
                continue
            if process is not None and process.frozen_until > self.now:
                heapq.heappush(self._agenda, (process.frozen_until, order, process, action))
                continue
            action()
            self._read_inboxes()
            self.after_each()
        self.now = end

    def caller(self, process: Process | None = None) -> Caller:
        now = self.now - self.clock_error
        if process is None:
            return Caller(self._json, now_ms=now)
        started = [(name, fence, self.now - began) for name, fence, began in process.started]
        joined = [(call.id, call.ask) for call in process.late if call.id in process.waiting]
        process.started, process.late = [], []
        return Caller(self._json, process.name, process.seen, started, now, joined=joined)

    def heed(self, process: Process, answer: Answer) -> Answer:
        if not answer.known and process.spoken != (0, 0):
            self.at(1, lambda: self._rejoin(process), process)
        process.seen, process.spoken = max(process.seen, answer.fence), (self.now, answer.now_ms)
        if answer.alarm_ms:
            wait = answer.alarm_ms - answer.now_ms + self.random.randint(0, 3)
            if not process.alarm or process.alarm > self.now + wait:
                process.alarm = self.now + wait
                self.at(wait, lambda: self._tick(process), process)
        return answer

    # -- processes ----------------------------------------------------------------------------------------------------

    def arrive(self, process: Process, ask: Ask, used: tuple[int, int, int]) -> Call:
        """A call joins the line."""
        call = Call(f"c{len(self.calls)}", ask, self.now, used)
        self.calls.append(call)
        flow = (ask.owner, ask.goal, ask.priority)
        behind = any((one.ask.owner, one.ask.goal, one.ask.priority) == flow for one in process.waiting.values())
        process.waiting[call.id] = call
        if behind and self.random.random() < 0.5:
            process.late.append(call)
            self.at(100, lambda: self._tell(process), process)
            return call
        answer = self.heed(process, self.store.llm.acquire(ACCOUNT, self.caller(process), call.id, ask))
        self._hear(process, Word(call.id, Outcome(answer.outcome), str(answer.rest[0])))
        return call

    def cancel(self, process: Process, call: Call) -> None:
        """A waiter gives up; if its turn came in that moment, the grant goes back."""
        if call.id not in process.waiting:
            return
        answer = self.heed(process, self.store.llm.cancel(ACCOUNT, self.caller(process), [call.id]))
        word = Word.of(answer.rest[0])
        del process.waiting[call.id]
        call.answered, call.refused = self.now, "cancelled"
        if word.outcome is Outcome.GRANTED:
            hold = Hold(call.id, word.fence, call.ask.nonce)
            answer = self.store.llm.release(ACCOUNT, self.caller(process), hold, Release.UNUSED, (0, 0, 0))
            self.heed(process, answer)

    def crash(self, process: Process) -> None:
        """kill -9."""
        process.alive = False
        for call in process.calling.values():
            call.lost = True
        process.calling.clear()

    def freeze(self, process: Process, ms: int) -> None:
        """SIGSTOP, and SIGCONT so much later."""
        process.frozen_until = max(process.frozen_until, self.now + ms)

    def _tell(self, process: Process) -> None:
        if process.late:
            self.heed(process, self.store.llm.tick(ACCOUNT, self.caller(process)))

    def _tick(self, process: Process) -> None:
        if process.alarm and process.alarm <= self.now:
            process.alarm = 0
            self.heed(process, self.store.llm.tick(ACCOUNT, self.caller(process)))

    def _beat(self, process: Process) -> None:
        self.at(BEAT_MS, lambda: self._beat(process), process)
        if not (process.waiting or process.calling):
            return
        holds = [Hold(call.id, call.fence, call.ask.nonce) for call in process.calling.values()]
        answer = self.heed(process, self.store.llm.renew(ACCOUNT, self.caller(process), holds))
        for name in answer.rest:
            process.calling.pop(name).lost = True

    def _rejoin(self, process: Process) -> None:
        waiting = [(call.id, call.ask) for call in process.waiting.values()]
        answers = self.store.llm.acquire_all(ACCOUNT, self.caller(process), waiting)
        for (name, _), one in zip(waiting, answers, strict=True):
            self.heed(process, one)
            self._hear(process, Word(name, Outcome(one.outcome), str(one.rest[0])))

    def _read_inboxes(self) -> None:
        for process in self.processes:
            if process.alive and process.frozen_until <= self.now:
                key = self.store.keys.llm_part(ACCOUNT, f"in:{process.name}")
                for text in self.store.client.lpop(key, 1000) or []:
                    self._hear(process, Word.of(text))

    def _hear(self, process: Process, word: Word) -> None:
        if word.outcome is Outcome.QUEUED or word.id not in process.waiting:
            return
        call = process.waiting.pop(word.id)
        call.answered = self.now
        if word.outcome is not Outcome.GRANTED:
            call.refused = f"{word.outcome.value} {word.detail}"
            return
        call.fence = word.fence
        self.at(self.random.choice([0, 0, 1, 5, 30]), lambda: self._begin(process, call, word), process)

    def _begin(self, process: Process, call: Call, word: Word) -> None:
        age = process.spoken[1] + self.now - process.spoken[0] - word.at_ms
        hold = Hold(call.id, call.fence, call.ask.nonce)
        if age > CLAIM_MS / 2:
            answer = self.heed(process, self.store.llm.begin(ACCOUNT, self.caller(process), hold))
            if answer.outcome == "lost":
                call.refused = "late"
                return
        else:
            process.started.append((call.id, call.fence, self.now))
        call.began = self.now
        process.calling[call.id] = call
        self.at(self.random.randint(1, 1500), lambda: self._end(process, call, hold), process)

    def _end(self, process: Process, call: Call, hold: Hold) -> None:
        how = Release.FAILED if self.random.random() < 0.05 else Release.OK
        process.calling.pop(call.id, None)
        call.ended = self.now
        answer = self.store.llm.release(ACCOUNT, self.caller(process), hold, how, call.used, "500")
        call.lost = self.heed(process, answer).outcome == "lost"

    # -- recount ------------------------------------------------------------------------------------------------------

    def overrun(self) -> list[str]:
        """Every window of what really went out that held more than the limits, at the provider's side.

        A window may end at any start; tokens count as reserved until the call ends, then as the larger of the two used
        and reserved would hide refunds, so they count as used.
        """
        window = round(self.limits.window_seconds * 1000)
        out = sorted((call for call in self.calls if call.began is not None), key=lambda call: call.began or 0)
        faults, first = [], 0
        for index, call in enumerate(out):
            at = call.began or 0
            while (out[first].began or 0) <= at - window:
                first += 1
            inside = out[first : index + 1]
            have = {"requests": len(inside), "input": 0, "output": 0}
            for one in inside:
                known = one.ended is not None and one.ended <= at and not one.lost
                amounts = one.used[:2] if known else (one.ask.input_tokens, one.ask.output_tokens)
                have["input"] += amounts[0]
                have["output"] += amounts[1]
            have["tokens"] = have["input"] + have["output"]
            for name, most in self.limits.binding().items():
                if name in have and most is not None and have[name] > most:
                    faults.append(f"{call.id} at {at - EPOCH_MS}: {have[name]} {name}, the limit is {most}")
        return faults

    def leftovers(self) -> dict[str, object]:
        """What must be empty or zero once every call is over and has left the window."""
        client, part = self.store.client, partial(self.store.keys.llm_part, ACCOUNT)
        self.store.llm.tick(ACCOUNT, self.caller())
        sizes = {name: client.zcard(part(name)) for name in ("leases", "queue", "owners")}
        sizes |= {name: client.hlen(part(name)) for name in ("held", "waiters", "charges")}
        state = client.hgetall(part("state"))
        sums = {name: state.get(name, "0") for name in state if name.startswith(("used_", "kept_")) or name == "gated"}
        found: dict[str, object] = {"cells": client.llen(part("cells")), **sizes}
        return {name: size for name, size in found.items() if size} | {
            name: text for name, text in sums.items() if float(text)
        }

    def spend(self) -> dict[str, int]:
        """Reserved and spent by purse."""
        found = self.store.client.hgetall(self.store.keys.llm_part(ACCOUNT, "spend"))
        return {purse: int(amount) for purse, amount in found.items()}
