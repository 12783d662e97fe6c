"""The namespaces and rooms that a site emits to."""

from __future__ import annotations

from typing import Any

from .connection import Connection
from .packets import EVENT, Prepared
from .recovery import Recovery


class Rooms:
    """The accepted connections of one process, by namespace and room. In the loop."""

    def __init__(self, recovery: Recovery) -> None:
        self._recovery = recovery
        self._namespaces: dict[str, dict[Connection, None]] = {}
        self._rooms: dict[tuple[str, str], dict[Connection, None]] = {}

    def add(self, connection: Connection) -> None:
        """Add a connection that was accepted to its namespace, and to the rooms that it has joined."""
        self._namespaces.setdefault(connection.namespace, {})[connection] = None
        for room in connection.rooms:
            self._rooms.setdefault((connection.namespace, room), {})[connection] = None

    def remove(self, connection: Connection) -> None:
        """Remove a connection from its namespace and rooms."""
        self._namespaces[connection.namespace].pop(connection, None)
        for room in connection.rooms:
            self._leave(connection, room)

    def connections(self) -> list[Connection]:
        """Return all connections, of all namespaces."""
        return [connection for members in self._namespaces.values() for connection in members]

    def join(self, connection: Connection, room: str) -> None:
        """Add a connection to `room`."""
        connection.add_room(room, self._recovery.position)
        if connection.accepted:
            self._rooms.setdefault((connection.namespace, room), {})[connection] = None

    def leave(self, connection: Connection, room: str) -> None:
        """Remove a connection from `room`."""
        connection.remove_room(room)
        self._leave(connection, room)

    def _leave(self, connection: Connection, room: str) -> None:
        key = connection.namespace, room
        members = self._rooms.get(key)
        if members is not None:
            members.pop(connection, None)
            if not members:
                del self._rooms[key]

    def emit(self, namespace: str, room: str | None, prepared: Prepared, skip: Connection | None) -> None:
        """Send an event to a room, a client (by its id) or a whole namespace: encoded once for all."""
        members, scope = self._receivers(namespace, room)
        skipped = None if skip is None else skip.engine_session.member
        frames = self._recovery.record(namespace, (scope,), skipped, EVENT, prepared)
        for connection in list(members):
            if connection is not skip:
                connection.send(frames)

    def _receivers(self, namespace: str, room: str | None) -> tuple[dict[Connection, None], tuple[Any, ...]]:
        everyone = self._namespaces.get(namespace, {})
        if room is None:
            return everyone, ("all",)
        members = self._rooms.get((namespace, room))
        if members is None and (one := {each: None for each in everyone if each.id == room}):
            return one, ("one", room)
        return members or {}, ("room", room, namespace)
