"""A session as its requests see it: held by this worker, or by a peer on the same machine."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

from ...rooms.client import Taken
from ..engine import Engine
from ..polling import payload_of
from .requests import ABORT, FIND, POLL, POST, PendingRequest

#: Seconds that a peer has for an answer that needs no waiting.
REQUEST_TIMEOUT = 10.0


class SessionHandle(Protocol):
    """The requests to one session; outside the loop. Each method but `probe` raises BadRequest."""

    def find(self) -> None:
        """Check that the session exists."""

    def poll(self) -> bytes:
        """Return the payload that answers a poll, once there is one."""

    def post(self, body: bytes) -> None:
        """Serve the payload of a POST."""

    def abort(self) -> None:
        """Close the session because of an invalid POST."""

    def probe(self, taken: Taken) -> None:
        """Let a parked socket probe the session's upgrade; never raises."""


class LocalSession:
    """A session of this worker's engine, or an unknown one."""

    def __init__(self, engine: Engine, sid: str) -> None:
        self._engine = engine
        self._sid = sid

    def find(self) -> None:
        self._engine.find(self._sid)

    def poll(self) -> bytes:
        waiter = self._engine.hub.reactor.driver.event()
        poller = self._ask(self._engine.poll, waiter)
        waiter.wait(None)
        return payload_of(self._engine.hub.reactor.call_and_wait(poller.take_for_poll))

    def post(self, body: bytes) -> None:
        self._ask(self._engine.post, body)

    def abort(self) -> None:
        self._ask(self._engine.abort)

    def probe(self, taken: Taken) -> None:
        self._engine.hub.reactor.call(self._engine.probe, taken, self._sid)

    def _ask(self, function: Callable[..., Any], *args: Any) -> Any:
        return self._engine.hub.reactor.call_and_wait(function, self._sid, *args)


class Forwarder(Protocol):
    """The forwarding client, as forwarded sessions see it; in the loop."""

    engine: Engine

    def forward(self, worker: str, request: PendingRequest) -> None:
        """Send a request to a worker."""

    def transfer_socket(self, worker: str, taken: Taken, sid: str) -> None:
        """Give a worker a socket that probes one of its sessions."""


class ForwardedSession:
    """A session that another worker of this machine holds, or an unknown one."""

    def __init__(self, forwarder: Forwarder, worker: str, sid: str) -> None:
        self._forwarder = forwarder
        self._engine = forwarder.engine
        self._worker = worker
        self._sid = sid

    def find(self) -> None:
        self._forward(FIND, b"", REQUEST_TIMEOUT)

    def poll(self) -> bytes:
        # By then its session has sent something, if only a ping.
        settings = self._engine.settings
        return self._forward(POLL, b"", settings.io_ping_interval + settings.io_ping_timeout)

    def post(self, body: bytes) -> None:
        self._forward(POST, body, REQUEST_TIMEOUT)

    def abort(self) -> None:
        self._forward(ABORT, b"", REQUEST_TIMEOUT)

    def probe(self, taken: Taken) -> None:
        self._engine.hub.reactor.call(self._forwarder.transfer_socket, self._worker, taken, self._sid)

    def _forward(self, do: str, body: bytes, seconds: float) -> bytes:
        reactor = self._engine.hub.reactor
        request = PendingRequest(do, self._sid, body, reactor.driver.event())
        reactor.call(self._forwarder.forward, self._worker, request)
        answer = request.wait(seconds)
        if answer is None:
            reactor.call(request.cancel)
            raise self._engine.unknown_session()
        return answer
