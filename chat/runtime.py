"""What runs in a serving process, made at its first socket: hub, jobs, sweeper, and the eye on the control table."""

from __future__ import annotations

import contextlib
import logging
import math
import os
import resource
from collections.abc import Callable, Mapping
from typing import Any

from .cluster.broker.base import Broker
from .cluster.broker.memory import MemoryBroker
from .cluster.peers import ClusterPeers
from .config import Settings
from .identity.guard import Grant, Guard, now_ms
from .loop.drivers import Driver
from .loop.jobs import Jobs
from .rooms.client import Taken
from .rooms.drain import Drain
from .rooms.group_commit import GroupCommit
from .rooms.handlers import Dispatcher, Handler, NativeWire
from .rooms.hub import Hub
from .rooms.joining import Joining
from .rooms.member import Member
from .rooms.sweeper import Sweeper
from .socketio.engine import Engine
from .socketio.forwarding.client import ForwardingClient
from .socketio.forwarding.directory import WorkerDirectory
from .socketio.offset_queries import DELIVERED, OffsetQueries
from .socketio.packets import Prepared
from .socketio.registry import Registry
from .socketio.resume import IoStore
from .socketio.server import Server
from .store.control import Control, Row
from .store.history import Draft, History, Stored, StoreUnavailable
from .wire.envelope import Envelope, Identity, MessageType, direct_room
from .wire.errors import FAILURES, ChatError, CloseCode

log = logging.getLogger("chat")

#: Descriptors that the rest of the process may need beside the parked sockets.
SPARE_DESCRIPTORS = 200
#: Seconds after which a newcomer has a row in the users' table, whoever made the token.
REMEMBER_AFTER = 0.25
#: Milliseconds for which rows of the control table are kept, and how many looks pass between two prunings.
CONTROL_KEEP_MS = 3_600_000
PRUNE_EVERY = 1_200
#: Seconds between the hint that something is in the control table and the look.
LOOK_PAUSE = 0.01
#: Seconds that the last hint has to go out.
GOODBYE = 0.1

#: Seconds from the start to the first look for messages that are too old, and between two looks; a day in ms.
PRUNE_AFTER, PRUNE_INTERVAL = 5.0, 3_600.0
DAY_MS = 86_400_000

Announce = Callable[..., None]


class Site:
    """What the running part asks of the site around it; `extension.py` gives it. All but `guard` run outside ticks."""

    def __init__(
        self,
        guard: Guard,
        control: Control,
        history: History,
        commit: Callable[[list[Draft], int], list[Stored | str]],
        announce: Announce,
        receivers: Mapping[str, Mapping[Any, Any]],
        call: Callable[..., Any],
        remember: Callable[..., None],
        note: Callable[[Identity], None],
        mark_read: Callable[[Identity, str, int], dict[str, Any]],
        events: Registry,
        io_store: IoStore | None = None,
        folder_key: Callable[[], bytes] = lambda: os.urandom(32),
        make_broker: Callable[[Driver, int], Broker] = MemoryBroker,
    ) -> None:
        self.guard = guard
        self.control = control
        self.history = history
        #: commit(drafts, origin) is History.append, off the loop.
        self.commit = commit
        #: announce(kind, **facts) sends the signal of that kind.
        self.announce = announce
        #: Who listens to the signal of each kind: empty, and nothing needs to be said.
        self.receivers = receivers
        #: call(function, *args) runs it in an app context and returns what it returns.
        self.call = call
        #: remember(*identities) sees to it that users have rows; note(identity) does where the site makes the tokens.
        self.remember = remember
        self.note = note
        #: mark_read(user, room, seq) notes how far somebody has read, tells the sockets, and returns what holds now.
        self.mark_read = mark_read
        #: The site's own Socket.IO handlers.
        self.events = events
        #: What the store keeps for Socket.IO.
        self.io_store = io_store
        #: What the workers of this site on this machine, and nobody else, know.
        self.folder_key = folder_key
        #: make_broker(driver, origin) is what joins this process with the others.
        self.make_broker = make_broker


