"""A cable that can be cut: a TCP proxy between a server and the one who uses it, with the faults of a network."""

import select
import socket
import struct
import threading
from contextlib import contextmanager

#: Bytes read at once.
CHUNK = 65_536
#: What a socket that is closed with it sends: a reset, and not the end of a stream.
RESET = struct.pack("ii", 1, 0)


class Cut:
    """Forwards what comes to `port` to the server at `target`, until it is told otherwise. A thread of its own.

    `cut()`: every connection is reset, new ones are refused. `swallow()`: nothing is refused and nothing passes, as
    where packets are dropped on the way; what was sent meanwhile arrives after `heal()`, as TCP has it.
    """

    def __init__(self, target):
        self._target = target
        # Held all the time, so that nobody else is given the port while nobody listens at it.
        self._place = bound(0)
        self.port = self._place.getsockname()[1]
        self._listener = None
        self._links = []
        self._mode = self._pass
        self._wanted = None
        self._told = threading.Condition()
        self._ear, self._mouth = socket.socketpair()
        self._listen()
        self._thread = threading.Thread(target=self._run, name="cut", daemon=True)
        self._thread.start()

    # -- what a test does

    def cut(self):
        self._become(self._refuse)

    def swallow(self):
        self._become(self._hold)

    def heal(self):
        self._become(self._pass)

    @contextmanager
    def broken(self, fault):
        """The fault ("cut", "swallow") lasts in here."""
        getattr(self, fault)()
        try:
            yield
        finally:
            self.heal()

    def close(self):
        self._become(self._end)
        self._thread.join()
        for one in (self._place, self._ear, self._mouth):
            one.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def _become(self, mode):
        """Ask the thread to go over to another mode, and wait until it has."""
        with self._told:
            self._wanted = mode
            self._mouth.send(b"!")
            self._told.wait_for(lambda: self._wanted is None)

    # -- the thread

    def _run(self):
        while self._mode != self._end:
            ready = self._wait()
            if self._ear.fileno() in ready:
                self._change()
            elif self._mode == self._pass:
                self._serve(ready)

    def _wait(self):
        """{descriptor: its events} of what can go on."""
        poll = select.poll()
        poll.register(self._ear, select.POLLIN)
        if self._mode == self._pass:
            poll.register(self._listener, select.POLLIN)
            for link in self._links:
                for one, events in link.wants().items():
                    poll.register(one, events)
        return dict(poll.poll())

    def _change(self):
        self._ear.recv(1)
        with self._told:
            self._mode, self._wanted = self._wanted, None
            self._mode()
            self._told.notify_all()

    def _serve(self, ready):
        if self._listener.fileno() in ready:
            self._accept()
        for link in self._links.copy():
            if link.is_among(ready) and not link.carry(ready):
                self._links.remove(link)

    def _accept(self):
        near, _ = self._listener.accept()
        try:
            far = socket.create_connection(("127.0.0.1", self._target), 5.0)
        except OSError:
            reset(near)
            return
        self._links.append(Link(near, far))

    # -- its modes: what is done as one begins

    def _pass(self):
        self._listen()

    def _hold(self):
        self._listen()

    def _refuse(self):
        if self._listener is not None:
            self._listener.close()
            self._listener = None
        for link in self._links:
            link.reset()
        self._links.clear()

    def _end(self):
        self._refuse()

    def _listen(self):
        if self._listener is None:
            self._listener = bound(self.port)
            self._listener.listen()


class Link:
    """One connection through the proxy: what one side has sent waits until the other takes it."""

    def __init__(self, near, far):
        self._other = {near: far, far: near}
        #: Bytes that wait to be sent to each.
        self._waiting = {near: b"", far: b""}
        for one in self._other:
            one.setblocking(False)

    def wants(self):
        """{socket: the events that it can go on with}: it is read as long as the other side takes what it says."""
        return {
            one: (0 if self._waiting[other] else select.POLLIN)
            | (select.POLLOUT if self._waiting[one] else 0)
            for one, other in self._other.items()
        }

    def is_among(self, ready):
        return any(one.fileno() in ready for one in self._other)

    def carry(self, ready):
        """Move what can be moved; False once the connection has ended, on both sides then."""
        try:
            alive = all(self._move(one, ready[one.fileno()]) for one in self._other if one.fileno() in ready)
        except OSError:
            alive = False
        if not alive:
            self.reset()
        return alive

    def _move(self, one, events):
        if events & select.POLLOUT:
            self._waiting[one] = self._waiting[one][one.send(self._waiting[one]) :]
        if events & (select.POLLIN | select.POLLHUP | select.POLLERR):
            said = one.recv(CHUNK)
            self._waiting[self._other[one]] += said
            return bool(said)
        return True

    def reset(self):
        for one in self._other:
            reset(one)


def bound(port):
    one = socket.socket()
    one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # there are two of them at the port
    one.bind(("127.0.0.1", port))
    return one


def reset(one):
    one.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
    one.close()
