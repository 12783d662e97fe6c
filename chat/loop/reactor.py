"""One epoll for all parked sockets of an app: a tick reads all that is ready, then flushes once.

Nothing in a tick may block or throw. Site code never runs in one: see jobs.py.
"""

from __future__ import annotations

import contextlib
import heapq
import itertools
import os
import sys
import time
from collections import deque
from collections.abc import Callable
from typing import Any, Protocol

from .drivers import EPOLLERR, EPOLLHUP, EPOLLIN, EPOLLOUT, Driver, make_driver

#: Events taken from the kernel in one tick, at the most.
BATCH = 1024
#: Seconds without a tick after which the reactor counts as stopped; it beats once a second.
STALL = 5.0
#: Seconds between two beats of an idle reactor.
IDLE_INTERVAL = 1.0


class Failing(Protocol):
    """What can be closed for what it caused."""

    def fail(self, error: BaseException) -> None:
        """Close: what this connection sent, or what was to be sent to it, raised `error`."""


class Parked(Protocol):
    """What the reactor holds: one socket that it reads and writes when it can."""

    fd: int

    def readable(self) -> bool:
        """Read what is there, bounded; True when more is buffered and wants another tick."""

    def writable(self) -> None:
        """Send what waits."""

    def fail(self, error: BaseException) -> None:
        """Close: what this socket sent, or what was to be sent to it, raised `error`."""