class Runtime:
    """The chat of one app while it serves sockets in one process."""

    def __init__(
        self, settings: Settings, site: Site, table: Mapping[int, Handler], last_control: int
    ) -> None:
        self.pid = os.getpid()
        self._settings = settings
        self._site = site
        self._last_control = last_control
        #: Users who have come since rows were last made for those that had none.
        self._newcomers: set[Identity] = set()
        dispatcher = self._dispatcher = Dispatcher(settings, self, dict(table))
        self.hub = Hub(settings, self._log_from_tick, raise_descriptor_limit() - SPARE_DESCRIPTORS)
        dispatcher.hub = self.hub
        self._wire = NativeWire(dispatcher)
        self.hub.on_connected, self.hub.on_disconnected = self._connected, self._disconnected
        self.driver = self.hub.reactor.driver
        self.jobs = Jobs(self.driver, settings.queue_size, _log_failed_job)
        self.io = Server(self.hub, self.jobs, site.guard, site.events, site.call, site.note)
        self._sweeper = Sweeper(self.hub)
        self.group_commit = GroupCommit(self.hub, self.driver, site.history, site.commit, self.message_sent)
        self.io_engine = Engine(
            self.hub,
            settings,
            self.io,
            lambda said: self._log_from_tick(said, None),
            self.group_commit.origin,
        )
        self.io_forwarding = ForwardingClient(self.io_engine, lambda: WorkerDirectory(site.folder_key()))
        self._drain = Drain(self.hub, self.group_commit.progress)
        self._arrivals = Joining(self.hub, self.driver, site.history, self.io.save_joins)
        if settings.io_chat_namespace:
            self.io.recovery.follow(self.group_commit)
            self.io.serve_chat(dispatcher, site.io_store, site.history, self._arrivals.open_rooms)
        self.broker = site.make_broker(self.driver, self.group_commit.origin)
        self.cluster: ClusterPeers | None = None
        self._look = self.driver.event()
        if not self.broker.alone:
            self.cluster = ClusterPeers(self.hub, self.group_commit, self.broker, self._look.set, self._told)
            queries = OffsetQueries(self.hub, self.io.recovery, settings.io_chat_namespace)
            self.cluster.answers(DELIVERED, queries.delivered)
        self.group_commit.start()
        self._arrivals.start()
        if self.cluster is not None:
            self.cluster.begin()
        self.driver.background(self._watch_control)
        if settings.retention_days:
            self.driver.background(self._prune)

    # ---- coming in ---------------------------------------------------------------------------------------------

    def admit(
        self, taken: Taken, verdict: Grant | ChatError, path: str, lobby: bool = True, **traits: Any
    ) -> None:
        """Park a socket and let its client in, or tell it why not; from any thread outside a tick.

        `lobby` says whether it is in the lobby from the start. `traits` are attributes of the Client: address,
        language, diff, extended.
        """
        self.hub.reactor.call(self._admit, taken, verdict, lobby, traits)
        # In one job's run with the others of a rush: the first thing logged in a greenlet is dear.
        self.jobs.put("log", _log_entry, traits.get("address"), path, verdict)

    def _admit(self, taken: Taken, verdict: Grant | ChatError, lobby: bool, traits: dict[str, Any]) -> None:
        hub = self.hub
        client = hub.park(taken, self._wire)
        for name, value in traits.items():
            setattr(client, name, value)
        try:
            if isinstance(verdict, ChatError):
                raise verdict
            if hub.draining:
                client.close(CloseCode.RESTARTING)
                return
            self._site.guard.confirm(verdict)  # a kick may have come since the token was checked
            client.expires, client.issued = verdict.expires, verdict.issued
            hub.admit(client, verdict.identity, lobby=lobby)
        except ChatError as error:
            hub.refuse(client, error)
        except Exception as error:
            hub.reactor.fail(client, error)
        hub.feed(client, taken.early)

    # ---- what handlers ask for (handlers.Outside) -----------------------------------------------------------------

    def renew(self, client: Member, envelope: Envelope) -> None:
        """Check a fresh token outside the tick: a site's own claims loader may look into its database."""
        # A queue of its own: site code that is busy with what this client said must not let its token end.
        if not self.jobs.put((client, "renew"), self._check_renewal, client, envelope):
            raise ChatError("rate_limited", envelope.id)

    def _check_renewal(self, client: Member, envelope: Envelope) -> None:
        verdict: Grant | ChatError
        try:
            assert envelope.data is not None
            verdict = self._site.guard.check(envelope.data)
        except ChatError as error:
            verdict = error
        self.hub.reactor.call_soon(self._renewed, client, verdict, envelope)

    def _renewed(self, client: Member, verdict: Grant | ChatError, envelope: Envelope) -> None:
        client = client.current
        if client.closing or client.user is None:
            return
        if isinstance(verdict, Grant) and verdict.identity.id != client.user.id:
            verdict = ChatError("token_mismatch")
        if isinstance(verdict, ChatError):
            verdict.ref, verdict.reply = envelope.id, envelope.reply
            self.hub.refuse(client, verdict)
            return
        client.expires, client.issued = verdict.expires, verdict.issued
        expires_ms = None if math.isinf(verdict.expires) else int(verdict.expires * 1000)
        client.enqueue(client.wire.codec.renewed(expires_ms, envelope.reply))

    def store(self, envelope: Envelope, chosen: bool) -> None:
        """Have a message stored, then acknowledged and delivered."""
        self.group_commit.put(envelope, chosen)

    def join(self, client: Member, envelope: Envelope) -> None:
        """Let a client into a room, having told it what it missed."""
        self._arrivals.put(client, envelope)

    def leave(self, client: Member, envelope: Envelope) -> None:
        """Let a client hear a room no more, and tell it so."""
        assert envelope.room is not None
        self.unsubscribe(client, envelope.room)
        reply = envelope.reply if isinstance(envelope.reply, int) else None
        client.enqueue(
            client.wire.codec.notice(MessageType.LEAVE, {"room": envelope.room}, envelope.id, reply)
        )

    def unsubscribe(self, client: Member, room: str) -> None:
        """Let a client hear a room no more."""
        self._arrivals.cancel(client, room)
        found = self.hub.room(room)
        if found is not None:
            self.hub.leave_room(client, found)

    def read(self, client: Member, envelope: Envelope) -> None:
        """Note how far a user has read, and tell the user's sockets."""
        if not self.jobs.put((client, "read"), self._mark_read, client, envelope):
            raise ChatError("rate_limited", envelope.id)

    def _mark_read(self, client: Member, envelope: Envelope) -> None:
        assert client.user is not None and envelope.room is not None and envelope.seq is not None
        try:
            read = self._site.mark_read(client.user, envelope.room, envelope.seq)
        except (ChatError, StoreUnavailable) as error:
            code = error.code if isinstance(error, ChatError) else "store_unavailable"
            self.hub.reactor.call_soon(self._refuse, client, code, envelope)
            return
        if isinstance(envelope.reply, int):
            self.hub.reactor.call_soon(self._answer_read, client, envelope, read)

    def _answer_read(self, client: Member, envelope: Envelope, read: dict[str, Any]) -> None:
        member = client.current
        reply = envelope.reply
        if not member.closing and isinstance(reply, int):
            member.enqueue(member.wire.codec.notice(MessageType.READ, read, envelope.id, reply))

    def _refuse(self, client: Member, code: str, envelope: Envelope) -> None:
        error = ChatError(code, envelope.id)
        error.reply = envelope.reply if isinstance(envelope.reply, int) else None
        if not client.current.closing:
            self.hub.refuse(client.current, error)

    def message_sent(self, client: Member | None, envelope: Envelope) -> None:
        """Tell the site of a message, if it listens; what the house says itself it knows."""
        if client is not None and self._site.receivers["message"]:
            self._announce(
                client,
                "message",
                identity=envelope.user,
                room=envelope.room,
                to=envelope.to,
                text=envelope.data,
                id=envelope.id,
                seq=envelope.seq,
                ts=envelope.ts,
            )

    def _connected(self, client: Member) -> None:
        assert client.user is not None
        if not self._newcomers:
            self.hub.reactor.call_later(REMEMBER_AFTER, self._remember)
        self._newcomers.add(client.user)
        if self._site.receivers["connect"]:
            self._announce(client, "connect", identity=client.user)

    def _remember(self) -> None:
        newcomers, self._newcomers = self._newcomers, set()
        self.jobs.put_last("remember", self._site.remember, *newcomers)

    def _disconnected(self, client: Member) -> None:
        if self._site.receivers["disconnect"]:
            self._announce(client, "disconnect", identity=client.user, code=client.close_code)

    def _announce(self, client: Member, kind: str, **facts: Any) -> None:
        if not self.jobs.put(client, self._call_site, kind, facts):
            self._log_from_tick(f"a signal ({kind}) was dropped: its session's queue is full", None)

    def _call_site(self, kind: str, facts: dict[str, Any]) -> None:
        self._site.announce(kind, **facts)

    # ---- what the site says ------------------------------------------------------------------------------------

    def send(self, envelope: Envelope, is_news: bool = True) -> str | None:
        """Say something as the house; return once it is stored and said, with the code of an error or None.

        `is_news` tells whether other processes have to be told, where it is not stored. From any thread, but not from
        a tick.
        """
        done = self.driver.one_shot_event()
        results: list[str | None] = []

        def answer(result: Stored | str) -> None:
            results.append(result if isinstance(result, str) else None)
            done.set()

        self.hub.reactor.call(self._say, envelope, answer, is_news)
        done.wait(None)
        return results[0]

    def _say(self, envelope: Envelope, answer: Callable[[Any], None], is_news: bool) -> None:
        envelope.id = self.hub.new_id()
        if self._say_ephemeral(envelope, is_news):
            answer(None)
            return
        try:
            self.group_commit.put(envelope, False, answer)
        except ChatError as error:
            answer(error.code)

    def _say_ephemeral(self, envelope: Envelope, is_news: bool) -> bool:
        hub, settings = self.hub, self._settings
        if envelope.type == MessageType.SINGLE_CHAT:
            receiver = hub.find_identity(envelope.to or "")
            if receiver is not None:
                envelope.to_id, envelope.to = receiver
                envelope.room = direct_room("", envelope.to_id)
            if not self._dispatcher.is_ephemeral_direct(envelope.room):
                return False
            hub.direct_dedupe.register(envelope)
            hub.send_direct(envelope)
            if is_news:
                hub.peers.publish_ephemeral(envelope)
            return True
        room = hub.room(envelope.room)
        if room is not None and room.dedupe is not None:
            room.dedupe.register(envelope)
            room.broadcast(envelope)
        is_ephemeral = room.ephemeral if room is not None else settings.is_ephemeral(envelope.room or "")
        if is_news and is_ephemeral:
            envelope.ts = envelope.ts or now_ms()
            hub.peers.publish_ephemeral(envelope)
        return is_ephemeral

    def emit(self, namespace: str, room: str | None, said: Prepared, skip: Any) -> None:
        """Send an event of the site over Socket.IO, on all processes; from any thread."""
        self.io.run(self.io.emit, namespace, room, said, skip)
        if self.cluster is not None:
            self.cluster.tell("io", namespace, room, *said.as_texts())

    def _told(self, kind: str, parts: list[Any]) -> None:
        if kind == "io":
            namespace, room, *texts = parts
            self.io.emit(namespace, room, Prepared.of_texts(*texts), None)

    @property
    def broker_state(self) -> str:
        """up, down, or none where this process is the only one."""
        return "none" if self.broker.alone else "up" if self.broker.is_up else "down"

    def wake_control_pollers(self) -> None:
        """Tell the other processes that there is something in the control table; from any thread."""
        if self.cluster is not None:
            self.cluster.tell_to_look()

    def roster(self, room: str) -> list[Identity]:
        """Return the users in `room`, on all processes; from any thread, but not from a tick."""
        if self.cluster is None or self.hub.room(room) is not None:
            return self.hub.members(room)
        return self.cluster.ask_roster(room)

    # ---- control: the same whether it comes from this process or from the table ------------------------------------

    def revoke(self, user_id: str, at_ms: int, failure: str) -> None:
        """Close this user's sockets whose token is older than `at_ms`; `failure` names the Error that they get."""
        self._site.guard.revoke(user_id, at_ms)
        self.hub.reactor.call(self._close_older, user_id, at_ms, failure)

    def _close_older(self, user_id: str, at_ms: int, failure: str) -> None:
        user = self.hub.user(user_id)
        error = ChatError(failure if failure in FAILURES else "token_invalid")
        for client in list(user.clients) if user is not None else ():
            if client.issued <= at_ms:
                client.enqueue(client.wire.codec.error(error, client.language))
                client.close(error.failure.close or CloseCode.TOKEN)
        self.io.expel(user_id, at_ms)

    def unsubscribe_user(self, user_id: str, room_name: str) -> None:
        """Let a user's sockets hear a room no more; from any thread."""
        self.hub.reactor.call(self._unsubscribe_user, user_id, room_name)

    def _unsubscribe_user(self, user_id: str, room_name: str) -> None:
        user, room = self.hub.user(user_id), self.hub.room(room_name)
        if user is None or room is self.hub.lobby:
            return
        for client in list(user.clients):
            # A Join under way may have asked for the right while there still was one.
            stopped = self._arrivals.cancel(client, room_name)
            if (room is not None and self.hub.leave_room(client, room)) or stopped:
                client.enqueue(client.wire.codec.notice(MessageType.LEAVE, {"room": room_name}))
                self.io.removed(client, room_name)

    def push_to_user(self, user_id: str, kind: int, fields: dict[str, Any]) -> None:
        """Send a message about a room to a user's extended sockets; from any thread."""
        self.hub.reactor.call(self.hub.send_to_user, user_id, kind, fields)

    def _watch_control(self) -> None:
        looks = 0
        while True:
            if self._look.wait(self._settings.control_interval):
                self.driver.sleep(LOOK_PAUSE)  # for what is written in the same moment
                self._look.clear()
            looks += 1
            try:
                for row in self._site.control.after(self._last_control):
                    self._last_control = row.id
                    self._try_to_obey(row)
                if looks % PRUNE_EVERY == 0:
                    self._site.control.prune(now_ms() - CONTROL_KEEP_MS)
            except Exception:
                # A database that is away comes back.
                log.exception("the control table could not be read")
                self.driver.sleep(5 * self._settings.control_interval)

    def _prune(self) -> None:
        """Delete what is older than CHAT_RETENTION_DAYS, soon after the start and then every hour."""
        self.driver.sleep(PRUNE_AFTER)
        while True:
            try:
                count = self._site.history.prune_all(now_ms() - int(self._settings.retention_days * DAY_MS))
                if count:
                    log.info("%d messages are older than CHAT_RETENTION_DAYS, and deleted", count)
            except Exception as error:
                log.error("old messages could not be deleted: %s", error)
            self.driver.sleep(PRUNE_INTERVAL)

    def _try_to_obey(self, row: Row) -> None:
        try:
            self._obey(row)
        except Exception:
            # Another version's, perhaps: those behind it must not wait.
            log.exception("row %d of the control table makes no sense", row.id)

    def _obey(self, row: Row) -> None:
        payload = row.payload
        if row.kind == "revoke":
            self.revoke(payload["user_id"], payload["at"], payload.get("failure", "token_invalid"))
        elif row.kind == "ban":
            self._site.guard.ban(payload["user_id"])
        elif row.kind == "unban":
            self._site.guard.unban(payload["user_id"])
        elif row.kind == "send":
            self.send(Envelope(MessageType.GROUP_CHAT, payload["text"], payload["room"]), is_news=False)
        elif row.kind == "direct":
            self.send(Envelope(MessageType.SINGLE_CHAT, payload["text"], None, payload["to"]), is_news=False)
        elif row.kind == "removed" and payload["origin"] != self.group_commit.origin:
            self.unsubscribe_user(payload["user_id"], payload["room"])
        elif row.kind == "tell" and payload["origin"] != self.group_commit.origin:
            self.push_to_user(payload["user_id"], payload["type"], payload["fields"])
        elif row.kind == "io_emit":
            said = Prepared(payload["said"].encode(), [])
            self.io.run(self.io.emit, payload["namespace"], payload["room"], said, None)
        elif row.kind == "who":
            users = [user._asdict() for user in self.roster(payload["room"])]
            self._site.control.post("who_reply", {"nonce": payload["nonce"], "users": users})

    # ---- the end -----------------------------------------------------------------------------------------------

    def begin_drain(self, seconds: float | None = None) -> None:
        """Have everyone closed with 1012 within `seconds` (CHAT_DRAIN_SECONDS) and nobody admitted any more.

        It returns at once, and is safe in a signal handler.
        """
        self._drain.start(self._settings.drain_seconds if seconds is None else seconds)
        self.hub.reactor.call_soon(self.io_forwarding.release_polls)

    def finish_drain(self, seconds: float) -> bool:
        """Wait until everyone has gone, `seconds` after the drain began at the most; True when all have.

        The process is to end after it.
        """
        if not self.hub.draining:
            self.begin_drain()
        has_gone = self._drain.wait(seconds)
        self._say_goodbye()
        self.driver.end()
        return has_gone

    def drain(self, seconds: float) -> bool:
        """Close everyone with 1012 and wait until all have gone, `seconds` at the most; True when all have."""
        self.begin_drain(min(seconds / 2, self._settings.drain_seconds))
        has_gone = self._drain.wait(seconds)
        self._say_goodbye()
        return has_gone

    def _say_goodbye(self) -> None:
        """Have the other processes know at once that nobody is here any more."""
        if self.cluster is not None:
            self.cluster.end()
            self.driver.sleep(GOODBYE)

    def drain_at_exit(self) -> None:
        """Say 1012 to whoever is still there while the interpreter ends: the loop may turn no more."""
        self.io_forwarding.close()
        if not self.hub.draining and self.driver.is_loop_thread():
            self.hub.drain()
            self.hub.flush()
        elif not self.hub.draining:
            with contextlib.suppress(Exception):
                self.drain(1.0)

    def _log_from_tick(self, message: str, error: BaseException | None) -> None:
        # A handler's lock may be held by somebody who waits for this very loop: logging is a job like any other.
        self.jobs.put("log", _log_error, message, error)


def _log_entry(address: str, path: str, verdict: Grant | ChatError) -> None:
    outcome = verdict.code if isinstance(verdict, ChatError) else f"user {verdict.identity.id}"
    log.info('%s "GET %s" 101 %s', address, path, outcome)


def _log_error(message: str, error: BaseException | None) -> None:
    log.error(message, exc_info=error)


def _log_failed_job(error: BaseException) -> None:
    log.error("site code failed", exc_info=error)


def raise_descriptor_limit() -> int:
    """Raise this process's soft limit of open files to its hard one, and return it."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        with contextlib.suppress(ValueError, OSError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return resource.getrlimit(resource.RLIMIT_NOFILE)[0]
