"""Prometheus metrics from loop/stats.py: GET /metrics with CHAT_METRICS=1, or CHAT_METRICS_PORT."""

from __future__ import annotations

import errno
import logging
from collections.abc import Iterable, Iterator

from prometheus_client import CollectorRegistry, generate_latest, start_http_server
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

from ..loop.stats import Histogram, Stats
from ..runtime import Runtime
from ..service import ChatService

log = logging.getLogger("flask_chat")

#: Consecutive ports that are tried: one for each worker of the machine, including those that are draining.
MAX_PORTS = 64


class ChatCollector(Collector):
    """Collects the metrics of one app's chat at each scrape."""

    def __init__(self, chat: ChatService) -> None:
        self._chat = chat

    def describe(self) -> Iterable[Metric]:
        """Return no metrics: they exist from the first socket on."""
        return []

    def collect(self) -> Iterator[Metric]:
        """Yield every metric."""
        runtime = self._chat.runtime
        if runtime is None:
            return
        hub, stats = runtime.hub, runtime.hub.stats
        clients = hub.clients()
        yield GaugeMetricFamily("chat_connections", "Clients in the client set.", len(hub))
        yield GaugeMetricFamily(
            "chat_sockets", "Parked sockets, including those that are closing.", len(clients)
        )
        yield GaugeMetricFamily(
            "chat_outbox_bytes",
            "Bytes waiting for slow clients.",
            sum(client.waiting for client in clients),
        )
        yield GaugeMetricFamily(
            "chat_reactor_stalled", "1 if the event loop has stopped.", hub.reactor.stalled()
        )
        yield CounterMetricFamily(
            "chat_jobs_dropped", "Calls of site code dropped because a queue was full.", runtime.jobs.dropped
        )
        yield from _counters(stats)
        yield _histogram("chat_tick_seconds", "Duration of a tick in seconds.", stats.ticks)
        yield GaugeMetricFamily("chat_rooms", "Rooms with at least one connected user.", len(hub.rooms))
        yield GaugeMetricFamily(
            "chat_store_waiting", "Messages waiting to be stored.", runtime.group_commit.waiting
        )
        yield CounterMetricFamily(
            "chat_messages_late",
            "Messages of other workers read from the store because no bus message announced them.",
            stats.late,
        )
        if runtime.cluster is not None:
            yield from _cluster(runtime)
        yield _histogram(
            "chat_commit_seconds",
            "Duration of a transaction that stores messages, in seconds.",
            stats.commits,
        )
        yield _histogram("chat_commit_messages", "Messages stored in one transaction.", stats.batches)
        yield _histogram("chat_flush_bytes", "Bytes of a room's flush to each member.", stats.flushes)


def _cluster(runtime: Runtime) -> Iterator[Metric]:
    assert runtime.cluster is not None
    yield GaugeMetricFamily(
        "chat_broker_up", "1 while bus messages reach other workers.", int(runtime.broker.is_up)
    )
    yield GaugeMetricFamily("chat_workers", "Workers known to be alive.", 1 + len(runtime.cluster.presence))
    bus_messages = CounterMetricFamily(
        "chat_hints", "Bus messages to and from other workers.", labels=["way"]
    )
    for way, count in runtime.broker.counts().items():
        bus_messages.add_metric([way], count)
    yield bus_messages


def _counters(stats: Stats) -> Iterator[Metric]:
    yield CounterMetricFamily("chat_messages_in", "Messages from clients.", stats.messages_in)
    yield CounterMetricFamily(
        "chat_messages_out", "Messages to clients, counted per client.", stats.messages_out
    )
    yield CounterMetricFamily("chat_bytes_in", "Bytes from clients.", stats.bytes_in)
    yield CounterMetricFamily("chat_bytes_out", "Bytes to clients.", stats.bytes_out)
    errors = CounterMetricFamily("chat_errors", "Errors sent to clients.", labels=["code"])
    for code, count in list(stats.errors.items()):
        errors.add_metric([code], count)
    yield errors
    closes = CounterMetricFamily(
        "chat_closes", "Closed connections, by close code (4408: too slow).", labels=["code"]
    )
    for number, count in list(stats.closes.items()):
        closes.add_metric([str(number)], count)
    yield closes


def _histogram(name: str, text: str, histogram: Histogram) -> Metric:
    buckets, total = [], 0
    for bound, count in zip((*histogram.bounds, "+Inf"), histogram.counts, strict=True):
        total += count
        buckets.append((str(bound), float(total)))
    return HistogramMetricFamily(name, text, buckets=buckets, sum_value=histogram.sum)


def make_registry(chat: ChatService) -> CollectorRegistry:
    """Return a registry of one app's chat alone."""
    registry = CollectorRegistry()
    registry.register(ChatCollector(chat))
    return registry


def show(registry: CollectorRegistry) -> bytes:
    """Return the metrics in Prometheus' text format."""
    return generate_latest(registry)


def serve(registry: CollectorRegistry, port: int) -> int:
    """Serve the metrics on 127.0.0.1 at the first free port from `port` on, and return that port.

    Every worker of a machine needs one, and so does a worker that is draining. Raises OSError if none is free.
    """
    last = port + MAX_PORTS - 1
    while True:
        try:
            start_http_server(port, addr="127.0.0.1", registry=registry)
        except OSError as error:
            if error.errno != errno.EADDRINUSE or port == last:
                raise
            port += 1
        else:
            log.info("metrics of this worker: http://127.0.0.1:%d/metrics", port)
            return port
