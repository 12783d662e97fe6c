"""Clients that come back: each a Resumer on a raw WebSocket, all of them read in the test's own thread.

A Crowd's clients talk while the test waits for something: `crowd.until(condition)`.
"""

import select
import time

from tests import wsclient
from tests.resumer import Resumer
from tests.tokens import token

#: Seconds that something may take on a busy machine.
PATIENCE = 30.0


class ResumingClient(Resumer):
    """A user's client. `server` is where it connects; another one may be given to it at any time.

    As long as `next_message(client)` is not None, it keeps `window` messages in flight.
    """

    def __init__(self, server, name, rooms, next_message=None, window=8):
        super().__init__(name, rooms)
        self.server = server
        self.next_message, self.window = next_message, window
        self.socket = None
        self.was_synced = False
        #: How often it has connected.
        self.connections = 0

    # -- its connection

    def token(self):
        return token(self.name)

    def connect(self):
        """Come into the chat, and go on where it was; the server may take its time."""
        deadline = time.monotonic() + PATIENCE
        while True:
            try:
                query = "&lobby=0&roster=diff"
                self.socket = self.server.socket(token=self.token(), query=query, timeout=PATIENCE)
                break
            except (OSError, wsclient.Closed, wsclient.Refused) as error:
                if getattr(error, "status", 503) != 503:  # which a worker that drains says
                    raise
                assert time.monotonic() < deadline, "the server never came back"
                time.sleep(0.01)  # nobody listens, and nothing tells when somebody will
        self.connections += 1
        self.was_synced = False
        self.send(*self.begin())

    def send(self, *messages):
        """Send; what does not go through is sent again once the connection stands anew."""
        self.socket.sock.settimeout(PATIENCE)
        try:
            self.socket.send_raw(b"".join(map(wsclient.text_frame, messages)))
        except OSError:
            return

    def read(self):
        """Take all that has come, and go on talking; connect anew where the connection has ended."""
        try:
            for message in self.socket.recv_here():
                self.take(message)
        except wsclient.Closed:
            self.socket.sock.close()
            self.connect()
        self.talk()

    def talk(self):
        if not self.synced:
            return
        if not self.was_synced:
            self.was_synced = True
            self.send(*self.resend())
        new = []
        while self.next_message is not None and len(self.unacked) < self.window:
            message = self.next_message(self)
            if message is None:
                self.next_message = None
                break
            new.append(message)
        if new:
            self.send(*new)


class Crowd:
    """Clients that talk while one waits."""

    def __init__(self, clients=()):
        self.clients = []
        for client in clients:
            self.add(client)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for client in self.clients:
            client.socket.sock.close()

    def add(self, client):
        self.clients.append(client)
        client.connect()

    @property
    def acks(self):
        """Messages acknowledged to all of them."""
        return sum(len(client.acked) for client in self.clients)

    def until(self, condition, patience=PATIENCE):
        """Let them talk until `condition()` holds."""
        deadline = time.monotonic() + patience
        while not condition():
            assert time.monotonic() < deadline, [vars(client) for client in self.clients][:1]
            self.turn(0.05)

    def until_synced(self):
        self.until(lambda: all(client.synced for client in self.clients))

    def until_acked(self):
        """Let them say nothing new, and wait until all that was said is acknowledged."""
        for client in self.clients:
            client.next_message = None
        self.until(lambda: not any(client.unacked for client in self.clients))

    def until_heard(self, last_seqs):
        """Wait until each has heard {room: last seq} in those of the rooms that it is in."""

        def all_heard():
            views = [view for client in self.clients for view in client.views.values()]
            return all(view.synced and view.last >= last_seqs.get(view.room, 0) for view in views)

        self.until(all_heard)

    def go_on(self, seconds):
        """Let them talk for so long."""
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            self.turn(left)

    def turn(self, seconds):
        poll = select.poll()
        clients = {client.socket.sock.fileno(): client for client in self.clients}
        for fd in clients:
            poll.register(fd, select.POLLIN)
        for fd, _ in poll.poll(seconds * 1000):
            clients[fd].read()


def check_against(stored, clients):
    """Hold that the store has each acknowledged message once, where its Ack said, and that every view is the store's.

    `stored` is what databases.stored returned.
    """
    places = {}
    for room, messages in stored.items():
        for one in messages:
            assert places.setdefault((one.sender, one.id), (room, one.seq)) == (room, one.seq)
    for client in clients:
        for id, place in client.acked.items():
            assert places[client.id, id] == place
            assert stored[place[0]][place[1] - 1].data == client.said[id]["data"]
        for room, view in client.views.items():
            assert view.heard == stored[room][view.begun :], f"{client.name} in {room}"
