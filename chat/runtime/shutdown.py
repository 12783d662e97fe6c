"""Stopping a worker: closing its clients with 1012 and leaving the cluster."""

from __future__ import annotations

import contextlib

from ..cluster.peers import ClusterPeers
from ..rooms.drain import Drain
from ..rooms.hub import Hub
from ..socketio.forwarding.client import ForwardingClient

#: Seconds for the last bus message to leave this worker.
LAST_MESSAGE_SECONDS = 0.1
#: Seconds that a drain at the interpreter's exit may take.
EXIT_SECONDS = 1.0


class Shutdown:
    """Drains one worker."""

    def __init__(
        self,
        hub: Hub,
        drain: Drain,
        forwarding: ForwardingClient,
        cluster: ClusterPeers | None,
        drain_seconds: float,
    ) -> None:
        self._hub = hub
        self._driver = hub.reactor.driver
        self._drain = drain
        self._forwarding = forwarding
        self._cluster = cluster
        self._drain_seconds = drain_seconds

    def begin(self, seconds: float | None = None) -> None:
        """Start to close all clients with 1012 within `seconds` (CHAT_DRAIN_SECONDS), and admit no more.

        It returns at once, and is safe in a signal handler.
        """
        self._hub.reactor.call_soon(self._hub.arrivals.admit_all)
        self._drain.start(self._drain_seconds if seconds is None else seconds)
        self._hub.reactor.call_soon(self._forwarding.release_polls)

    def finish(self, seconds: float) -> bool:
        """Wait until all clients have gone, at most `seconds` after the drain began; return whether all have.

        The process is to exit after it.
        """
        if not self._hub.draining:
            self.begin()
        has_gone = self._drain.wait(seconds)
        self._leave_cluster()
        self._driver.shut_down()
        return has_gone

    def drain(self, seconds: float) -> bool:
        """Close all clients with 1012 and wait until they have gone, at most `seconds`; return whether all have."""
        self.begin(min(seconds / 2, self._drain_seconds))
        has_gone = self._drain.wait(seconds)
        self._leave_cluster()
        return has_gone

    def _leave_cluster(self) -> None:
        """Tell the other workers at once that no user is connected to this one."""
        if self._cluster is not None:
            self._cluster.stop()
            self._driver.sleep(LAST_MESSAGE_SECONDS)

    def drain_at_exit(self) -> None:
        """Close the remaining clients with 1012 while the interpreter exits, when the loop may no longer run."""
        self._forwarding.close()
        if not self._hub.draining and self._driver.is_loop_thread():
            self._hub.drain()
            self._hub.flush()
        elif not self._hub.draining:
            with contextlib.suppress(Exception):
                self.drain(EXIT_SECONDS)
