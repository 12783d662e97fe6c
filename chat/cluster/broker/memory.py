"""A broker within one process: for a site of one worker, where there is nobody to tell, and for tests of several."""

from __future__ import annotations

from ...loop.drivers import Driver, allocate_lock
from .base import Listener


class Bus:
    """What the brokers of one site share; `cut` those whose hints go nowhere, as if the network were."""

    def __init__(self) -> None:
        self.brokers: list[MemoryBroker] = []
        self.cut: set[MemoryBroker] = set()

    def loses(self) -> bool:
        """Tell whether the next hint is one that gets lost."""
        return False


class MemoryBroker:
    """One process's place on a bus; `sender` is the process's number. Without a bus it is alone."""

    def __init__(self, driver: Driver, sender: int, bus: Bus | None = None) -> None:
        self._driver = driver
        self._sender = sender
        self._bus = bus
        self._lock = allocate_lock()
        self._wake = driver.event()
        self._channels: set[str] = set()
        self._hints: list[tuple[str, int, bytes]] = []
        self._fresh: list[str] = []
        self._is_up = False
        self._closed = False

    @property
    def is_up(self) -> bool:
        return self._is_up

    def silent_for(self) -> float:
        return 0.0

    def counts(self) -> dict[str, int]:
        return {}

    @property
    def alone(self) -> bool:
        return self._bus is None

    def begin(self, listener: Listener) -> None:
        if self._bus is not None:
            self._bus.brokers.append(self)
            self._driver.background(lambda: self._run(listener))

    def publish(self, channel: str, payload: bytes) -> None:
        bus = self._bus
        if bus is None or self in bus.cut:
            return
        for broker in bus.brokers:
            if broker is not self and broker not in bus.cut and not bus.loses():
                broker.take(channel, self._sender, payload)

    def flush(self) -> None:
        pass

    def take(self, channel: str, sender: int, payload: bytes) -> None:
        """Keep a hint for the listener, if it is for this process."""
        with self._lock:
            if channel not in self._channels:
                return
            self._hints.append((channel, sender, payload))
        self._wake.set()

    def subscribe(self, *channels: str) -> None:
        with self._lock:
            fresh = [channel for channel in channels if channel not in self._channels]
            self._channels.update(fresh)
            self._fresh += fresh
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
            is_up = self._bus is not None and self not in self._bus.cut
            if is_up != self._is_up:
                self._is_up = is_up
                listener.changed(is_up)
            with self._lock:
                hints, self._hints = self._hints, []
                fresh, self._fresh = self._fresh, []
            if fresh:
                listener.subscribed(fresh)
            if hints:
                listener.received(hints)
            if not (hints or fresh):
                self._wake.wait(1.0)
                self._wake.clear()
