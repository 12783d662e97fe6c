"""A broker in one process's memory: for a site of one process, and for tests of several."""

from __future__ import annotations

from ...loop.drivers import Driver, allocate_lock
from .base import BusMessage, Listener


class Bus:
    """Connects the brokers of one site. Messages from and to the brokers in `partitioned` are lost."""

    def __init__(self) -> None:
        self.brokers: list[MemoryBroker] = []
        self.partitioned: set[MemoryBroker] = set()

    def drops_next(self) -> bool:
        """Return whether the next message is lost. Tests override this."""
        return False


class MemoryBroker:
    """The broker of the process with the number `sender`. Without a bus the process is alone."""

    def __init__(self, driver: Driver, sender: int, bus: Bus | None = None) -> None:
        self._driver = driver
        self._sender = sender
        self._bus = bus
        self._lock = allocate_lock()
        self._wake = driver.event()
        self._channels: set[str] = set()
        self._messages: list[BusMessage] = []
        self._new_channels: list[str] = []
        self._is_up = False
        self._closed = False

    @property
    def is_up(self) -> bool:
        return self._is_up

    @property
    def alone(self) -> bool:
        return self._bus is None

    def idle_seconds(self) -> float:
        return 0.0

    def counts(self) -> dict[str, int]:
        return {}

    def start(self, listener: Listener) -> None:
        if self._bus is not None:
            self._bus.brokers.append(self)
            self._driver.background(lambda: self._run(listener))

    def publish(self, channel: str, payload: bytes) -> None:
        bus = self._bus
        if bus is None or self in bus.partitioned:
            return
        for broker in bus.brokers:
            if broker is not self and broker not in bus.partitioned and not bus.drops_next():
                broker.deliver(channel, self._sender, payload)

    def flush(self) -> None:
        pass

    def deliver(self, channel: str, sender: int, payload: bytes) -> None:
        """Queue a message for the listener if this process subscribes to the channel."""
        with self._lock:
            if channel not in self._channels:
                return
            self._messages.append((channel, sender, payload))
        self._wake.set()

    def subscribe(self, *channels: str) -> None:
        with self._lock:
            new = [channel for channel in channels if channel not in self._channels]
            self._channels.update(new)
            self._new_channels += new
        self._wake.set()

    def unsubscribe(self, *channels: str) -> None:
        with self._lock:
            self._channels.difference_update(channels)

    def close(self) -> None:
        self._closed = True
        if self._bus is not None and self in self._bus.brokers:
            self._bus.brokers.remove(self)
        self._wake.set()

    def _run(self, listener: Listener) -> None:
        while not self._closed:
            is_up = self._bus is not None and self not in self._bus.partitioned
            if is_up != self._is_up:
                self._is_up = is_up
                listener.connection_changed(is_up)
            with self._lock:
                messages, self._messages = self._messages, []
                channels, self._new_channels = self._new_channels, []
            if channels:
                listener.subscribed(channels)
            if messages:
                listener.received(messages)
            if not (messages or channels):
                self._wake.wait(1.0)
                self._wake.clear()
