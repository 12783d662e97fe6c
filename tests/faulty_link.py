"""A TCP proxy between a server and its client that can play the faults of a network."""

import select
import socket
import struct
import threading
from contextlib import contextmanager

#: Bytes read at once.
CHUNK = 65_536
#: SO_LINGER for a socket whose close shall send a reset instead of the end of the stream.
RESET = struct.pack("ii", 1, 0)


class FaultyLink:
    """Forwards what arrives at `port` to the server at port `target`, in a thread of its own, unless a fault is set.

    `cut()`: every connection is reset, new ones are refused. `swallow()`: nothing is refused and nothing passes, as
    when packets are dropped; what was sent meanwhile arrives after `heal()`, as over TCP.
    """

    def __init__(self, target):
        self._target = target
        # Kept bound, so that the port is given to no other socket while there is no listener.
        self._reservation = bound(0)
        self.port = self._reservation.getsockname()[1]
        self._listener = None
        self._connections = []
        self._mode = self._pass
        self._wanted = None
        self._changed = threading.Condition()
        self._wakeup, self._waker = socket.socketpair()
        self._listen()
        self._thread = threading.Thread(target=self._run, name="faulty link", daemon=True)
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
        """Play the fault ("cut" or "swallow") within the block."""
        getattr(self, fault)()
        try:
            yield
        finally:
            self.heal()

    def close(self):
        self._become(self._end)
        self._thread.join()
        for one in (self._reservation, self._wakeup, self._waker):
            one.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def _become(self, mode):
        """Ask the thread to change its mode, and wait until it has."""
        with self._changed:
            self._wanted = mode
            self._waker.send(b"!")
            self._changed.wait_for(lambda: self._wanted is None)

    # -- the thread

    def _run(self):
        while self._mode != self._end:
            ready = self._wait()
            if self._wakeup.fileno() in ready:
                self._change()
            elif self._mode == self._pass:
                self._serve(ready)

    def _wait(self):
        """{descriptor: its events} of the sockets that are ready."""
        poll = select.poll()
        poll.register(self._wakeup, select.POLLIN)
        if self._mode == self._pass:
            poll.register(self._listener, select.POLLIN)
            for connection in self._connections:
                for one, events in connection.wants().items():
                    poll.register(one, events)
        return dict(poll.poll())

    def _change(self):
        self._wakeup.recv(1)
        with self._changed:
            self._mode, self._wanted = self._wanted, None
            self._mode()
            self._changed.notify_all()

    def _serve(self, ready):
        if self._listener.fileno() in ready:
            self._accept()
        for connection in self._connections.copy():
            if connection.is_among(ready) and not connection.forward(ready):
                self._connections.remove(connection)

    def _accept(self):
        near, _ = self._listener.accept()
        try:
            far = socket.create_connection(("127.0.0.1", self._target), 5.0)
        except OSError:
            reset(near)
            return
        self._connections.append(Connection(near, far))

    # -- its modes: what is done as one begins

    def _pass(self):
        self._listen()

    def _hold(self):
        self._listen()

    def _refuse(self):
        if self._listener is not None:
            self._listener.close()
            self._listener = None
        for connection in self._connections:
            connection.reset()
        self._connections.clear()

    def _end(self):
        self._refuse()

    def _listen(self):
        if self._listener is None:
            self._listener = bound(self.port)
            self._listener.listen()


class Connection:
    """One connection through the proxy: what one side has sent waits until the other side takes it."""

    def __init__(self, near, far):
        self._other = {near: far, far: near}
        #: Bytes that wait to be sent to each.
        self._waiting = {near: b"", far: b""}
        for one in self._other:
            one.setblocking(False)

    def wants(self):
        """{socket: events to wait for}: a side is read only while nothing waits for the other side."""
        return {
            one: (0 if self._waiting[other] else select.POLLIN)
            | (select.POLLOUT if self._waiting[one] else 0)
            for one, other in self._other.items()
        }

    def is_among(self, ready):
        return any(one.fileno() in ready for one in self._other)

    def forward(self, ready):
        """Forward what can be forwarded; False once the connection has ended, which then ends both sides."""
        try:
            alive = all(
                self._forward(one, ready[one.fileno()]) for one in self._other if one.fileno() in ready
            )
        except OSError:
            alive = False
        if not alive:
            self.reset()
        return alive

    def _forward(self, one, events):
        if events & select.POLLOUT:
            self._waiting[one] = self._waiting[one][one.send(self._waiting[one]) :]
        if events & (select.POLLIN | select.POLLHUP | select.POLLERR):
            data = one.recv(CHUNK)
            self._waiting[self._other[one]] += data
            return bool(data)
        return True

    def reset(self):
        for one in self._other:
            reset(one)


def bound(port):
    one = socket.socket()
    one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # the reservation is bound to the same port
    one.bind(("127.0.0.1", port))
    return one


def reset(one):
    one.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
    one.close()
