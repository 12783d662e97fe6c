"""A minimal owner and wire of a client: it records what it is called with, and its clock stands still."""

import socket

from chat.config import Settings
from chat.loop.stats import Stats
from chat.rooms.client import READ_BYTES, Client
from chat.rooms.sweeper import Heartbeat
from chat.wire.codec import NATIVE
from chat.wire.errors import CloseCode
from chat.wire.frame_parser import Parser


class Owner:
    """What the Owner and Wire protocols of chat.rooms ask for, without rooms; `flush` ends a tick as the hub's does."""

    codec = NATIVE
    largest = 0

    def __init__(self, outbox_bytes=1 << 20, settings=None):
        self.check_heartbeat = Heartbeat(settings or Settings()).check
        self.now = 1_000.0
        self.outbox_bytes = outbox_bytes
        self.stats = Stats()
        self.buffer = memoryview(bytearray(READ_BYTES))
        self.received, self.leavers, self.forgotten, self.slow = [], [], [], []
        self.watched = {}
        self._dirty = []

    def on_text(self, client, payload):
        self.received.append(payload.decode())

    def on_binary(self, client, payload):
        self.received.append(payload)

    def on_control(self, client):
        return True

    def leave(self, client):
        self.leavers.append(client)

    def on_close(self, client):
        pass

    def dirty(self, client):
        self._dirty.append(client)

    def watch_writable(self, client, wanted):
        self.watched[client] = wanted

    def detach(self, client):
        self.forgotten.append(client)

    def note_slow(self, client):
        self.slow.append(client)

    def report_failure(self, client):
        client.close(CloseCode.INTERNAL)

    def flush(self):
        for client in self.slow:
            client.close(CloseCode.TOO_SLOW)
        while self._dirty:
            self._dirty.pop(0).flush()


class Peer:
    """The other end of a client's connection."""

    def __init__(self, sock):
        self.sock = sock

    def write(self, data):
        self.sock.sendall(data)

    def read(self):
        """What has arrived since the last call."""
        data = bytearray()
        try:
            while piece := self.sock.recv(1 << 16):
                data += piece
        except BlockingIOError:
            pass
        return bytes(data)

    def ended(self):
        """Whether the stream has ended; reads everything before the end."""
        self.read()
        try:
            return self.sock.recv(1) == b""
        except BlockingIOError:
            return False
        except ConnectionResetError:
            return True


def connect(owner, max_message=10_000, sndbuf=None):
    """A client on one end of a socket pair, and its peer on the other."""
    ours, theirs = socket.socketpair()
    if sndbuf:
        ours.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, sndbuf)
    theirs.setblocking(False)
    owner.max_message, owner.parser = max_message, Parser(max_message)
    return Client(ours.detach(), owner, owner), Peer(theirs)
