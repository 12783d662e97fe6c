"""Job queues for site code and everything else that may block: bounded, in order, outside the tick."""

from __future__ import annotations

import contextlib
import math
from collections import deque
from collections.abc import Callable, Hashable
from typing import Any

from .drivers import Driver, allocate_lock

Job = tuple[Callable[..., Any], tuple[Any, ...]]


class Jobs:
    """One queue for each session: a session's jobs run one at a time, in order; sessions run concurrently.

    `put` never blocks, so a tick may call it. `failed(error)` is called, outside the tick, for each job that raised.
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
        """Queue `function(*args)` for `session`; return False, and drop the job, if its queue is full."""
        return self._put(session, (function, args), self._size)

    def put_last(self, session: Hashable, function: Callable[..., Any], *args: Any) -> None:
        """Queue the job that ends a session: it is accepted even if the queue is full."""
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
            except BaseException as error:  # gevent.Timeout and SystemExit too: the queue must go on
                with contextlib.suppress(Exception):
                    self._failed(error)

    def _next(self, session: Hashable) -> Job | None:
        with self._lock:
            queue = self._queues[session]
            if queue:
                return queue.popleft()
            del self._queues[session]
            return None
