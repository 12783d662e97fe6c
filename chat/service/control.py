"""Requests to the app's other processes, written to the control table."""

from __future__ import annotations

import os
import time
from typing import Any

from ..wire.envelope import Identity
from .process import Processes
from .stores import Stores

#: Seconds in which a running server answers a request.
ANSWER_SECONDS = 2.0
#: Seconds between two looks for the answer.
ANSWER_INTERVAL = 0.05


class ControlRequests:
    """Posts rows and announces them to running servers."""

    def __init__(self, stores: Stores, processes: Processes) -> None:
        self._stores = stores
        self._processes = processes

    @property
    def origin(self) -> int:
        """This process's number, with which it recognises its own rows; 0 where it serves no sockets."""
        runtime = self._processes.runtime
        return runtime.group_commit.origin if runtime is not None else 0

    def post(self, kind: str, payload: dict[str, Any]) -> None:
        """Ask something of all other processes."""
        self._stores.open().control.post(kind, payload)
        runtime = self._processes.runtime
        if runtime is not None:
            runtime.announce_control()

    def fetch_roster(self, room: str) -> list[Identity] | None:
        """Ask the running servers who is in `room`; return None if none answered in ANSWER_SECONDS."""
        control = self._stores.open().control
        nonce = os.urandom(8).hex()
        last = control.post("who", {"room": room, "nonce": nonce})
        end = time.monotonic() + ANSWER_SECONDS
        while time.monotonic() < end:
            time.sleep(ANSWER_INTERVAL)
            for row in control.after(last):
                last = row.id
                if row.kind == "who_reply" and row.payload["nonce"] == nonce:
                    return [Identity(**user) for user in row.payload["users"]]
        return None
