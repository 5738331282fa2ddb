"""Operations on one account of LLM calls: the window, the line of waiters, permits. One script each."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import Any, Final

from redis.exceptions import ResponseError

from orchestrator.domain.events import Event
from orchestrator.store.connection import open_client
from orchestrator.store.keys import Keys
from orchestrator.store.llm_records import Answer, Ask, Caller, Hold, Picture, Release, Word
from orchestrator.store.scripts import Scripts

GATE: Final = "gate"
"""The inbox of gated calls: whoever publishes their messages reads it."""
_PAGE: Final = 1000
_SEPARATOR: Final = "\x01"


class LlmStore:
    """The scripts in lua/llm, typed. Ids, owners and goals hold no control characters and ids no blanks."""

    def __init__(self, client: Any, keys: Keys, scripts: Scripts) -> None:
        self._client = client
        self._keys = keys
        self._scripts = scripts

    def _run(self, operation: str, account: str, caller: Caller, *args: str) -> Answer:
        return Answer.of(self._scripts.run(f"llm/{operation}", [self._keys.llm(account)], [*caller.args(), *args]))

    def acquire(self, account: str, caller: Caller, name: str, ask: Ask) -> Answer:
        """Join the line under an id; granted at once if possible. `rest` is the detail. Safe to send again."""
        return self._run("acquire", account, caller, name, ask.as_json())

    def acquire_all(self, account: str, caller: Caller, asks: Sequence[tuple[str, Ask]]) -> list[Answer]:
        """Several at once, in order; what is in line already stays where it is."""
        keys = [self._keys.llm(account)]
        calls = [("llm/acquire", keys, [*caller.args(), name, ask.as_json()]) for name, ask in asks]
        return [Answer.of(reply) for reply in self._scripts.batch(calls)] if calls else []

    def begin(self, account: str, caller: Caller, hold: Hold, ttl_ms: int | None = None) -> Answer:
        """The call starts now: 'started', or 'lost' if the claim ran out. None: its lease lasts as its ask said."""
        ttl = "" if ttl_ms is None else str(ttl_ms)
        return self._run("begin", account, caller, hold.id, str(hold.fence), hold.nonce, ttl)

    def release(
        self, account: str, caller: Caller, hold: Hold, how: Release, used: tuple[int, int, int], reason: str = "",
        learn: str = "",
    ) -> Answer:  # fmt: skip
        """The call is over, having used so many input tokens, output tokens and micro-USD: 'settled', 'repeated', 'lost'.

        With `learn`, `model \\1 role`, its output tokens are remembered for `learned`.
        """
        amounts = [str(amount) for amount in used]
        return self._run(
            "release", account, caller, hold.id, str(hold.fence), hold.nonce, how.value, *amounts, reason, learn
        )  # fmt: skip

    def learned(self, account: str, model: str, role: str) -> list[int]:
        """Output tokens of the latest answers that calls said to learn from, at most 200, newest first."""
        key = self._keys.llm_part(account, "learned:" + model + _SEPARATOR + role)
        return [int(tokens) for tokens in self._client.lrange(key, 0, -1)]

    def renew(self, account: str, caller: Caller, holds: Sequence[Hold]) -> Answer:
        """Prolong leases, and say that the process lives. `rest` are the ids of those that are lost."""
        return self._run("renew", account, caller, json.dumps([(one.id, one.fence, one.nonce) for one in holds]))

    def cancel(self, account: str, caller: Caller, names: Sequence[str]) -> Answer:
        """Waiters leave the line. `rest` are words; the detail of a 'cancelled' is how many of its flow were before it."""
        return self._run("cancel", account, caller, json.dumps(list(names)))

    def withdraw(self, account: str, caller: Caller, owner: str, goal: str) -> int:
        """Every waiter of a goal leaves the line and is told. Returns how many."""
        count = 0
        while True:
            answer = self._run("withdraw", account, caller, owner, goal)
            count += int(answer.rest[0])
            if answer.outcome == "done":
                return count

    def tick(self, account: str, caller: Caller) -> Answer:
        """Grant what has come due."""
        return self._run("tick", account, caller)

    def adjust(self, account: str, caller: Caller, what: str, value: str, detail: str = "") -> Answer:
        """Change something for the whole account; the script's header lists what."""
        return self._run("adjust", account, caller, what, value, detail)

    def status(self, account: str, caller: Caller, most: int) -> Picture:
        """The account as it is now, with up to so many owners, goals of each, and leases."""
        answer = self._run("status", account, caller, str(most))
        state, limits, owners, leases, spend, budgets = (json.loads(part) for part in answer.rest[:6])
        processes, waiting = (int(part) for part in answer.rest[6:])
        return Picture(
            answer.now_ms, state, limits, owners, leases, dict(spend), dict(budgets), processes, waiting
        )  # fmt: skip

    def demand(self, account: str) -> int:
        """Gated calls that hold a permit, and all that wait."""
        with self._client.pipeline(transaction=False) as pipe:
            pipe.hget(self._keys.llm(account), "gated")
            pipe.zcard(self._keys.llm_part(account, "queue"))
            gated, waiting = pipe.execute()
        return int(float(gated or 0)) + int(waiting)

    def fence(self, account: str, permit: str) -> int | None:
        """The fence of a permit that is out; None if none is."""
        found = self._client.hget(self._keys.llm_part(account, "held"), permit)
        return int(json.loads(found)["fence"]) if found else None

    def spent(self, account: str, purse: str) -> tuple[int, int]:
        """Tokens and micro-USD of one purse, reserved and spent."""
        key = self._keys.llm_part(account, "spend")
        tokens, usd = self._client.hmget(key, f"{purse}:tokens", f"{purse}:usd")
        return int(tokens or 0), int(usd or 0)

    def untended(self, accounts: Sequence[str], before_ms: int) -> list[str]:
        """Those of the accounts at which somebody should have ticked before that time, and did not."""
        with self._client.pipeline(transaction=False) as pipe:
            for account in accounts:
                pipe.hget(self._keys.llm(account), "alarm")
            alarms = pipe.execute() if accounts else []
        return [one for one, alarm in zip(accounts, alarms, strict=True) if 0 < float(alarm or 0) < before_ms]

    def accounts(self) -> list[str]:
        """Every account that was ever used, found by a scan."""
        start, end = self._keys.llm("\0").split("\0")
        pattern = "".join(f"[{letter}]" if letter in "[]*?" else letter for letter in start) + "*" + end
        found = self._client.scan_iter(pattern, count=_PAGE)
        return sorted(str(key)[len(start) : -len(end)] for key in found)

    def events(self, account: str, after: str = "0", most: int = _PAGE) -> Iterator[Event]:
        """The account's permits behind a stream id, oldest first."""
        key = self._keys.llm_part(account, "events")
        for name, fields in self._client.xrange(key, f"({after}" if after != "0" else "-", "+", most):
            yield Event.from_stream("", name, fields)

    def inbox(self, url: str, account: str, *names: str) -> Inbox:
        """The answers to a process, by its name, and to shared inboxes such as GATE, on a connection of its own."""
        return Inbox(url, [self._keys.llm_part(account, f"in:{name}") for name in names])

    def nudge(self, account: str, process: str) -> None:
        """Wake whoever reads an inbox."""
        self._client.rpush(self._keys.llm_part(account, f"in:{process}"), "")
        self._client.pexpire(self._keys.llm_part(account, f"in:{process}"), 5000)


class Inbox:
    """Answers to waiters; reading blocks, without polling, on a socket of its own."""

    MOST = 64

    def __init__(self, url: str, keys: Sequence[str]) -> None:
        self._client = open_client(url, patient=True)
        self._keys = list(keys)
        self._old = False

    def read(self, most: int = MOST) -> list[Word]:
        """Wait for answers; [] after a nudge. Raises what the connection raises; an answer may then be lost."""
        return [Word.of(text) for text in self._pop(most) if text]

    def _pop(self, most: int) -> list[str]:
        if not self._old:
            try:
                return list(self._client.blmpop(0, len(self._keys), *self._keys, direction="LEFT", count=most)[1])
            except ResponseError:  # before Redis 7
                self._old = True
        key, text = self._client.blpop(self._keys)
        return [text, *(self._client.lpop(key, most - 1) or [])]

    def close(self) -> None:
        """Give the socket back."""
        self._client.close()
