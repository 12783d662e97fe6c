"""Ids of Engine.IO sessions: unguessable, and they name the worker that holds the session."""

from __future__ import annotations

import re
import secrets

_SID = re.compile(r"(?:([A-Za-z0-9]{1,16})\.)?([0-9a-f]{8})\.[A-Za-z0-9_-]{20}")


class Sids:
    """The ids of one worker: `[node.]worker.random`, where `worker` is the process's random number in hex."""

    def __init__(self, node: str, worker: int) -> None:
        self._node = node
        #: This worker's name in them.
        self.worker = f"{worker:08x}"
        self._prefix = f"{node}.{self.worker}." if node else f"{self.worker}."

    def new(self) -> str:
        """Return a new id."""
        return self._prefix + secrets.token_urlsafe(15)

    def peer_of(self, sid: str) -> str | None:
        """Return the name of the other worker of this machine that made `sid`; None where no such worker did."""
        match = _SID.fullmatch(sid)
        if match is None or (match[1] or "") != self._node or match[2] == self.worker:
            return None
        return match[2]
