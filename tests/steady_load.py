"""Clients that send steadily, whatever happens; each records the messages and the rosters that it receives."""

import json
import time
from collections import defaultdict
from contextlib import contextmanager
from itertools import count, cycle

from tests.machines import ends
from tests.resumer import DIRECT, GROUP, JOIN, SYNCED
from tests.resuming_client import PATIENCE, Crowd, ResumingClient, check_against

GROUP_LIST, ROSTER_DIFF = 1, 5
#: Messages per second of all senders together; every DIRECT_EVERYth is a direct message.
RATE, DIRECT_EVERY = 30.0, 5
#: Seconds after which a message is sent again that the store could not take.
RETRY = 0.5


class SteadyClient(ResumingClient):
    """One of them. `peer` is the name of the user to whom it sends direct messages."""

    def __init__(self, server, name, rooms, peer=None):
        super().__init__(server, name, rooms)
        self.peer = peer
        #: {room: the names in its roster}, as received.
        self.rosters = {}
        #: Every name that a RosterDiff has reported as left.
        self.left = set()
        #: {conversation: seq up to which it has everything}, and the conversations whose Synced has not arrived yet.
        self.known, self.asked = {}, set()
        #: The pid of its worker, after SteadyLoad.locate.
        self.worker = None
        self.stopwatch = None

    def begin(self):
        """Join its rooms, and ask for the direct messages that it missed."""
        self.rosters.clear()
        since = dict(self.known)
        self.asked = set(since)
        return [
            *super().begin(),
            *({"type": JOIN, "room": room, "since": seq} for room, seq in since.items()),
        ]

    def take(self, message):
        super().take(message)
        kind, room = message["type"], message.get("room")
        if kind == GROUP_LIST and room in self.views:
            self.rosters[room] = {user["username"] for user in json.loads(message["data"])}
        elif kind == ROSTER_DIFF:
            self.left.update(message["left"])
            self.rosters[room].difference_update(message["left"])
            self.rosters[room].update(user["username"] for user in message["joined"])
        elif kind == DIRECT and room not in self.asked:
            self.known[room] = message["seq"]
        elif kind == SYNCED and room in self.asked:
            # A live message that arrived before this one does not shorten the gap.
            self.asked.discard(room)
            self.known[room] = max(one.seq for place, one in self.direct if place == room)
        elif kind == GROUP and room in self.views and self.stopwatch is not None:
            self.stopwatch.received(self, message)

    def conversations(self):
        """{room: the other user's messages in it}."""
        found = defaultdict(list)
        for room, one in self.direct:
            if one.sender != self.id:
                found[room].append(one)
        return found


class Stopwatch:
    """How long messages take: `lags` is {(worker of the sender, worker of the receiver): [seconds, …]}."""

    def __init__(self, clients):
        self._workers = {client.id: client.worker for client in clients}
        self._sent_at = {}
        self.lags = defaultdict(list)

    def sent(self, message):
        self._sent_at[message["id"]] = time.monotonic()

    def received(self, client, message):
        sent_at = self._sent_at.get(message["id"])
        if sent_at is not None:
            workers = self._workers[message["user"]["id"]], client.worker
            self.lags[workers].append(time.monotonic() - sent_at)

    def between(self, workers):
        """The lags, sorted, of messages sent at one of `workers` and received at another."""
        return sorted(
            lag for (a, b), lags in self.lags.items() if a != b and {a, b} <= set(workers) for lag in lags
        )

    def within(self, workers):
        """The lags, sorted, of messages sent and received at the same one of `workers`."""
        return sorted(lag for (a, b), lags in self.lags.items() if a == b and a in workers for lag in lags)


