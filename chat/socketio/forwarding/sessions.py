"""Who holds a session, as its requests see it: this worker, or another one of the machine (neighbours.py)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

from ...rooms.client import Taken
from .. import packets
from ..engine import Engine


class SessionHandle(Protocol):
    """What the requests of one session ask for, outside the loop. Each method raises BadRequest."""

    def find(self) -> None:
        """Hold that there is such a session."""

    def poll(self) -> bytes:
        """Return the payload that answers a poll, once there is one."""

    def post(self, body: bytes) -> None:
        """Serve what a POST brought."""

    def refuse(self) -> None:
        """End the session for a POST that is not as it may be."""

    def probe(self, taken: Taken) -> None:
        """Have the session try out a socket; never raises."""


class LocalSession:
    """A session of this worker's engine, or of nobody."""

    def __init__(self, engine: Engine, sid: str) -> None:
        self._engine = engine
        self._sid = sid

    def find(self) -> None:
        self._engine.find(self._sid)

    def poll(self) -> bytes:
        waiter = self._engine.hub.reactor.driver.event()
        poller = self._ask(self._engine.poll, waiter)
        waiter.wait(None)
        return payload(self._engine.hub.reactor.ask(poller.answer))

    def post(self, body: bytes) -> None:
        self._ask(self._engine.post, body)

    def refuse(self) -> None:
        self._ask(self._engine.refuse)

    def probe(self, taken: Taken) -> None:
        self._engine.hub.reactor.call(self._engine.probe, taken, self._sid)

    def _ask(self, function: Callable[..., Any], *args: Any) -> Any:
        return self._engine.hub.reactor.ask(function, self._sid, *args)


def payload(frames: bytes) -> bytes:
    """Return the answer to a poll that got these frames."""
    return packets.encode_payload(frames) if frames else packets.NOOP
