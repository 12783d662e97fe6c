"""Requests to other processes, and their responses. Both are bus messages, so either may be lost."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

from ..loop.reactor import Reactor
from . import bus_messages
from .presence import Presence

#: Seconds to wait for responses.
RESPONSE_SECONDS = 0.5

#: handler(sender, channel, parts)
Handler = Callable[[int, str, list[Any]], None]


class Request:
    """One request to one process or to all."""

    __slots__ = ("done", "pending", "responses")

    def __init__(self, done: Any) -> None:
        #: An event that is set once nothing is pending.
        self.done = done
        #: Processes that have not responded yet.
        self.pending = 0
        self.responses: list[Any] = []


class Requests:
    """This process's requests, and its responses to those of others; `publish(channel, kind, *parts)` sends."""

    def __init__(self, reactor: Reactor, publish: Callable[..., None], presence: Presence) -> None:
        self._reactor, self._publish, self._presence = reactor, publish, presence
        self._numbers = itertools.count(1)
        self._open: dict[int, Request] = {}
        #: {process: time of the last request of its own that it did not respond to}, until it is seen again.
        self._unresponsive: dict[int, float] = {}
        #: {what: function that answers it}, called in the loop; arguments and results are JSON.
        self.functions: dict[str, Callable[..., Any]] = {}
        #: The handler of each kind of bus message.
        self.handlers: dict[str, Handler] = {
            bus_messages.REQUEST: self._handle_request,
            bus_messages.RESPONSE: self._handle_response,
        }

    def call(
        self, origin: int | None, what: str, *parts: Any, seconds: float = RESPONSE_SECONDS
    ) -> list[Any]:
        """Return the responses of one process, or (None) of all, that arrive in time; never call it from a tick."""
        request = Request(self._reactor.driver.one_shot_event())
        number = next(self._numbers)
        if self._reactor.call_and_wait(self._send, number, request, origin, what, parts):
            request.done.wait(seconds)
        self._reactor.call_and_wait(self._end, number, request, origin)
        return request.responses

    def _send(
        self, number: int, request: Request, origin: int | None, what: str, parts: tuple[Any, ...]
    ) -> bool:
        """Publish a request; return False if no process can respond."""
        request.pending = len(self._presence) if origin is None else int(self._may_respond(origin))
        if not request.pending:
            return False
        self._open[number] = request
        channel = bus_messages.ALL if origin is None else bus_messages.process_channel(origin)
        self._publish(channel, bus_messages.REQUEST, number, what, *parts)
        return True

    def _may_respond(self, origin: int) -> bool:
        """Return whether a process may respond: a killed one must not delay every caller until its lease ends."""
        seen = self._presence.last_seen(origin)
        if seen is not None and seen <= self._unresponsive.get(origin, -1.0):
            return False
        self._unresponsive.pop(origin, None)
        return seen is not None

    def _end(self, number: int, request: Request, origin: int | None) -> None:
        self._open.pop(number, None)
        if request.pending and origin is not None:
            self._unresponsive[origin] = self._reactor.now

    def _handle_request(self, origin: int, channel: str, parts: list[Any]) -> None:
        number, what, *rest = parts
        function = self.functions.get(what)
        if function is not None:  # a process of another version may send unknown requests
            self._publish(
                bus_messages.process_channel(origin), bus_messages.RESPONSE, number, function(*rest)
            )

    def _handle_response(self, origin: int, channel: str, parts: list[Any]) -> None:
        number, response = parts
        request = self._open.get(number)
        if request is None or not request.pending:
            return
        request.responses.append(response)
        request.pending -= 1
        if not request.pending:
            request.done.set()
