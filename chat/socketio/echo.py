"""A layer that says every message back: Engine.IO alone, as its own test suite wants it."""

from __future__ import annotations

from ..wire.codec import NATIVE
from ..wire.frames import BINARY, frame, text_frame
from . import packets
from .sessions import Session


class Echo:
    """Stands where Socket.IO stands else."""

    codec = NATIVE

    def opened(self, session: Session) -> None:
        """There is nothing to connect to."""
        session.used = True

    def text(self, session: Session, payload: bytes) -> None:
        """Say it back."""
        session.send(text_frame(packets.MESSAGE + payload))

    def binary(self, session: Session, payload: bytes) -> None:
        """Say it back."""
        session.send(frame(BINARY, payload))

    def closed(self, session: Session, reason: str) -> None:
        """Nothing is kept."""
