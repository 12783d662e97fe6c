"""A layer that echoes every message: bare Engine.IO, as its own test suite needs it."""

from __future__ import annotations

from ..wire.codec import NATIVE
from ..wire.frames import BINARY, frame, text_frame
from . import engine_packets
from .sessions import Session


class Echo:
    """The layer above the sessions in place of Socket.IO."""

    codec = NATIVE

    def on_open(self, session: Session) -> None:
        """There is no namespace to connect to."""
        session.take_in()

    def on_text(self, session: Session, payload: bytes) -> None:
        """Send it back."""
        session.send(text_frame(engine_packets.MESSAGE + payload))

    def on_binary(self, session: Session, payload: bytes) -> None:
        """Send it back."""
        session.send(frame(BINARY, payload))

    def on_close(self, session: Session, reason: str) -> None:
        """Nothing to clean up."""
