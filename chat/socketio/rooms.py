"""The namespaces and rooms that a site emits to."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from . import packets
from .answers import Collector
from .connection import Connection
from .packets import EVENT, Prepared
from .recovery import Recovery
from .selection import Selection


class Rooms:
    """The accepted connections of one process, by namespace and room. In the loop."""

    def __init__(self, recovery: Recovery) -> None:
        self._recovery = recovery
        #: {namespace: {id: connection}}
        self._namespaces: dict[str, dict[str, Connection]] = {}
        self._rooms: dict[tuple[str, str], dict[Connection, None]] = {}

    def add(self, connection: Connection) -> None:
        """Add a connection that was accepted to its namespace, and to the rooms that it has joined."""
        self._namespaces.setdefault(connection.namespace, {})[connection.id] = connection
        for room in connection.rooms:
            self._rooms.setdefault((connection.namespace, room), {})[connection] = None

    def remove(self, connection: Connection) -> None:
        """Remove a connection from its namespace and rooms."""
        members = self._namespaces.get(connection.namespace, {})
        if members.get(connection.id) is connection:
            del members[connection.id]
            if not members:
                del self._namespaces[connection.namespace]
        for room in connection.rooms:
            self._leave(connection, room)

    def connections(self) -> list[Connection]:
        """Return all connections, of all namespaces."""
        return [connection for members in self._namespaces.values() for connection in members.values()]

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

    # ---- selections ----------------------------------------------------------------------------------------------

    def select(self, selection: Selection) -> list[Connection]:
        """Return the connections that a selection means, each once."""
        chosen = dict.fromkeys(self._chosen(selection))
        for name in selection.skip:
            for connection in self._named(selection.namespace, name):
                chosen.pop(connection, None)
        return list(chosen)

    def find(self, namespace: str, id: str) -> Connection | None:
        """Return the connection of that id, or None."""
        return self._namespaces.get(namespace, {}).get(id)

    def _chosen(self, selection: Selection) -> Iterator[Connection]:
        namespace, rooms, _ = selection
        if rooms is None:
            yield from self._namespaces.get(namespace, {}).values()
            return
        for name in rooms:
            yield from self._named(namespace, name)

    def _named(self, namespace: str, name: str) -> Iterator[Connection]:
        """Yield the members of a room, and the connection of that id."""
        yield from self._rooms.get((namespace, name), ())
        if (connection := self.find(namespace, name)) is not None:
            yield connection

    # ---- sending -------------------------------------------------------------------------------------------------

    def emit(self, selection: Selection, prepared: Prepared, is_volatile: bool) -> list[Connection]:
        """Send an event, encoded once for all; return who was meant. What is volatile nobody gets later."""
        receivers, namespace = self.select(selection), selection.namespace
        if is_volatile:
            frames = packets.assemble(EVENT, packets.prefix(namespace), None, prepared)
        else:
            scopes = _scopes(selection)
            frames = self._recovery.record(namespace, scopes, None, EVENT, prepared, skipped=selection.skip)
        for connection in receivers:
            if not is_volatile or connection.is_ready:
                connection.send(frames)
        return receivers

    def ask(
        self, selection: Selection, prepared: Prepared, is_volatile: bool, number: int, collector: Collector
    ) -> list[Connection]:
        """Send an event whose answers `collector` gets; return who was asked. Nobody is asked later."""
        receivers, prefix = self.select(selection), packets.prefix(selection.namespace)
        frames = packets.assemble(EVENT, prefix, number, prepared)
        collector.asked([connection.id for connection in receivers])
        for connection in receivers:
            connection.expect(number, collector)
            if not is_volatile or connection.is_ready:
                connection.send(frames)
        return receivers


def _scopes(selection: Selection) -> tuple[Any, ...]:
    """Return the scopes of clients that may have been cut off: a name stands for a room and for a client."""
    if selection.rooms is None:
        return (("all",),)
    namespace = selection.namespace
    return tuple(scope for name in selection.rooms for scope in (("room", name, namespace), ("one", name)))
