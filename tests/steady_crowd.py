"""A crowd that talks steadily, whatever happens, and in which everybody keeps what he hears and who is there."""

import json
import time
from collections import defaultdict
from contextlib import contextmanager
from itertools import count, cycle

from tests.machines import ends
from tests.resumer import DIRECT, GROUP, JOIN, SYNCED
from tests.resuming_client import PATIENCE, Crowd, ResumingClient, check_against

GROUP_LIST, ROSTER_DIFF = 1, 5
#: Messages a second of all talkers together, and every how many of them goes to one user alone.
RATE, DIRECT_EVERY = 30.0, 5
#: Seconds after which a message that the store could not take is sent again.
RETRY = 0.5


class SteadyClient(ResumingClient):
    """One of them. `peer` is the name of whom it writes to."""

    def __init__(self, server, name, rooms, peer=None):
        super().__init__(server, name, rooms)
        self.peer = peer
        #: {room: the names of those who are in it}, as it was told.
        self.rosters = {}
        #: The names of those who were told to it to have left a room.
        self.left = set()
        #: {conversation: seq up to which all was heard}, and those of which it has yet to be told what it missed.
        self.known, self.asked = {}, set()
        #: The pid of its worker, once the crowd has been located.
        self.worker = None
        self.stopwatch = None

    def begin(self):
        """Come into its rooms, and ask for what was said to it meanwhile."""
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
            # What came live before this was no reason to ask for less.
            self.asked.discard(room)
            self.known[room] = max(one.seq for place, one in self.direct if place == room)
        elif kind == GROUP and room in self.views and self.stopwatch is not None:
            self.stopwatch.heard(self, message)

    def conversations(self):
        """{room: what the other has said in it}."""
        found = defaultdict(list)
        for room, one in self.direct:
            if one.sender != self.id:
                found[room].append(one)
        return found


class Stopwatch:
    """How long messages take: `lags` is {(worker of the speaker, worker of the hearer): [seconds, …]}."""

    def __init__(self, clients):
        self._places = {client.id: client.worker for client in clients}
        self._said_at = {}
        self.lags = defaultdict(list)

    def said(self, message):
        self._said_at[message["id"]] = time.monotonic()

    def heard(self, client, message):
        said_at = self._said_at.get(message["id"])
        if said_at is not None:
            places = self._places[message["user"]["id"]], client.worker
            self.lags[places].append(time.monotonic() - said_at)

    def between(self, some, others):
        """The seconds, the fewest first, of what was said at `some` workers and heard at other ones of `others`."""
        return sorted(
            lag for (a, b), lags in self.lags.items() if a in some and b in others and a != b for lag in lags
        )

    def within(self, some):
        """Those of what was said and heard at one and the same worker."""
        return sorted(lag for (a, b), lags in self.lags.items() if a == b and a in some for lag in lags)


