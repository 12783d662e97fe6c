"""What turns a reactor: gevent's loop, or a thread of its own. All that the two differ in stands here.

gevent is imported nowhere else in the chat. The locks, epoll and threads used in a tick are the original ones: in
gevent's hub even a contended patched lock raises.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from typing import Any, Protocol

EPOLLIN, EPOLLOUT, EPOLLERR, EPOLLHUP = 1, 4, 8, 16
#: Seconds for which the end waits for what runs in threads.
SHUTDOWN_SECONDS = 5.0


class Driver(Protocol):
    """What a reactor needs of the server that it lives in."""

    def epoll(self) -> Any:
        """Return a new epoll, the kernel's own."""

    def start(self, epoll: Any, tick: Callable[[], None], timeout: Callable[[], float]) -> None:
        """Call `tick` whenever `epoll` has events, and `timeout()` seconds after the last at the latest."""

    def rearm(self) -> None:
        """Take note that what `timeout` answers has changed."""

    def stop(self) -> None:
        """Call `tick` no more."""

    def join(self) -> None:
        """Wait, after `stop`, until the last tick has ended."""

    def is_loop_thread(self) -> bool:
        """Tell whether the caller runs in the thread that calls `tick`."""

    def spawn(self, function: Callable[..., None], *args: Any) -> None:
        """Run `function` soon, outside the tick, where it may block; callable from a tick."""

    def background(self, function: Callable[..., None]) -> None:
        """Run `function`, which does not end, beside everything else."""

    def run_blocking(self, function: Callable[..., Any], *args: Any) -> Any:
        """Return what `function` returns, run where it holds up no loop; never call it from a tick."""

    def allocate_blocking_lock(self) -> Any:
        """Return a lock that may be held across calls that block; never take it in a tick."""

    def event(self) -> Any:
        """Return what may be waited for outside the tick, `wait(timeout)`, and set from anywhere, `set()`."""

    def one_shot_event(self) -> Any:
        """Return what the caller, in whatever thread, may wait for once, `wait(timeout)`, and the loop `set()`."""

    def sleep(self, seconds: float) -> None:
        """Wait without holding up the loop; never call it from a tick."""

    def shut_down(self) -> None:
        """Let what runs in threads end, and begin nothing more there: the process is about to end."""


def make_driver() -> Driver:
    """Return the driver for the server that this process runs: gevent's where gevent's loop serves it."""
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
    """Return a lock of the system's threads, patched or not: held briefly, and never across anything that yields."""
    return _original("_thread", "allocate_lock")()


def _outcome(function: Callable[..., Any], args: tuple[Any, ...]) -> tuple[Any, BaseException | None]:
    """Return what `function` returns, or what it raises.

    What a thread of its pool raises gevent prints; where that fails (on a disk that is full), the caller would wait for
    ever.
    """
    try:
        return function(*args), None
    except BaseException as error:
        return None, error


class OneShotEvent:
    """An event that one thread waits for once, with nothing but an original lock."""

    def __init__(self) -> None:
        self._lock = allocate_lock()
        self._lock.acquire()

    def set(self) -> None:
        """Let the waiting thread go on."""
        self._lock.release()

    def wait(self, timeout: float | None = None) -> bool:
        """Wait until it is set; False where `timeout` seconds passed first."""
        return self._lock.acquire(timeout=-1 if timeout is None else timeout)


class GeventDriver:
    """gevent's own loop watches the epoll's descriptor; ticks run in its hub."""

    def __init__(self) -> None:
        import gevent

        self._gevent = gevent
        self._hub = gevent.get_hub()
        self._get_ident = _original("_thread", "get_ident")
        self._thread = self._get_ident()
        self._watcher: Any = None
        self._timer: Any = None
        self._ended = False
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
        # The timer may fire early and find nothing due, but never late: most ticks need not touch it.
        delay = self._timeout()
        due = time.monotonic() + delay
        if due < self._due:
            self._due = due
            self._timer.stop()
            self._timer = self._hub.loop.timer(delay)
            self._timer.start(self._ring)

    def _ring(self) -> None:
        self._due = float("inf")
        self._tick()

    def stop(self) -> None:
        self._watcher.stop()
        self._timer.stop()

    def join(self) -> None:
        # Whoever calls this runs in the loop's thread, so no tick does.
        pass

    def is_loop_thread(self) -> bool:
        return self._get_ident() == self._thread

    def spawn(self, function: Callable[..., None], *args: Any) -> None:
        self._gevent.spawn(function, *args)

    def background(self, function: Callable[..., None]) -> None:
        self._gevent.spawn(function)

    def run_blocking(self, function: Callable[..., Any], *args: Any) -> Any:
        if not self.is_loop_thread():
            return function(*args)
        while self._ended:
            self._gevent.sleep(SHUTDOWN_SECONDS)
        result, error = self._hub.threadpool.apply(_outcome, (function, args))
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
        # A thread of the pool has no loop of its own to wait in.
        return self.event() if self.is_loop_thread() else OneShotEvent()

    def sleep(self, seconds: float) -> None:
        self._gevent.sleep(seconds)

    def shut_down(self) -> None:
        # A thread of the pool that is at work, or just begins, while the interpreter ends disturbs its exit.
        self._ended = True
        end = time.monotonic() + SHUTDOWN_SECONDS
        while len(self._hub.threadpool) and time.monotonic() < end:
            self._gevent.sleep(0.01)


class ThreadDriver:
    """A daemon thread of its own polls; site code has a few threads more."""

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
        def turn() -> None:
            while not self._stopped:
                epoll.poll(timeout(), 1)
                tick()

        self._thread = self._threading.Thread(target=turn, name="chat-reactor", daemon=True)
        self._thread.start()

    def rearm(self) -> None:
        # The thread asks for the timeout at each turn, and only it changes timers.
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

    def allocate_blocking_lock(self) -> Any:
        return self._threading.RLock()

    def event(self) -> Any:
        return self._threading.Event()

    def one_shot_event(self) -> Any:
        return self.event()

    def sleep(self, seconds: float) -> None:
        time.sleep(seconds)

    def shut_down(self) -> None:
        # Its threads are daemons, which the interpreter leaves where they are.
        pass
