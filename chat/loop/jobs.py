"""Site code and everything else that may block: run outside the tick, in order, from bounded queues."""

from __future__ import annotations

import contextlib
import math
from collections import deque
from collections.abc import Callable, Hashable
from typing import Any

from .drivers import Driver, allocate_lock

Job = tuple[Callable[..., Any], tuple[Any, ...]]


class Jobs:
    """One queue a session: its jobs run one at a time and in order, those of different sessions side by side.

    `put` may be called from a tick: it never blocks. `failed(error)` hears of a job that raised, outside the tick.
    """

    def __init__(self, driver: Driver, size: int, failed: Callable[[BaseException], None]) -> None:
        self._driver = driver
        self._size = size
        self._failed = failed
        self._lock = allocate_lock()
        self._queues: dict[Hashable, deque[Job]] = {}
        #: Jobs refused because their session's queue was full.
        self.dropped = 0

    def put(self, session: Hashable, function: Callable[..., Any], *args: Any) -> bool:
        """Queue `function(*args)` for `session`; False when its queue is full, and the job is dropped."""
        return self._put(session, (function, args), self._size)

    def put_last(self, session: Hashable, function: Callable[..., Any], *args: Any) -> None:
        """Queue what ends a session, which must run however full the queue is."""
        self._put(session, (function, args), math.inf)

    def _put(self, session: Hashable, job: Job, size: float) -> bool:
        with self._lock:
            queue = self._queues.get(session)
            idle = queue is None
            if queue is None:
                queue = self._queues[session] = deque()
            if len(queue) >= size:
                self.dropped += 1
                return False
            queue.append(job)
        if idle:
            self._driver.spawn(self._run, session)
        return True

    def _run(self, session: Hashable) -> None:
        while (job := self._next(session)) is not None:
            function, args = job
            try:
                function(*args)
            except BaseException as error:  # gevent.Timeout and SystemExit too: the session's queue goes on
                with contextlib.suppress(Exception):
                    self._failed(error)

    def _next(self, session: Hashable) -> Job | None:
        with self._lock:
            queue = self._queues[session]
            if queue:
                return queue.popleft()
            del self._queues[session]
            return None
