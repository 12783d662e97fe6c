"""Brokers for the tests of their contract, and a listener that records what they report."""

import threading
from itertools import count

from chat.cluster.broker.memory import Bus, MemoryBroker
from chat.cluster.broker.redis import RedisBroker
from chat.loop.drivers import ThreadDriver

#: Seconds that an event may take on a busy machine.
TIMEOUT = 20.0
prefixes = count()


class RecordingListener:
    """A listener that keeps all that it is given, in order."""

    def __init__(self):
        self.changed = threading.Condition()
        self.messages, self.channels, self.states = [], set(), []

    def received(self, messages):
        with self.changed:
            self.messages += messages
            self.changed.notify_all()

    def subscribed(self, channels):
        with self.changed:
            self.channels.update(channels)
            self.changed.notify_all()

    def connection_changed(self, is_up):
        with self.changed:
            self.states.append(is_up)
            self.changed.notify_all()

    def wait_for(self, condition):
        with self.changed:
            assert self.changed.wait_for(condition, TIMEOUT), vars(self)

    def payloads(self, channel):
        return [payload for name, _, payload in self.messages if name == channel]


class MemorySite:
    """A site whose processes are connected by a bus in memory."""

    def __init__(self):
        self.bus = Bus()

    def broker(self, sender):
        return MemoryBroker(ThreadDriver(), sender, self.bus)


class RedisSite:
    """A site whose processes are connected by a server, each site with a prefix of its own."""

    def __init__(self, valkey):
        self.valkey, self.prefix = valkey, f"contract{next(prefixes)}"

    def broker(self, sender, prefix=None):
        return RedisBroker(ThreadDriver(), sender, self.valkey.url, prefix or self.prefix)


def start(broker, *channels, listener=None):
    """Start a broker, wait until it is connected and subscribed, and return it with its listener."""
    listener = listener or RecordingListener()
    broker.subscribe(*channels)
    broker.start(listener)
    listener.wait_for(lambda: broker.is_up and listener.channels >= set(channels))
    return broker, listener
