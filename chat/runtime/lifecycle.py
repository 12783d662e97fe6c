"""The runtime's composition: which parts one worker has, in which order they start, what they call each other for."""

from __future__ import annotations

import os
from collections.abc import Mapping

from ..cluster.peers import ClusterPeers
from ..config import Settings
from ..loop.jobs import Jobs
from ..rooms.dispatcher import Dispatcher, Handler
from ..rooms.drain import Drain
from ..rooms.group_commit import GroupCommit
from ..rooms.hub import Hub
from ..rooms.joining import Joining
from ..rooms.native_wire import NativeWire
from ..rooms.sweeper import Sweeper
from ..socketio.engine import Engine
from ..socketio.forwarding.client import ForwardingClient
from ..socketio.forwarding.directory import WorkerDirectory
from ..socketio.offset_queries import DELIVERED, OffsetQueries
from ..socketio.server import Server
from ..wire.envelope import Identity
from .admission import Admission
from .control import ControlActions, ControlPoller
from .descriptors import socket_limit
from .retention import prune_forever
from .revocation import Revocation
from .services import HandlerServices
from .shutdown import Shutdown
from .signals import Signals
from .site import Site
from .site_clients import SiteClients
from .site_messages import SiteMessages
from .tick_log import TickLog, log_failed_job


class Runtime:
    """The chat of one app in one worker, created with its first socket and after any fork.

    `last_control` is the id of the last control row that concerns an earlier process.
    """

    def __init__(
        self, settings: Settings, site: Site, handlers: Mapping[int, Handler], last_control: int
    ) -> None:
        self.pid = os.getpid()
        self._settings = settings
        self._site = site
        log = TickLog()
        self.hub = Hub(settings, log.error, socket_limit())
        self.driver = self.hub.reactor.driver
        self.jobs = log.jobs = Jobs(self.driver, settings.queue_size, log_failed_job)
        self.io = Server(
            self.hub, self.jobs, site.guard, site.events, site.hooks.run, site.hooks.ensure_site_user
        )
        self._sweeper = Sweeper(self.hub)
        signals = Signals(self.hub, self.jobs, site.hooks, log)
        self.hub.on_connected, self.hub.on_disconnected = signals.connected, signals.disconnected
        self.group_commit = GroupCommit(
            self.hub, self.driver, site.store.history, site.store.commit, signals.message_sent
        )
        self.io_engine = Engine(self.hub, settings, self.io, log.error, self.group_commit.origin)
        self.io_forwarding = ForwardingClient(self.io_engine, lambda: WorkerDirectory(site.links.secret()))
        self._joining = Joining(self.hub, self.driver, site.store.history, self.io.save_joins)
        services = HandlerServices(
            self.hub, self.jobs, site.guard, site.hooks, self.group_commit, self._joining, signals
        )
        dispatcher = Dispatcher(self.hub, services, dict(handlers))
        if settings.io_chat_namespace:
            self.io.recovery.follow(self.group_commit.delivery)
            self.io.serve_chat(dispatcher, site.store.socketio, site.store.history, self._joining.open_rooms)
        #: Admits the clients of /ws/chat.
        self.admission = Admission(self.hub, self.jobs, site.guard, NativeWire(dispatcher))
        #: Sends for the site.
        self.messages = SiteMessages(self.hub, dispatcher, self.group_commit)
        #: Reaches the site's Socket.IO clients.
        self.clients = SiteClients(self.hub, self.jobs, self.io, site.hooks.run)
        #: Closes a user's sockets.
        self.revocation = Revocation(self.hub, site.guard, self.io, self._joining)
        actions = ControlActions(
            self.group_commit.origin,
            site.store.control,
            site.guard,
            self.messages,
            self.clients,
            self.revocation,
            self.roster,
        )
        self._control = ControlPoller(
            self.driver, site.store.control, settings.control_interval, last_control, actions
        )
        self.broker = site.links.make_broker(self.driver, self.group_commit.origin)
        #: The site's other workers; None where this is the only one.
        self.cluster = None if self.broker.alone else self._join_cluster()
        #: Stops the worker.
        self.shutdown = Shutdown(
            self.hub,
            Drain(self.hub, self.group_commit.progress),
            self.io_forwarding,
            self.cluster,
            settings.drain_seconds,
        )
        self._start()

    def _join_cluster(self) -> ClusterPeers:
        cluster = ClusterPeers(
            self.hub, self.group_commit, self.broker, self._control.wake, self.clients.receive
        )
        self.clients.join_cluster(cluster)
        queries = OffsetQueries(self.hub, self.io.recovery, self._settings.io_chat_namespace)
        cluster.handle_requests(DELIVERED, queries.delivered)
        return cluster

    def _start(self) -> None:
        self.group_commit.start()
        self._joining.start()
        if self.cluster is not None:
            self.cluster.start()
        self.driver.background(self._control.run)
        days = self._settings.retention_days
        if days:
            self.driver.background(lambda: prune_forever(self.driver, self._site.store.history, days))

    @property
    def broker_state(self) -> str:
        """up, down, or none where this worker is the only one."""
        return "none" if self.broker.alone else "up" if self.broker.is_up else "down"

    def announce_control(self) -> None:
        """Have the other workers read the control table now; from any thread."""
        if self.cluster is not None:
            self.cluster.announce_control()

    def roster(self, room: str) -> list[Identity]:
        """Return the users in `room` on all workers; from any thread, but not from a tick."""
        if self.cluster is None or self.hub.rooms.get(room) is not None:
            return self.hub.rooms.users_in(room)
        return self.cluster.fetch_roster(room)
