"""The event loop: one epoll for all parked sockets of an app. A tick reads every ready socket, then flushes once.

A parked socket is one that the reactor watches, with no thread or greenlet of its own. Nothing in a tick may block or
raise. Site code never runs in a tick: see jobs.py.
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

#: Events that one tick takes from the kernel at most.
BATCH = 1024
#: Seconds without a tick after which the reactor counts as stalled.
STALL = 5.0
#: Seconds between two ticks of an idle reactor.
IDLE_INTERVAL = 1.0


class Failing(Protocol):
    """A connection that can be closed because of an error that it caused."""

    def fail(self, error: BaseException) -> None:
        """Close the connection: handling its input or its output raised `error`."""


class Parked(Protocol):
    """A socket that the reactor watches, and reads and writes when it is ready."""

    fd: int

    def readable(self) -> bool:
        """Read a bounded part of what is available; return True if more is buffered and needs another tick."""

    def writable(self) -> None:
        """Send pending output."""

    def fail(self, error: BaseException) -> None:
        """Close the socket: handling its input or its output raised `error`."""


class Reactor:
    """The loop of one app in one process, created at first use and therefore after any fork.

    It calls `flush()` at the end of every tick, `log(message, error)` for every error in one, and `observe(seconds)`
    with its duration.
    """

    def __init__(
        self,
        flush: Callable[[], None],
        log: Callable[[str, BaseException], None],
        observe: Callable[[float], None] = lambda seconds: None,
    ) -> None:
        self.driver: Driver = make_driver()
        self.now = self._ticked = time.monotonic()
        self.pid = os.getpid()
        self._flush = flush
        self._log = log
        self._observe = observe
        self._epoll = self.driver.epoll()
        self._parked: dict[int, Parked] = {}
        #: File descriptors of sockets that belong to no client.
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
        # Otherwise a busy thread holds the GIL for 5 ms at each of the many sends of a flush.
        sys.setswitchinterval(min(sys.getswitchinterval(), 0.0001))
        self.call_later(IDLE_INTERVAL, self._keep_ticking)
        self.driver.start(self._epoll, self.tick, self._timeout)

    def __len__(self) -> int:
        return len(self._parked) - len(self._internal)

    def parked(self) -> list[Parked]:
        """Return the sockets that are parked now."""
        return list(self._parked.values())

    def add(self, parked: Parked, internal: bool = False) -> None:
        """Watch and read `parked`; in the loop only. `len` counts all but the `internal` ones, which are no clients."""
        self._epoll.register(parked.fd, EPOLLIN)
        self._parked[parked.fd] = parked
        if internal:
            self._internal.add(parked.fd)

    def remove(self, parked: Parked) -> None:
        """Stop watching `parked`, before its file descriptor is closed; in the loop only."""
        if self._parked.get(parked.fd) is parked:
            self._epoll.unregister(parked.fd)
            del self._parked[parked.fd]
            self._internal.discard(parked.fd)
            self._again.pop(parked, None)
            self._writing.discard(parked)
            self._paused.discard(parked)

    def watch_writable(self, parked: Parked, wanted: bool) -> None:
        """Start or stop calling `writable()`; in the loop only."""
        if self._parked.get(parked.fd) is parked:
            (self._writing.add if wanted else self._writing.discard)(parked)
            self._watch(parked)

    def pause(self, parked: Parked) -> None:
        """Stop reading `parked` until `resume`; its input stays in the kernel. In the loop only."""
        if self._parked.get(parked.fd) is parked:
            self._paused.add(parked)
            self._again.pop(parked, None)
            self._watch(parked)

    def resume(self, parked: Parked) -> None:
        """Read `parked` again, including what it had buffered; in the loop only."""
        if parked in self._paused:
            self._paused.remove(parked)
            self._watch(parked)
            self.read_again(parked)

    def _watch(self, parked: Parked) -> None:
        reading = 0 if parked in self._paused else EPOLLIN
        self._epoll.modify(parked.fd, reading | EPOLLOUT if parked in self._writing else reading)

    def read_again(self, parked: Parked) -> None:
        """Call `parked.readable()` in the next tick even if no new input arrives; in the loop only."""
        if parked not in self._paused:
            self._again[parked] = None

    def read_now(self, parked: Parked) -> None:
        """Read `parked` at once, not in its turn; in the loop only."""
        if self._parked.get(parked.fd) is parked:
            self._read_one(parked)

    def fail(self, parked: Failing, error: BaseException) -> None:
        """Close `parked`, and no other connection, because it caused `error`; in the loop only."""
        self.report("a connection failed", error)
        self._guard(parked.fail, error)

    def call_soon(self, function: Callable[..., None], *args: Any) -> None:
        """Run `function` in the loop, after the flush of the current tick; from any thread."""
        self._soon.append((function, args))
        os.eventfd_write(self._wake, 1)

    def call(self, function: Callable[..., None], *args: Any) -> None:
        """Run `function` in the loop: at once in the loop's thread between two ticks, otherwise soon."""
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
        """Run `function(*args)` in the loop and return its result or raise its exception; not from a tick."""
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
        """Return whether the loop has stopped or hangs."""
        return time.monotonic() - self._ticked > STALL

    def close(self) -> None:
        """Stop for good. The owner must have closed every parked socket before."""
        self.driver.stop()
        os.eventfd_write(self._wake, 1)  # wakes a polling thread so that it sees the stop
        self.driver.join()
        self._epoll.close()
        os.close(self._wake)

    def tick(self) -> None:
        """Read every ready socket, flush once, run due timers and calls. Never raises."""
        self._in_tick = True
        self.now = self._ticked = time.monotonic()
        try:
            self._read()
            self._guard(self._flush)
            self._run_timers()
            self._run_soon()
            self._observe(time.monotonic() - self.now)
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
                # Either the wake-up, or a socket that an earlier event of this batch closed.
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
            self.report("the loop continues after an error", error)

    def report(self, message: str, error: BaseException) -> None:
        """Log an error from within the loop. Never raises."""
        # Logging may fail too; gevent would stop for good a watcher whose callback raised.
        with contextlib.suppress(Exception):
            self._log(message, error)

    def _timeout(self) -> float:
        """Return the seconds after which the next tick must run."""
        if self._again or self._soon:
            return 0.0
        return max(0.0, self._timers[0][0] - time.monotonic()) if self._timers else IDLE_INTERVAL

    def _keep_ticking(self) -> None:
        self.call_later(IDLE_INTERVAL, self._keep_ticking)
