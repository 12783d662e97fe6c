"""What belongs to one process, and is made again after a fork: the driver, and the runtime once it is needed."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

from ..loop.drivers import allocate_lock, make_driver
from ..loop.pools import THREADS, Pool
from ..runtime import Runtime


class Process:
    """What one process needs before its first socket."""

    def __init__(self) -> None:
        self.pid = os.getpid()
        self.driver = make_driver()
        self.pools = {pool: self.driver.make_pool(threads) for pool, threads in THREADS.items()}
        #: Held while the runtime is created, which waits for the database.
        self.starting = self.driver.allocate_blocking_lock()


class Processes:
    """The current process and its runtime. `make_runtime()` creates one; it may block."""

    def __init__(self, make_runtime: Callable[[], Runtime]) -> None:
        self._make_runtime = make_runtime
        self._runtime: Runtime | None = None
        self._current: Process | None = None
        self._lock = allocate_lock()

    @property
    def runtime(self) -> Runtime | None:
        """The runtime of this process, None before its first socket."""
        runtime = self._runtime
        return runtime if runtime is not None and runtime.pid == os.getpid() else None

    def start(self) -> Runtime:
        """Return the runtime of this process, created now if there is none; not from a tick."""
        runtime = self.runtime
        if runtime is None:
            with self._process().starting:
                runtime = self._runtime = self.runtime or self._make_runtime()
        return runtime

    def run_blocking(self, function: Callable[..., Any], *args: Any) -> Any:
        """Return `function(*args)`, run in the thread pool under gevent and directly elsewhere."""
        return self._process().driver.run_blocking(function, *args)

    def run_in(self, pool: Pool, function: Callable[..., Any], *args: Any) -> Any:
        """Return `function(*args)`, run in a thread of `pool` under gevent and elsewhere directly, when it has room."""
        return self._process().pools[pool](function, *args)

    def _process(self) -> Process:
        with self._lock:
            if self._current is None or self._current.pid != os.getpid():
                self._current = Process()
            return self._current
