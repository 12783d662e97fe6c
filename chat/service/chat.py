"""ChatService: the parts of one app's chat, and the methods that a site calls."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

from flask import Flask, has_request_context

from ..cluster.broker import make_broker
from ..config import Settings
from ..identity.guard import Guard
from ..loop.pools import Pool
from ..rooms.dispatcher import Handler
from ..rooms.handlers import HANDLERS
from ..rooms.rate import connect_rate
from ..runtime import Runtime, Site, StoreAccess, WorkerLinks
from ..runtime.control import SESSION_END
from ..socketio.io import IO
from ..socketio.registry import Registry
from ..socketio.resume import IoStore
from ..store.history import History, RoomRow
from ..wire.envelope import Identity
from .accounts import AccountMethods
from .bans import Bans
from .control import ControlRequests
from .database import choose_url, may_change
from .draining import DrainMethods
from .hooks import AppHooks
from .identities import Identities
from .invitations import InvitationService
from .io_clients import IOClients
from .log_in_sessions import LogInSessions
from .login import LoginView
from .logouts import LogOutSignals
from .messages import SystemMessages
from .process import Processes
from .rooms import RoomService
from .searches import Searches
from .stores import Stores

if TYPE_CHECKING:
    from ..store.control import Control
    from ..store.users import Users


class ChatService(AccountMethods, DrainMethods):
    """One app's chat. Every method may be called from any view, thread or script."""

    def __init__(self, app: Flask, settings: Settings, name: str = "chat") -> None:
        self.app = app
        #: The name of the chat's blueprint, with which its endpoints begin, and of its command.
        self.name = name
        self.settings = settings
        self._processes = Processes(self._make_runtime)
        #: run_hashing(function, *args) returns `function(*args)`, which hashes a password, run in the pool for that.
        self.run_hashing = partial(self._processes.run_in, Pool.PASSWORDS)
        choose = partial(choose_url, app, settings)
        self.stores = Stores(choose, settings, self.run_blocking, self._processes.run_in)
        #: Searches messages for users, a few at a time.
        self.searches = Searches(self.stores)
        self.identities = Identities(app, self.stores, settings.token_ttl)
        #: Returns the headers that the site's own protection wants on the page's requests.
        self.load_token_headers: Callable[[], Mapping[str, str]] = dict
        #: Returns the site's link at which a user may choose a new password for so many hours; None if it has none.
        self.load_reset_link: Callable[[Identity, float], str] | None = None
        #: Where visitors who are not logged in are sent.
        self.login = LoginView(app, settings.login_endpoint)
        self._control = ControlRequests(self.stores, self._processes)
        self._messages = SystemMessages(settings, self.stores, self._processes, self._control)
        #: How fast one address may open connections.
        self.connects = connect_rate(settings.max_connections_per_ip)
        #: Rooms, read marks, and the notices about them.
        self.rooms = RoomService(self.stores, self._processes, self._control)
        #: Invitations to rooms.
        self.invitations = InvitationService(settings, self.stores, self.rooms, self._messages)
        self._bans = Bans(self.guard, self.stores, self._processes, self._control)
        #: The log-in sessions of the site, and their ends.
        self.log_ins = LogInSessions(self.identities, self._bans, self.stores)
        #: Hears the log-outs that the site's extensions announce.
        self.log_out_signals = LogOutSignals(app, self.log_ins.log_out, self.log_ins.revoke_site_user)
        self.log_out_signals.listen()
        #: {type: handler} of this app alone; add to it before the first socket.
        self.handlers: dict[int, Handler] = dict(HANDLERS)
        self.events = Registry()
        #: The site's own events over Socket.IO.
        self.io = IO(lambda: [self.events], lambda: self.io_clients)
        #: Those that its methods reach.
        self.io_clients = IOClients(self._processes, self._control)
        #: Called once in each process, before its runtime is created.
        self.before_start: list[Callable[[], object]] = []

    # ---- the store -----------------------------------------------------------------------------------------------

    def open_at_start(self) -> None:
        """Open the database, so that what is wrong with it stops the start; not yet where a test may replace it."""
        if not may_change(self.app, self.settings):
            self.stores.open()

    @property
    def database_url(self) -> str:
        """The database's URL, decided when it is first needed: CHAT_DATABASE_URL, a temporary file's, or chat.db's."""
        return self.stores.url

    @property
    def users(self) -> Users:
        """The users' table; each call is one transaction, off the event loop."""
        return self.stores.open().users

    @property
    def history(self) -> History:
        """Rooms, members and messages; its methods block, off the event loop."""
        return self.stores.open().history

    @property
    def control(self) -> Control:
        """The control table, by which processes ask something of each other."""
        return self.stores.open().control

    # ---- the runtime ---------------------------------------------------------------------------------------------

    @property
    def runtime(self) -> Runtime | None:
        """The runtime in this process, None before its first socket."""
        return self._processes.runtime

    def start(self) -> Runtime:
        """Return the runtime, created now if this process has none; not from a tick."""
        return self._processes.start()

    def run_blocking(self, function: Callable[..., Any], *args: Any) -> Any:
        """Return `function(*args)`, run in the thread pool under gevent and directly elsewhere."""
        return self._processes.run_blocking(function, *args)

    def _make_runtime(self) -> Runtime:
        tables = self.stores.open()
        _ = self.stores.site  # so that no token's check in the loop reads it
        last = tables.control.last_id()
        self.guard.load(tables.users.revocations())
        for row in tables.control.of_kind(SESSION_END):
            self.guard.end_session(row.payload["sid"])
        self.log_out_signals.listen()
        for prepare in self.before_start:
            prepare()
        return Runtime(self.settings, self._site(), self.handlers, last)

    def _site(self) -> Site:
        tables, derive = self.stores.open(), self.identities.tokens.derive
        meeting_place = f"flask-chat neighbours {self.database_url} {self.settings.redis_prefix}"
        return Site(
            guard=self.guard,
            hooks=AppHooks(self.app, self.identities, self.rooms),
            store=StoreAccess(
                control=tables.control,
                history=tables.live_history,
                commit=tables.commit,
                socketio=IoStore(
                    tables.io_sessions, tables.io_missed, lambda: derive("flask-chat Socket.IO pid")
                ),
            ),
            events=self.events,
            links=WorkerLinks(
                make_broker=lambda driver, origin: make_broker(self.settings, driver, origin),
                secret=lambda: derive(meeting_place),
            ),
        )

    # ---- identities ----------------------------------------------------------------------------------------------

    @property
    def guard(self) -> Guard:
        """Checks tokens against signatures, revocations and bans."""
        return self.identities.guard

    @property
    def load_identity(self) -> Callable[[], Identity | None]:
        """Returns who is logged in on the current request, or None."""
        return self.identities.load_identity

    @load_identity.setter
    def load_identity(self, loader: Callable[[], Identity | None]) -> None:
        self.identities.load_identity = loader

    @property
    def load_claims(self) -> Callable[[Mapping[str, Any]], Identity] | None:
        """Makes an Identity of the claims of a site's own JWT; None where all tokens are the chat's."""
        return self.identities.load_claims

    @load_claims.setter
    def load_claims(self, loader: Callable[[Mapping[str, Any]], Identity] | None) -> None:
        self.identities.load_claims = loader

    def token_for(self, identity: Identity, ttl: float | None = None, sid: str = "") -> str:
        """Return a JWT that admits `identity` to the chat for `ttl` seconds (CHAT_TOKEN_TTL).

        `sid` is the id of a log-in session, with which the token ends.
        """
        ttl = self.settings.token_ttl if ttl is None else ttl
        return self.identities.tokens.issue(identity, ttl, sid, self.guard.stamp(identity.id))

    def current_identity(self) -> Identity | None:
        """Return who is logged in to the site on this request, with the id and the name as text.

        Raises BadIdentity where the site's loader returned something that the chat cannot use.
        """
        return self.identities.current()

    # ---- messages ------------------------------------------------------------------------------------------------

    def send(self, room: str, text: str) -> None:
        """Send `text` to `room` as a system message; return once it is stored.

        Raises UnknownRoom, StoreUnavailable, and ValueError for a text that is too long. Sockets of other processes
        receive it within a second.
        """
        self._messages.send(room, text)

    def direct(self, to: str | None = None, text: str = "", *, to_id: str | None = None) -> None:
        """Send `text` to the user named `to`, or of the id `to_id`, as a system message.

        A user who is not connected finds it later. Raises UnknownUser, AmbiguousUser, StoreUnavailable, and ValueError
        for a text that is too long.
        """
        self._messages.direct(to, text, to_id)

    # ---- rooms ---------------------------------------------------------------------------------------------------

    def create_room(
        self,
        title: str,
        *,
        private: bool = False,
        creator: Identity | None = None,
        topic: str = "",
        ephemeral: bool = False,
    ) -> RoomRow:
        """Create a room and return it; raise RoomTaken. Its `name` identifies it in messages and URLs.

        A public room's name is its title; a private room's name reveals nothing. `creator` becomes its owner.
        """
        return self.rooms.create(title, private, creator, topic, ephemeral)

    def roster(self, room: str = "lobby") -> list[Identity]:
        """Return the users in `room`: of this process if it serves, else of the servers that answer in 2 s."""
        if self.runtime is not None:
            return self.runtime.roster(room)
        if has_request_context():
            return []
        return self.fetch_roster(room) or []

    def fetch_roster(self, room: str) -> list[Identity] | None:
        """Ask the running servers who is in `room`; return None if none answered in 2 s."""
        return self._control.fetch_roster(room)

    # ---- bans ----------------------------------------------------------------------------------------------------

    def revoke(self, user_id: str, failure: str = "token_invalid") -> None:
        """Close all sockets of this user and refuse the tokens issued until now, on every server."""
        self._bans.revoke(user_id, failure)

    def log_out(self, everywhere: bool = False) -> None:
        """Close the sockets of this request's log-in session and refuse its tokens; `everywhere`, of all its user's.

        Call it in the log-out view, before the log-out. A site with Flask-Login need not: its signal is heard.
        """
        self.log_ins.log_out(everywhere)

    def kick(self, username: str | None = None, *, user_id: str | None = None) -> None:
        """Close this user's sockets with 4403; a new token admits the user again. Raises UnknownUser, AmbiguousUser."""
        self._bans.kick(username, user_id)

    def ban(self, username: str | None = None, *, user_id: str | None = None) -> None:
        """Close this user's sockets with 4403 and refuse the user until `unban`. Raises UnknownUser, AmbiguousUser."""
        self._bans.ban(username, user_id)

    def unban(self, username: str | None = None, *, user_id: str | None = None) -> None:
        """Admit a banned user again. Raises UnknownUser, AmbiguousUser."""
        self._bans.unban(username, user_id)
