"""Calling the site's handlers and listeners with the events of its clients, in jobs."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

from ..loop.jobs import Jobs
from . import packets
from .connection import Connection
from .packets import Packet, Prepared
from .registry import NO_ACK, Chain, Handler, SiteNamespace

log = logging.getLogger("flask_chat")


class SiteEvents:
    """The events of the site's own handlers; its methods run in the loop.

    `call_site(function, *args)` calls a handler in an app context; `run(function, *args)` runs a function in the loop.
    """

    def __init__(self, jobs: Jobs, call_site: Callable[..., Any], run: Callable[..., None]) -> None:
        self._jobs = jobs
        self._call_site = call_site
        self._run = run

    def serve(self, connection: Connection, packet: Packet) -> None:
        """Have the site's listeners and its handler called with a client's event, if there are any."""
        site = connection.site
        if site is None or not (site.chains[Chain.INCOMING] or site.find(packet.data[0])):
            return
        if not self._jobs.put(connection.engine_session, self._handle, connection, site, packet):
            self._jobs.put("log", log.warning, "an event was dropped: its client's queue is full")

    def _handle(self, connection: Connection, site: SiteNamespace, packet: Packet) -> None:
        """Call the site's listeners and its handler, and send the ack; in a job."""
        for listener in list(site.chains[Chain.INCOMING]):
            self._call_site(listener, connection, *packet.data)
        handler = site.find(packet.data[0])
        if handler is None:
            return
        answer = self._call_site(handler, connection, *packet.data[1:])
        if packet.id is None or answer is NO_ACK:
            return
        if answer is None:
            answer = ()
        prepared = packets.prepare(list(answer) if isinstance(answer, tuple) else [answer])
        self._run(connection.send_ack, packet.id, prepared)

    def take_ack(self, connection: Connection, packet: Packet) -> None:
        """Give a client's ack to what waits for it."""
        assert packet.id is not None
        receiver = connection.take_ack(packet.id)
        if callable(receiver):
            self._jobs.put((connection.engine_session, "ack"), self._call_site, receiver, *packet.data)
        elif receiver is not None:
            receiver.answered(connection.id, packet.data)

    def notify_outgoing(self, receivers: list[Connection], prepared: Prepared) -> None:
        """Have the site's listeners hear of an event that is sent to clients of one namespace."""
        site = receivers[0].site if receivers else None
        if site is not None and (listeners := site.chains[Chain.OUTGOING]):
            queue = "outgoing", receivers[0].namespace
            self._jobs.put(queue, self._tell_listeners, list(listeners), receivers, prepared)

    def _tell_listeners(
        self, listeners: list[Handler], receivers: list[Connection], prepared: Prepared
    ) -> None:
        event = packets.restore(prepared)
        for connection in receivers:
            for listener in listeners:
                self._call_site(listener, connection, *event)
