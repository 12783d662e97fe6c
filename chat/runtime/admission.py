"""Turning parked sockets into clients of the hub."""

from __future__ import annotations

import logging
from functools import partial
from typing import Any

from ..identity.guard import Grant, Guard
from ..loop.jobs import Jobs
from ..rooms.client import Taken
from ..rooms.hub import Hub
from ..rooms.native_wire import NativeWire
from ..wire.errors import ChatError, CloseCode

log = logging.getLogger("flask_chat")


class Admission:
    """Admits or refuses the clients of /ws/chat."""

    def __init__(self, hub: Hub, jobs: Jobs, guard: Guard, wire: NativeWire) -> None:
        self._hub = hub
        self._jobs = jobs
        self._guard = guard
        self._wire = wire
        #: Sockets that wait to be admitted (rooms/arrivals.py), and that the reactor therefore does not count yet.
        self.waiting = 0

    def admit(
        self, taken: Taken, verdict: Grant | ChatError, path: str, lobby: bool = True, **traits: Any
    ) -> None:
        """Park a socket and admit its client, or send it the error that refuses it; outside ticks, from any thread.

        `lobby` is whether the client joins the lobby at once. `traits` are attributes of the Client: address,
        language, diff, extended.
        """
        # One job logs a whole rush of handshakes: the first log call in a new greenlet is expensive.
        self._jobs.put("log", _log_handshake, traits.get("address"), path, verdict)
        # Last: from here on the descriptor is the loop's, and the caller closes it if anything before this raises.
        self._hub.reactor.call(self._receive, taken, verdict, lobby, traits)

    def _receive(self, taken: Taken, verdict: Grant | ChatError, lobby: bool, traits: dict[str, Any]) -> None:
        if isinstance(verdict, ChatError) or self._hub.draining:
            self._admit(taken, verdict, lobby, traits)
            return
        self.waiting += 1
        admit = partial(self._admit_arrival, taken, verdict, lobby, traits)
        self._hub.arrivals.put(verdict.identity.id, admit)

    def _admit_arrival(self, *args: Any) -> None:
        self.waiting -= 1
        self._admit(*args)

    def _admit(self, taken: Taken, verdict: Grant | ChatError, lobby: bool, traits: dict[str, Any]) -> None:
        hub = self._hub
        client = hub.park(taken, self._wire)
        for name, value in traits.items():
            setattr(client, name, value)
        try:
            if isinstance(verdict, ChatError):
                raise verdict
            if hub.draining:
                client.close(CloseCode.RESTARTING)
                return
            self._guard.confirm(verdict)  # the user may have been kicked since the token was checked
            client.set_grant(verdict)
            hub.admit(client, verdict.identity, lobby=lobby)
        except ChatError as error:
            hub.refuse(client, error)
        except Exception as error:
            hub.reactor.fail(client, error)
        hub.feed(client, taken.early)


def _log_handshake(address: str, path: str, verdict: Grant | ChatError) -> None:
    outcome = verdict.code if isinstance(verdict, ChatError) else f"user {verdict.identity.id}"
    log.info('%s "GET %s" 101 %s', address, path, outcome)
