"""A socket that the loop cannot watch is closed."""

import socket

import pytest

from chat.config import Settings
from chat.loop import reactor
from chat.rooms.client import Taken
from chat.rooms.dispatcher import Dispatcher
from chat.rooms.handlers import HANDLERS
from chat.rooms.hub import Hub
from chat.rooms.native_wire import NativeWire
from tests.stepping import Scheduler, SteppedDriver


def test_a_socket_that_cannot_be_watched_is_closed(monkeypatch):
    monkeypatch.setattr(reactor, "make_driver", lambda: SteppedDriver(Scheduler()))
    hub = Hub(Settings(), pytest.fail, 10)
    hub.reactor._epoll.close()  # as when the kernel refuses: too many watches
    ours, peer = socket.socketpair()
    fd = ours.detach()
    with pytest.raises(ValueError, match="epoll") as raised:
        hub.park(Taken(fd, b"", b""), NativeWire(Dispatcher(hub, None, HANDLERS)))
    with peer:
        peer.settimeout(5)
        assert peer.recv(1) == b""  # while `raised` keeps the client alive: nothing else has closed it
    assert raised
    assert len(hub) == 0
