"""Stopping a worker: what its server calls so that clients are closed with 1012, and reconnect to another."""

from __future__ import annotations

from .process import Processes

#: Seconds that `drain` waits for the last socket to close.
DRAIN_SECONDS = 2.0


class DrainMethods:
    """The methods of ChatService for the end of a process; without a runtime there is nothing to close."""

    _processes: Processes

    def begin_drain(self, seconds: float | None = None) -> None:
        """Start to close all clients with 1012 within `seconds` (CHAT_DRAIN_SECONDS), and admit no more.

        It returns at once, and is safe in a signal handler.
        """
        if (runtime := self._processes.runtime) is not None:
            runtime.shutdown.begin(seconds)

    def finish_drain(self, seconds: float) -> bool:
        """Wait until all clients have gone, at most `seconds` after the drain began; return whether all have."""
        return (runtime := self._processes.runtime) is None or runtime.shutdown.finish(seconds)

    def drain(self, seconds: float = DRAIN_SECONDS) -> bool:
        """Close all clients with 1012 and wait until they have gone, at most `seconds`; return whether all have."""
        return (runtime := self._processes.runtime) is None or runtime.shutdown.drain(seconds)

    def drain_at_exit(self) -> None:
        """Drain at the interpreter's exit, for a server that never called `drain`."""
        if (runtime := self._processes.runtime) is not None:
            runtime.shutdown.drain_at_exit()
