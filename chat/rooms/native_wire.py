"""The protocol of raw WebSocket clients: one JSON message a text frame."""

from __future__ import annotations

from typing import Any

from ..wire import decoding
from ..wire.codec import NATIVE
from ..wire.errors import ChatError
from .dispatcher import Dispatcher
from .sweeper import Heartbeat


class NativeWire:
    """Decodes and dispatches messages. Whatever is wrong with one is answered to its sender with an Error."""

    codec = NATIVE
    largest = 0

    def __init__(self, dispatcher: Dispatcher) -> None:
        self._dispatcher = dispatcher
        self._heartbeat = Heartbeat(dispatcher.settings)

    def on_text(self, member: Any, payload: bytes) -> None:
        """Serve one message."""
        dispatcher = self._dispatcher
        try:
            dispatcher.count(member)
            dispatcher.serve(member, decoding.decode(payload, dispatcher.max_chars))
        except ChatError as error:
            if error.code == "rate_limited":
                error.ref = self._ref(payload)
            dispatcher.hub.refuse(member, error)

    def _ref(self, payload: bytes) -> str | None:
        try:
            return decoding.decode(payload, self._dispatcher.max_chars).id
        except ChatError as error:
            return error.ref

    def on_binary(self, member: Any, payload: bytes) -> None:
        """Refuse a binary message: no message type uses them."""
        try:
            self._dispatcher.count(member)
            raise ChatError("binary")
        except ChatError as error:
            self._dispatcher.hub.refuse(member, error)

    def on_control(self, member: Any) -> bool:
        """Count a ping or pong as a message; return whether the rate allows it."""
        try:
            self._dispatcher.count(member)
        except ChatError as error:
            if error.code == "flooding":
                self._dispatcher.hub.refuse(member, error)
            return False
        return True

    def check_heartbeat(self, member: Any, now: float) -> None:
        """Ping a silent client, and drop one that does not answer."""
        self._heartbeat.check(member, now)

    def on_close(self, member: Any) -> None:
        """Nothing is kept for a raw client."""