class SteadyCrowd(Crowd):
    """Some of its clients talk by turns, `rate` messages a second, in rooms and to their peers."""

    def __init__(self, clients, talkers, rate=RATE):
        self._talkers, self._numbers = cycle(talkers), count(1)
        self._pause = 1 / rate
        self._next_word = None
        self._stopwatch = None
        super().__init__(clients)

    # -- talking

    def begin_to_talk(self):
        self._next_word = time.monotonic()

    def fall_silent(self):
        self._next_word = None

    def turn(self, seconds):
        now = time.monotonic()
        while self._next_word is not None and self._next_word <= now:
            self._next_word += self._pause
            self._speak(next(self._talkers))
        if self._next_word is not None:
            seconds = min(seconds, max(0.0, self._next_word - now))
        super().turn(seconds)

    def _speak(self, client):
        number = next(self._numbers)
        rooms = list(client.views)
        if number % DIRECT_EVERY == 0:
            message = client.tell(client.peer, f"for you {number}")
        else:
            message = client.say(rooms[number % len(rooms)], f"for all {number}")
        if self._stopwatch is not None:
            self._stopwatch.said(message)
        if client.synced:  # else it goes with all that was not acknowledged
            client.send(message)

    def until(self, condition, patience=PATIENCE):
        try:
            super().until(condition, patience)
        except AssertionError:
            raise AssertionError(f"it did not come true within {patience} s") from None

    def until_acked(self):
        """Fall silent, and wait until all that was said is acknowledged."""
        self.fall_silent()
        deadline = time.monotonic() + PATIENCE
        while any(client.unacked for client in self.clients):
            assert time.monotonic() < deadline, "what was said was never acknowledged"
            self.go_on(RETRY if self._say_again() else 0.02)

    def _say_again(self):
        """Say again, with the same ids, what the store could not take; whether there was anything."""
        refused = [client for client in self.clients if client.errors]
        for client in refused:
            codes, client.errors = {code for code, _ in client.errors}, []
            assert codes == {"store_unavailable"}, codes
            if client.synced:
                client.send(*client.resend())
        return bool(refused)

    # -- who is there

    @property
    def names(self):
        return {client.name for client in self.clients}

    def until_all_see(self, names, patience=PATIENCE, rooms=None):
        """Wait until everybody's picture of every one of his rooms, or of some, shows these users and nobody else."""

        def sees_them(client):
            return all(client.rosters.get(room) == names for room in rooms or client.views)

        try:
            self.until(lambda: all(map(sees_them, self.clients)), patience)
        except AssertionError as error:
            raise AssertionError(f"{error}: {self._mistaken(names)}") from None

    def _mistaken(self, names):
        return [
            f"{client.name} in {room}: too many {sorted(roster - names)[:5]}, missing {sorted(names - roster)[:5]}"
            for client in self.clients
            for room, roster in client.rosters.items()
            if roster != names
        ][:10]

    def told_to_have_left(self):
        """The names of those who were told to somebody to have left a room."""
        return set().union(*(client.left for client in self.clients))

    def take_out(self, clients):
        """Listen to these no more; they say nothing more either."""
        self.clients = [client for client in self.clients if client not in clients]

    def locate(self, house):
        """Note of each client which worker has it."""
        places = house.places()
        for client in self.clients:
            client.worker = places.get(ends(client.socket))

    # -- whether all is as it should be

    @contextmanager
    def timing(self, house):
        """A Stopwatch for what is said, and heard, in here."""
        self.locate(house)
        self._set_stopwatch(Stopwatch(self.clients))
        yield self._stopwatch
        self._set_stopwatch(None)

    def _set_stopwatch(self, stopwatch):
        self._stopwatch = stopwatch
        for client in self.clients:
            client.stopwatch = stopwatch

    def until_as_stored(self, stored):
        """Fall silent; hold that each acknowledged message is stored once and that everybody hears what is stored.

        `stored()` is what databases.stored returns.
        """
        self.until_acked()
        store = stored()
        self.until_heard({room: len(messages) for room, messages in store.items()})
        wanted = {client: said_to(client, store) for client in self.clients}
        self.until(lambda: all(length(one.conversations()) >= length(told) for one, told in wanted.items()))
        for client in self.clients:
            assert client.conversations() == wanted[client], (client.name, differences(client, wanted))
        check_against(store, self.clients)


def said_to(client, store):
    """{room: what the other has said to a client in it}, of what is stored."""
    found = {}
    for room, messages in store.items():
        if room.startswith("dm:") and client.id in room.split(":"):
            found[room] = [one for one in messages if one.sender != client.id]
    return {room: messages for room, messages in found.items() if messages}


def length(conversations):
    return sum(map(len, conversations.values()))


def differences(client, wanted):
    """[(conversation, the seqs that it heard, in order, those that it should have)] where they are not the same."""
    heard, told = client.conversations(), wanted[client]
    seqs = {
        room: ([one.seq for one in heard[room]], [one.seq for one in told.get(room, [])])
        for room in {*heard, *told}
    }
    return [(room, *both) for room, both in seqs.items() if both[0] != both[1]]
