"""What runs a reactor: gevent's loop, or a thread of its own. Everything in which the two differ is in this module.

No other module of the chat imports gevent. A tick uses the original locks, epoll and threads, not the ones that gevent
has patched: in gevent's hub even a contended patched lock raises.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from functools import partial
from typing import Any, Protocol

from .pools import Run, bounded, outcome

EPOLLIN, EPOLLOUT, EPOLLERR, EPOLLHUP = 1, 4, 8, 16
#: Seconds for which `shut_down` waits for functions that run in threads.
SHUTDOWN_SECONDS = 5.0


class Driver(Protocol):
    """What a reactor needs from the server process that it runs in."""

    def epoll(self) -> Any:
        """Return a new epoll object: the original one, unpatched."""

    def start(self, epoll: Any, tick: Callable[[], None], timeout: Callable[[], float]) -> None:
        """Call `tick` whenever `epoll` has events, and at most `timeout()` seconds after the previous call."""

    def rearm(self) -> None:
        """Read `timeout()` again: its value has changed."""

    def stop(self) -> None:
        """Stop calling `tick`."""

    def join(self) -> None:
        """Wait until the last tick has ended; call `stop` first."""

    def is_loop_thread(self) -> bool:
        """Return whether the caller runs in the thread that calls `tick`."""

    def spawn(self, function: Callable[..., None], *args: Any) -> None:
        """Run `function(*args)` soon, outside the tick, where it may block; may be called from a tick."""

    def background(self, function: Callable[..., None]) -> None:
        """Run `function`, which never returns, concurrently with everything else."""

    def run_blocking(self, function: Callable[..., Any], *args: Any) -> Any:
        """Run `function(*args)` where it blocks no loop and return its result; never call this from a tick."""

    def make_pool(self, threads: int) -> Run:
        """Return a `run_blocking` that uses `threads` threads of its own, or lets as many callers at a time run."""

    def allocate_blocking_lock(self) -> Any:
        """Return a lock that may be held across calls that block; never take it in a tick."""

    def event(self) -> Any:
        """Return an event: `wait(timeout)` outside the tick, `set()` from anywhere."""

    def one_shot_event(self) -> Any:
        """Return an event that the calling thread may `wait(timeout)` for once, and the loop may `set()`."""

    def sleep(self, seconds: float) -> None:
        """Sleep without blocking the loop; never call this from a tick."""

    def shut_down(self) -> None:
        """Wait for functions that run in threads and start no more of them: the process is about to exit."""


def make_driver() -> Driver:
    """Return the driver for this process: GeventDriver if gevent's loop serves it, else ThreadDriver."""
    if "gevent" in sys.modules:
        from gevent import monkey
        from gevent._hub_local import get_hub_if_exists

        if monkey.is_module_patched("socket") or get_hub_if_exists() is not None:
            return GeventDriver()
    return ThreadDriver()


def _original(module: str, name: str) -> Any:
    if "gevent" in sys.modules:
        from gevent import monkey

        return monkey.get_original(module, name)
    return getattr(__import__(module), name)


def allocate_lock() -> Any:
    """Return an original thread lock, even in a patched process. Hold it briefly, never across a call that yields."""
    return _original("_thread", "allocate_lock")()


class OneShotEvent:
    """An event that one thread waits for once. It is built on an original lock alone."""

    def __init__(self) -> None:
        self._lock = allocate_lock()
        self._lock.acquire()

    def set(self) -> None:
        """Wake the waiting thread."""
        self._lock.release()

    def wait(self, timeout: float | None = None) -> bool:
        """Wait until it is set; return False if `timeout` seconds passed first."""
        return self._lock.acquire(timeout=-1 if timeout is None else timeout)


