"""The site's Socket.IO clients, reached from a worker that serves them or, through the control table, from a script."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from flask import has_request_context

from ..runtime.site_clients import SiteClients
from ..socketio.answers import Answers
from ..socketio.connection import Connection
from ..socketio.packets import Prepared
from ..socketio.selection import Selection
from .control import ControlRequests
from .process import Processes


class IOClients:
    """The clients of one app on all workers; implements chat.socketio.io.Clients."""

    def __init__(self, processes: Processes, control: ControlRequests) -> None:
        self._processes = processes
        self._control = control

    def emit(self, selection: Selection, event: Prepared, is_volatile: bool) -> None:
        """Send an event."""
        runtime = self._processes.runtime
        if runtime is not None:
            runtime.clients.emit(selection, event, is_volatile)
        elif event.buffers:
            raise RuntimeError("Only a serving process can emit bytes.")
        else:
            row = {"to": list(selection), "said": event.json.decode(), "volatile": is_volatile}
            self._control.post("io_emit", row)

    def ask(
        self,
        selection: Selection,
        event: Prepared,
        timeout: float,
        is_volatile: bool,
        done: Callable[[Answers], Any],
    ) -> None:
        """Send an event, and call `done(answers)` once all have answered or `timeout` seconds are over."""
        self._serving().ask(selection, event, timeout, is_volatile, done)

    def call(self, selection: Selection, event: Prepared, timeout: float, is_volatile: bool) -> Answers:
        """Send an event, and return the answers once all have answered or `timeout` seconds are over."""
        return self._serving().call(selection, event, timeout, is_volatile)

    def change(self, action: str, selection: Selection, *args: Any) -> None:
        """Have clients "join" or "leave" rooms, or "disconnect" them."""
        runtime = self._processes.runtime
        if runtime is not None:
            runtime.clients.change(action, selection, *args)
        else:
            self._control.post("io_change", {"action": action, "to": list(selection), "args": list(args)})

    def sessions(self, selection: Selection) -> list[Connection | dict[str, Any]]:
        """Return the sessions, those of other workers as the fields of a RemoteSession."""
        return self._serving().sessions(selection)

    def _serving(self) -> SiteClients:
        if self._processes.runtime is None and not has_request_context():
            raise RuntimeError("Only a process that serves clients can ask them, or list their sessions.")
        return self._processes.start().clients