class Reactor:
    """The loop of one app in one process; made on first use, so after any fork.

    `flush` is called at the end of every tick, `log(message, error)` for what went wrong in one,
    `took(seconds)` with its length.
    """

    def __init__(
        self,
        flush: Callable[[], None],
        log: Callable[[str, BaseException], None],
        took: Callable[[float], None] = lambda seconds: None,
    ) -> None:
        self.driver: Driver = make_driver()
        self.now = self._ticked = time.monotonic()
        self.pid = os.getpid()
        self._flush = flush
        self._log = log
        self._took = took
        self._epoll = self.driver.epoll()
        self._parked: dict[int, Parked] = {}
        #: Descriptors of those that last as long as the process.
        self._internal: set[int] = set()
        self._again: dict[Parked, None] = {}
        self._writing: set[Parked] = set()
        self._paused: set[Parked] = set()
        self._soon: deque[tuple[Callable[..., None], tuple[Any, ...]]] = deque()
        self._timers: list[tuple[float, int, Callable[..., None], tuple[Any, ...]]] = []
        self._order = itertools.count()
        self._in_tick = False
        self._wake = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self._epoll.register(self._wake, EPOLLIN)
        # A busy thread beside the loop otherwise holds the GIL 5 ms at each of a flush's many sends.
        sys.setswitchinterval(min(sys.getswitchinterval(), 0.0001))
        self.call_later(IDLE_INTERVAL, self._keep_ticking)
        self.driver.start(self._epoll, self.tick, self._timeout)

    def __len__(self) -> int:
        return len(self._parked) - len(self._internal)

    def parked(self) -> list[Parked]:
        """Return all that is parked now."""
        return list(self._parked.values())

    def add(self, parked: Parked, internal: bool = False) -> None:
        """Begin to read `parked`; in the loop only. One that is `internal` is no client, and counts for nothing."""
        self._epoll.register(parked.fd, EPOLLIN)
        self._parked[parked.fd] = parked
        if internal:
            self._internal.add(parked.fd)

    def remove(self, parked: Parked) -> None:
        """Forget `parked`, before its descriptor is closed; in the loop only."""
        if self._parked.get(parked.fd) is parked:
            self._epoll.unregister(parked.fd)
            del self._parked[parked.fd]
            self._internal.discard(parked.fd)
            self._again.pop(parked, None)
            self._writing.discard(parked)
            self._paused.discard(parked)

    def watch_writable(self, parked: Parked, wanted: bool) -> None:
        """Ask for `writable()` calls, or no more of them; in the loop only."""
        if self._parked.get(parked.fd) is parked:
            (self._writing.add if wanted else self._writing.discard)(parked)
            self._watch(parked)

    def pause(self, parked: Parked) -> None:
        """Read `parked` no more until `resume`: what it sends waits in the kernel; in the loop only."""
        if self._parked.get(parked.fd) is parked:
            self._paused.add(parked)
            self._again.pop(parked, None)
            self._watch(parked)

    def resume(self, parked: Parked) -> None:
        """Read `parked` again, what it had buffered too; in the loop only."""
        if parked in self._paused:
            self._paused.remove(parked)
            self._watch(parked)
            self.read_again(parked)

    def _watch(self, parked: Parked) -> None:
        reading = 0 if parked in self._paused else EPOLLIN
        self._epoll.modify(parked.fd, reading | EPOLLOUT if parked in self._writing else reading)

    def read_again(self, parked: Parked) -> None:
        """Call `parked.readable()` in the next tick even if nothing new comes; in the loop only."""
        if parked not in self._paused:
            self._again[parked] = None

    def read_now(self, parked: Parked) -> None:
        """Read `parked` before its turn; in the loop only."""
        if self._parked.get(parked.fd) is parked:
            self._read_one(parked)

    def fail(self, parked: Failing, error: BaseException) -> None:
        """Close `parked`, whose doing `error` was, and nobody else; in the loop only."""
        self.report("a connection failed", error)
        self._guard(parked.fail, error)

    def call_soon(self, function: Callable[..., None], *args: Any) -> None:
        """Run `function` in the loop, after the flush of the tick under way; from any thread."""
        self._soon.append((function, args))
        os.eventfd_write(self._wake, 1)

    def call(self, function: Callable[..., None], *args: Any) -> None:
        """Run `function` in the loop: at once where this is the loop's thread between two ticks, else soon."""
        if self._in_tick or not self.driver.is_loop_thread():
            self.call_soon(function, *args)
            return
        self._in_tick = True
        self.now = time.monotonic()
        try:
            self._guard(function, *args)
            self._guard(self._flush)
            self._run_soon()
        finally:
            self._in_tick = False
            self.driver.rearm()

    def call_and_wait(self, function: Callable[..., Any], *args: Any) -> Any:
        """Return what `function(*args)` returns, or raise what it raises, run in the loop; not from a tick."""
        done = self.driver.one_shot_event()
        answers: list[tuple[Any, BaseException | None]] = []

        def run() -> None:
            try:
                answers.append((function(*args), None))
            except Exception as error:
                answers.append((None, error))
            finally:
                done.set()

        self.call(run)
        done.wait(None)
        answer, error = answers[0]
        if error is not None:
            raise error
        return answer

    def call_later(self, delay: float, function: Callable[..., None], *args: Any) -> None:
        """Run `function` in the loop after `delay` seconds; in the loop only."""
        heapq.heappush(self._timers, (time.monotonic() + delay, next(self._order), function, args))

    def stalled(self) -> bool:
        """Tell whether the loop has stopped, or hangs."""
        return time.monotonic() - self._ticked > STALL

    def close(self) -> None:
        """Stop for good; what is still parked is closed by its owner before."""
        self.driver.stop()
        os.eventfd_write(self._wake, 1)  # a thread that polls learns now that it has stopped
        self.driver.join()
        self._epoll.close()
        os.close(self._wake)

    def tick(self) -> None:
        """Read everything ready, run what is due, flush once. Never raises."""
        self._in_tick = True
        self.now = self._ticked = time.monotonic()
        try:
            self._read()
            self._guard(self._flush)
            self._run_timers()
            self._run_soon()
            self._took(time.monotonic() - self.now)
        except Exception as error:
            self.report("the tick failed", error)
        finally:
            self._in_tick = False
            self.driver.rearm()

    def _read(self) -> None:
        again, self._again = self._again, {}
        get = self._parked.get
        for waiting in again:
            if get(waiting.fd) is waiting:
                self._read_one(waiting)
        for fd, events in self._epoll.poll(0, BATCH):
            parked = get(fd)
            if parked is None:
                # Either the wake-up, or closed by an earlier one of this batch.
                if fd == self._wake:
                    os.eventfd_read(fd)
                continue
            if events & EPOLLOUT:
                self._write_one(parked)
            if events & (EPOLLIN | EPOLLHUP | EPOLLERR) and get(fd) is parked and parked not in again:
                self._read_one(parked)

    def _read_one(self, parked: Parked) -> None:
        try:
            if parked.readable():
                self._again[parked] = None
        except Exception as error:
            self.fail(parked, error)

    def _write_one(self, parked: Parked) -> None:
        try:
            parked.writable()
        except Exception as error:
            self.fail(parked, error)

    def _run_timers(self) -> None:
        while self._timers and self._timers[0][0] <= self.now:
            _, _, function, args = heapq.heappop(self._timers)
            self._guard(function, *args)
            self._guard(self._flush)

    def _run_soon(self) -> None:
        for _ in range(len(self._soon)):
            function, args = self._soon.popleft()
            self._guard(function, *args)
            self._guard(self._flush)

    def _guard(self, function: Callable[..., None], *args: Any) -> None:
        try:
            function(*args)
        except Exception as error:
            self.report("the loop went on after an error", error)

    def report(self, message: str, error: BaseException) -> None:
        """Log an error from within the loop; it never raises."""
        # Who cannot even log goes on all the same: gevent stops a watcher for good whose callback raised.
        with contextlib.suppress(Exception):
            self._log(message, error)

    def _timeout(self) -> float:
        """Return the seconds until the next tick must be, at the latest."""
        if self._again or self._soon:
            return 0.0
        return max(0.0, self._timers[0][0] - time.monotonic()) if self._timers else IDLE_INTERVAL

    def _keep_ticking(self) -> None:
        self.call_later(IDLE_INTERVAL, self._keep_ticking)
