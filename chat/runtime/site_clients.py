"""What the site does with its Socket.IO clients, on this worker and on the others."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from dataclasses import asdict
from functools import partial
from typing import TYPE_CHECKING, Any

import orjson

from ..loop.jobs import Jobs
from ..rooms.hub import Hub
from ..socketio import packets
from ..socketio.answers import Answers, Gathering
from ..socketio.connection import Connection
from ..socketio.packets import Prepared
from ..socketio.selection import Selection
from ..socketio.server import Server

if TYPE_CHECKING:
    from ..cluster.peers import ClusterPeers

#: The kinds of bus messages. An event, and a change: selection, then what is sent or done.
EVENT, CHANGE = "io", "io_do"
#: An event that is to be answered: worker that asks, number, seconds, selection, event. Its answers: number, then what
#: happened (see _RelayedAnswers).
ASK, ANSWER = "io_ask", "io_answer"
#: Requests to other workers: the ids of a selection, with the worker's number; what is known of some of them.
IDS, DETAILS = "io_ids", "io_details"
#: Sessions in one response: each takes the loop of its worker some 30 µs.
BATCH = 100
#: Seconds after the end of a timeout in which the loop, however busy, has noticed it.
SLACK = 5.0


class SiteClients:
    """The site's clients on all workers; from any thread but never from a tick, where a method does not say otherwise.

    `call_site(function, *args)` calls the site's code in an app context.
    """

    def __init__(self, hub: Hub, jobs: Jobs, io: Server, call_site: Callable[..., Any]) -> None:
        self._hub, self._jobs, self._io = hub, jobs, io
        self._call_site = call_site
        self._cluster: ClusterPeers | None = None
        self._numbers = itertools.count()
        #: Events of this worker that other workers' clients may answer, by number. In the loop.
        self._gatherings: dict[int, Gathering] = {}
        self._receivers: dict[str, Callable[..., None]] = {
            EVENT: self._receive_event,
            CHANGE: self._receive_change,
            ASK: self._receive_question,
            ANSWER: self._receive_answer,
        }

    def join_cluster(self, cluster: ClusterPeers) -> None:
        """Reach the clients of other workers too, and serve those workers."""
        self._cluster = cluster
        cluster.handle_requests(IDS, self._ids)
        cluster.handle_requests(DETAILS, self._details)

    def receive(self, kind: str, parts: list[Any]) -> None:
        """Carry out what another worker published; in the loop."""
        receiver = self._receivers.get(kind)
        if receiver is not None:  # another version may send more kinds
            receiver(*parts)

    def _publish(self, kind: str, *parts: Any) -> None:
        if self._cluster is not None:
            self._cluster.publish(kind, *parts)

    # ---- events --------------------------------------------------------------------------------------------------

    def emit(self, selection: Selection, event: Prepared, is_volatile: bool) -> None:
        """Send an event of the site to clients of all workers."""
        self.emit_here(selection, event, is_volatile)
        self._publish(EVENT, list(selection), event.as_texts(), is_volatile)

    def emit_here(self, selection: Selection, event: Prepared, is_volatile: bool) -> None:
        """Send an event of the site to clients of this worker."""
        self._io.run(self._io.emit, selection, event, is_volatile)

    def _receive_event(self, selection: Any, event: Any, is_volatile: bool) -> None:
        self._io.emit(Selection.of_json(selection), Prepared.of_texts(*event), is_volatile)

    # ---- events that are answered --------------------------------------------------------------------------------

    def ask(
        self,
        selection: Selection,
        event: Prepared,
        timeout: float,
        is_volatile: bool,
        done: Callable[[Answers], Any],
    ) -> None:
        """Send an event; call `done(answers)`, as the site's code, once all have answered or `timeout` s are over."""
        finish = partial(self._jobs.put_last, object(), self._call_site, done)
        self._io.run(self._ask, selection, event, timeout, is_volatile, finish)

    def call(self, selection: Selection, event: Prepared, timeout: float, is_volatile: bool) -> Answers:
        """Send an event, and return the answers once all have answered or `timeout` seconds are over."""
        finished = self._io.driver.one_shot_event()
        results: list[Answers] = []

        def finish(answers: Answers) -> None:
            results.append(answers)
            finished.set()

        self._io.run(self._ask, selection, event, timeout, is_volatile, finish)
        finished.wait(timeout + SLACK)
        return results[0] if results else Answers(is_complete=False)

    def _ask(
        self,
        selection: Selection,
        event: Prepared,
        timeout: float,
        is_volatile: bool,
        finish: Callable[[Answers], None],
    ) -> None:
        cluster, number = self._cluster, next(self._numbers)
        workers = [] if cluster is None else cluster.presence.origins()

        def done(answers: Answers) -> None:
            self._gatherings.pop(number, None)
            finish(answers)

        gathering = Gathering(workers, done)
        if cluster is not None and workers:
            self._gatherings[number] = gathering
            cluster.publish(
                ASK, cluster.origin, number, timeout, list(selection), event.as_texts(), is_volatile
            )
        self._io.ask(selection, event, timeout, is_volatile, gathering)
        self._hub.reactor.call_later(timeout, gathering.expire)

    def _receive_question(
        self, worker: int, number: int, timeout: float, selection: Any, event: Any, is_volatile: bool
    ) -> None:
        if self._cluster is not None:
            relayed = _RelayedAnswers(self._cluster, worker, number)
            prepared = Prepared.of_texts(*event)
            self._io.ask(Selection.of_json(selection), prepared, timeout, is_volatile, relayed)

    def _receive_answer(self, number: int, what: str, *parts: Any) -> None:
        gathering = self._gatherings.get(number)
        if gathering is None:
            return
        if what == "asked":
            worker, ids = parts
            gathering.asked(ids, worker)
        elif what == "answered":
            id, answer = parts
            gathering.answered(id, packets.restore(Prepared.of_texts(*answer)))
        else:
            gathering.lost(parts[0])

    # ---- rooms and disconnects -----------------------------------------------------------------------------------

    def change(self, action: str, selection: Selection, *args: Any) -> None:
        """Have clients of all workers "join" or "leave" rooms, or "disconnect" them."""
        self.change_here(action, selection, *args)
        self._publish(CHANGE, action, list(selection), *args)

    def change_here(self, action: str, selection: Selection, *args: Any) -> None:
        """The same for the clients of this worker."""
        self._io.run(self._change, action, selection, *args)

    def _receive_change(self, action: str, selection: Any, *args: Any) -> None:
        self._change(action, Selection.of_json(selection), *args)

    def _change(self, action: str, selection: Selection, argument: Any) -> None:
        for connection in self._io.select(selection):
            if action == "disconnect":
                self._io.disconnect(connection, argument)
                continue
            change = self._io.join if action == "join" else self._io.leave
            for room in argument:
                change(connection, room)

    # ---- sessions ------------------------------------------------------------------------------------------------

    def sessions(self, selection: Selection) -> list[Connection | dict[str, Any]]:
        """Return the sessions of all workers that answer, those of others as the fields of a RemoteSession."""
        here: list[Any] = self._hub.reactor.call_and_wait(self._io.select, selection)
        return [*here, *self._sessions_elsewhere(selection)]

    def _sessions_elsewhere(self, selection: Selection) -> Iterator[dict[str, Any]]:
        if self._cluster is None:
            return
        for worker, ids in self._cluster.ask_all(IDS, list(selection)):
            for start in range(0, len(ids), BATCH):
                batch = ids[start : start + BATCH]
                yield from self._cluster.ask(worker, DETAILS, selection.namespace, batch) or ()

    def _ids(self, selection: Any) -> list[Any]:
        ids = [connection.id for connection in self._io.select(Selection.of_json(selection))]
        assert self._cluster is not None
        return [self._cluster.origin, ids]

    def _details(self, namespace: str, ids: list[str]) -> list[dict[str, Any]]:
        found = (self._io.find(namespace, id) for id in ids)
        return [_details_of(connection) for connection in found if connection is not None]


