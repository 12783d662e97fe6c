"""The ids of Engine.IO's sessions: they tell where the session is, and nobody can guess one."""

from __future__ import annotations

import re
import secrets

_SID = re.compile(r"(?:([A-Za-z0-9]{1,16})\.)?([0-9a-f]{8})\.[A-Za-z0-9_-]{20}")


class Sids:
    """The ids of one worker: `[node.]worker.random`, the worker being the random number of its process in hex."""

    def __init__(self, node: str, worker: int) -> None:
        self._node = node
        #: What this worker is called in them.
        self.worker = f"{worker:08x}"
        self._prefix = f"{node}.{self.worker}." if node else f"{self.worker}."

    def new(self) -> str:
        """Return an id that no session has."""
        return self._prefix + secrets.token_urlsafe(15)

    def neighbour_of(self, sid: str) -> str | None:
        """Return which other worker of this machine has made `sid`, None where it is of none."""
        told = _SID.fullmatch(sid)
        if told is None or (told[1] or "") != self._node or told[2] == self.worker:
            return None
        return told[2]