class SteadyLoad(Crowd):
    """Some of its clients, the senders, take turns: `rate` messages a second, in rooms and to their peers."""

    def __init__(self, clients, senders, rate=RATE):
        self._senders, self._numbers = cycle(senders), count(1)
        self._pause = 1 / rate
        self._next_send = None
        self._stopwatch = None
        super().__init__(clients)

    # -- sending

    def start_sending(self):
        self._next_send = time.monotonic()

    def stop_sending(self):
        self._next_send = None

    def turn(self, seconds):
        now = time.monotonic()
        while self._next_send is not None and self._next_send <= now:
            self._next_send += self._pause
            self._send_next(next(self._senders))
        if self._next_send is not None:
            seconds = min(seconds, max(0.0, self._next_send - now))
        super().turn(seconds)

    def _send_next(self, client):
        number = next(self._numbers)
        rooms = list(client.views)
        if number % DIRECT_EVERY == 0:
            message = client.tell(client.peer, f"for you {number}")
        else:
            message = client.say(rooms[number % len(rooms)], f"for all {number}")
        if self._stopwatch is not None:
            self._stopwatch.sent(message)
        if client.synced:  # else it is sent with the other messages that are not acknowledged yet
            client.send(message)

    def until(self, condition, patience=PATIENCE):
        try:
            super().until(condition, patience)
        except AssertionError:
            raise AssertionError(f"the condition did not hold within {patience} s") from None

    def until_acked(self):
        """Stop sending, and wait until each message is acknowledged."""
        self.stop_sending()
        deadline = time.monotonic() + PATIENCE
        while any(client.unacked for client in self.clients):
            assert time.monotonic() < deadline, "some messages were never acknowledged"
            self.go_on(RETRY if self._send_again() else 0.02)

    def _send_again(self):
        """Send again, with the same ids, the messages that the store could not take; whether there were any."""
        refused = [client for client in self.clients if client.errors]
        for client in refused:
            codes, client.errors = {code for code, _ in client.errors}, []
            assert codes == {"store_unavailable"}, codes
            if client.synced:
                client.send(*client.resend())
        return bool(refused)

    # -- rosters

    @property
    def names(self):
        return {client.name for client in self.clients}

    def until_all_see(self, names, patience=PATIENCE, rooms=None):
        """Wait until the roster of each room (or of `rooms`), at each client, has exactly these users."""

        def has_them(client):
            return all(client.rosters.get(room) == names for room in rooms or client.views)

        try:
            self.until(lambda: all(map(has_them, self.clients)), patience)
        except AssertionError as error:
            raise AssertionError(f"{error}: {self._wrong_rosters(names)}") from None

    def _wrong_rosters(self, names):
        return [
            f"{client.name} in {room}: too many {sorted(roster - names)[:5]}, missing {sorted(names - roster)[:5]}"
            for client in self.clients
            for room, roster in client.rosters.items()
            if roster != names
        ][:10]

    def reported_as_left(self):
        """Every name that a RosterDiff has reported to one of the clients as left."""
        return set().union(*(client.left for client in self.clients))

    def remove(self, clients):
        """Read from these clients no longer; they send nothing more either."""
        self.clients = [client for client in self.clients if client not in clients]

    def locate(self, deployment):
        """Set `worker` of each client."""
        workers = deployment.workers_by_ends()
        for client in self.clients:
            client.worker = workers.get(ends(client.socket))

    # -- checks

    @contextmanager
    def timing(self, deployment):
        """A Stopwatch for the messages that are sent and received within the block."""
        self.locate(deployment)
        self._set_stopwatch(Stopwatch(self.clients))
        yield self._stopwatch
        self._set_stopwatch(None)

    def _set_stopwatch(self, stopwatch):
        self._stopwatch = stopwatch
        for client in self.clients:
            client.stopwatch = stopwatch

    def until_as_stored(self, stored):
        """Stop sending; assert that each acknowledged message is stored once and each client receives what is stored.

        `stored()` returns what databases.stored does.
        """
        self.until_acked()
        store = stored()
        self.until_heard({room: len(messages) for room, messages in store.items()})
        wanted = {client: sent_to(client, store) for client in self.clients}
        self.until(lambda: all(length(one.conversations()) >= length(sent) for one, sent in wanted.items()))
        for client in self.clients:
            assert client.conversations() == wanted[client], (client.name, differences(client, wanted))
        check_against(store, self.clients)


def sent_to(client, store):
    """{room: the other user's stored messages in it}, of each of a client's conversations."""
    found = {}
    for room, messages in store.items():
        if room.startswith("dm:") and client.id in room.split(":"):
            found[room] = [one for one in messages if one.sender != client.id]
    return {room: messages for room, messages in found.items() if messages}


def length(conversations):
    return sum(map(len, conversations.values()))


def differences(client, wanted):
    """[(conversation, received seqs in order, stored seqs)] of each conversation in which they differ."""
    received, stored = client.conversations(), wanted[client]
    seqs = {
        room: ([one.seq for one in received[room]], [one.seq for one in stored.get(room, [])])
        for room in {*received, *stored}
    }
    return [(room, *both) for room, both in seqs.items() if both[0] != both[1]]