class _RelayedAnswers:
    """Sends what this worker's clients answer to the worker that asked; a Collector, in the loop."""

    def __init__(self, cluster: ClusterPeers, worker: int, number: int) -> None:
        self._tell = partial(cluster.publish_to, worker, ANSWER, number)
        self._origin = cluster.origin

    def asked(self, ids: list[str]) -> None:
        self._tell("asked", self._origin, ids)

    def answered(self, id: str, answer: list[Any]) -> None:
        self._tell("answered", id, packets.prepare(answer).as_texts())

    def lost(self, id: str) -> None:
        self._tell("lost", id)


def _details_of(connection: Connection) -> dict[str, Any]:
    """Return the fields of a RemoteSession."""
    identity = connection.identity
    return {
        "id": connection.id,
        "namespace": connection.namespace,
        "identity": None if identity is None else list(identity),
        "rooms": list(connection.rooms),
        "data": _json_of(connection.peek_data()),
        "recovered": connection.recovered,
        "handshake": asdict(connection.handshake.without_credentials()),
    }


def _json_of(data: dict[str, Any]) -> dict[str, Any]:
    """Return those items that JSON can hold."""
    kept = {}
    for key, value in list(data.items()):
        try:
            kept[str(key)] = orjson.loads(orjson.dumps(value))
        except TypeError:
            continue
    return kept
