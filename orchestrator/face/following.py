"""Following tasks: their updates as iterators, for `for` and for `async for`."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator, Sequence
from typing import Any

from orchestrator.face.batches import Batches
from orchestrator.face.errors import UnsupportedOption
from orchestrator.face.updates import ROUND_SECONDS, Subscription, Wanted


class Following(Batches):
    """Updates of the tasks of one Chordal."""

    def subscribe_to_updates_sync(
        self,
        owner_id: str | None = None,
        timeout: float = ROUND_SECONDS,
        task_ids: Sequence[str] | None = None,
        event_types: Sequence[str] | None = None,
        event_pattern: str | None = None,
        *,
        after: str | None = None,
        until_ended: bool = False,
    ) -> Iterator[dict[str, Any]]:
        """Updates of an owner's tasks, or of these, as they happen; for ever, or with `until_ended` until all of these ended.

        `after` is the `id` of the last update that was seen: the next one follows it, and none is left out as long as the
        tasks are stored ("0": from their beginning). Without it updates begin now. Of another task an update of the same
        millisecond may come twice. `timeout` is the longest wait of one read, half a second at most. Raises
        UnsupportedOption without an owner and tasks, and RedisNotReachable.
        """
        subscription = self._subscription(owner_id, task_ids, event_types, event_pattern, after, until_ended)
        while not _over(subscription, until_ended):
            yield from subscription.round(timeout)

    async def subscribe_to_updates(
        self,
        owner_id: str | None = None,
        timeout: float = ROUND_SECONDS,
        task_ids: Sequence[str] | None = None,
        event_types: Sequence[str] | None = None,
        event_pattern: str | None = None,
        *,
        after: str | None = None,
        until_ended: bool = False,
    ) -> AsyncIterator[dict[str, Any]]:
        """As `subscribe_to_updates_sync`, for `async for`; each read is made in a thread."""
        subscription = self._subscription(owner_id, task_ids, event_types, event_pattern, after, until_ended)
        while not _over(subscription, until_ended):
            for update in await asyncio.to_thread(subscription.round, timeout):
                yield update

    def _subscription(
        self, owner: str | None, tasks: Sequence[str] | None, types: Sequence[str] | None, pattern: str | None,
        after: str | None, until_ended: bool,
    ) -> Subscription:  # fmt: skip
        if owner is None and tasks is None:
            raise UnsupportedOption(
                "subscribe_to_updates", "everybody's updates are given to nobody", "Name an owner_id"
            )
        if until_ended and tasks is None:
            raise UnsupportedOption("until_ended", "an owner's tasks never end", "Name the task_ids")
        wanted = Wanted.of(types, pattern)
        return Subscription(self.chordal, owner, None if tasks is None else frozenset(tasks), wanted, after)


def _over(subscription: Subscription, until_ended: bool) -> bool:
    return until_ended and subscription.tasks is not None and subscription.tasks <= subscription.ended