class GeventDriver:
    """gevent's loop watches the epoll's file descriptor; ticks run in its hub."""

    def __init__(self) -> None:
        import gevent

        self._gevent = gevent
        self._hub = gevent.get_hub()
        self._pools: list[Any] = [self._hub.threadpool]
        self._get_ident = _original("_thread", "get_ident")
        self._thread = self._get_ident()
        self._watcher: Any = None
        self._timer: Any = None
        self._is_shut_down = False
        self._due = float("inf")

    def epoll(self) -> Any:
        return _original("select", "epoll")()

    def start(self, epoll: Any, tick: Callable[[], None], timeout: Callable[[], float]) -> None:
        self._tick, self._timeout = tick, timeout
        self._watcher = self._hub.loop.io(epoll.fileno(), 1)
        self._watcher.start(tick)
        self._timer = self._hub.loop.timer(timeout())
        self.rearm()

    def rearm(self) -> None:
        # The timer may fire early and find nothing due, but never late, so most ticks need not touch it.
        delay = self._timeout()
        due = time.monotonic() + delay
        if due < self._due:
            self._due = due
            self._timer.stop()
            self._timer = self._hub.loop.timer(delay)
            self._timer.start(self._on_timer)

    def _on_timer(self) -> None:
        self._due = float("inf")
        self._tick()

    def stop(self) -> None:
        self._watcher.stop()
        self._timer.stop()

    def join(self) -> None:
        # The caller runs in the loop's thread, so no tick is running.
        pass

    def is_loop_thread(self) -> bool:
        return self._get_ident() == self._thread

    def spawn(self, function: Callable[..., None], *args: Any) -> None:
        self._gevent.spawn(function, *args)

    def background(self, function: Callable[..., None]) -> None:
        self._gevent.spawn(function)

    def run_blocking(self, function: Callable[..., Any], *args: Any) -> Any:
        return self._run_in(self._hub.threadpool, function, *args)

    def make_pool(self, threads: int) -> Run:
        from gevent.threadpool import ThreadPool

        pool = ThreadPool(threads, hub=self._hub)
        self._pools.append(pool)
        return partial(self._run_in, pool)

    def _run_in(self, pool: Any, function: Callable[..., Any], *args: Any) -> Any:
        if not self.is_loop_thread():
            return function(*args)
        while self._is_shut_down:
            self._gevent.sleep(SHUTDOWN_SECONDS)
        result, error = pool.apply(outcome, (function, args))
        if error is not None:
            raise error
        return result

    def allocate_blocking_lock(self) -> Any:
        from gevent.lock import RLock

        return RLock()

    def event(self) -> Any:
        from gevent.event import Event

        return Event()

    def one_shot_event(self) -> Any:
        # A thread of the pool has no gevent loop to wait in.
        return self.event() if self.is_loop_thread() else OneShotEvent()

    def sleep(self, seconds: float) -> None:
        self._gevent.sleep(seconds)

    def shut_down(self) -> None:
        # A pool thread that runs or starts while the interpreter shuts down disturbs its exit.
        self._is_shut_down = True
        end = time.monotonic() + SHUTDOWN_SECONDS
        while any(map(len, self._pools)) and time.monotonic() < end:
            self._gevent.sleep(0.01)


class ThreadDriver:
    """A daemon thread polls; a few more threads run site code."""

    SITE_THREADS = 8

    def __init__(self) -> None:
        import queue
        import threading

        self._threading = threading
        self._thread: Any = None
        self._stopped = False
        self._jobs: Any = queue.SimpleQueue()
        self._workers = 0
        self._unfinished = 0
        self._lock = threading.Lock()

    def epoll(self) -> Any:
        import select

        return select.epoll()

    def start(self, epoll: Any, tick: Callable[[], None], timeout: Callable[[], float]) -> None:
        def run() -> None:
            while not self._stopped:
                epoll.poll(timeout(), 1)
                tick()

        self._thread = self._threading.Thread(target=run, name="chat-reactor", daemon=True)
        self._thread.start()

    def rearm(self) -> None:
        # The thread reads the timeout before each poll, and only that thread changes timers.
        pass

    def stop(self) -> None:
        self._stopped = True

    def join(self) -> None:
        if not self.is_loop_thread():
            self._thread.join()

    def is_loop_thread(self) -> bool:
        return self._threading.current_thread() is self._thread

    def spawn(self, function: Callable[..., None], *args: Any) -> None:
        with self._lock:
            self._unfinished += 1
            if self._workers < min(self._unfinished, self.SITE_THREADS):
                self._workers += 1
                self._threading.Thread(target=self._work, name="chat-site-code", daemon=True).start()
        self._jobs.put((function, args))

    def _work(self) -> None:
        while True:
            function, args = self._jobs.get()
            try:
                function(*args)
            finally:
                with self._lock:
                    self._unfinished -= 1

    def background(self, function: Callable[..., None]) -> None:
        self._threading.Thread(target=function, name="chat-background", daemon=True).start()

    def run_blocking(self, function: Callable[..., Any], *args: Any) -> Any:
        return function(*args)

    def make_pool(self, threads: int) -> Run:
        return bounded(threads)

    def allocate_blocking_lock(self) -> Any:
        return self._threading.RLock()

    def event(self) -> Any:
        return self._threading.Event()

    def one_shot_event(self) -> Any:
        return self.event()

    def sleep(self, seconds: float) -> None:
        time.sleep(seconds)

    def shut_down(self) -> None:
        # Its threads are daemons: the interpreter does not wait for them.
        pass
