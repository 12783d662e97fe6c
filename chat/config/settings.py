"""Every CHAT_* setting: its default, its unit, its meaning."""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """The chat's configuration for one app, read once when the app is created."""

    #: The database of users, rooms and messages, as an SQLAlchemy URL. Empty: chat.db in the app's instance folder.
    database_url: str = ""
    #: The Redis (6.2 or newer) or Valkey that connects workers and machines: redis://host:6379/0. Empty: one worker.
    redis_url: str = ""
    #: The prefix of the chat's channels and keys in Redis. Sites that share a Redis need one each.
    redis_prefix: str = "chat"
    #: Seconds of silence after which a worker counts as dead and its users leave all rosters.
    worker_lease: float = 15.0
    #: Seconds over which a worker that was told to stop closes its connections; less than the server's graceful
    #: timeout.
    drain_seconds: float = 5.0
    #: Whether new users may register on the reference site.
    registration: bool = True
    #: The number of proxies in front of the app that are trusted for the client's address, host and scheme.
    trusted_proxies: int = 0
    #: Browser origins that may connect, in addition to the site's own: `https://other.example`, a list; `*` for any.
    allowed_origins: tuple[str, ...] = ()
    #: Lifetime of a socket token in seconds. Pages renew theirs in time.
    token_ttl: int = 900
    #: The endpoint of the site's log-in view. The chat page redirects visitors who are not logged in to it. Empty:
    #: Flask-Login's `login_view`, else `security.login`, `auth.login` or `login`.
    login_endpoint: str = ""
    #: Where the chat page's link back to the site leads: a path or an https:// address. Empty: the site's start page.
    home: str = ""
    #: The site's name in that link. Empty: its host name.
    site_name: str = ""

    #: Whether Chat(app) migrates the chat's tables at start. 0 leaves this to `flask chat db upgrade`.
    upgrade_at_start: bool = True
    #: The scripts and styles that pages load: `built` (by `make assets`), or `source`, the modules, for development.
    assets: str = "built"
    #: The Content-Security-Policy of the chat's own pages, for sites that override its templates. Empty: a strict one.
    content_security_policy: str = ""

    #: Whether GET /chat/metrics serves Prometheus metrics. The endpoint has no access control.
    metrics: bool = False
    #: Whether /chat/healthz and /chat/metrics are also at /healthz and /metrics, whatever the chat's prefix.
    root_health: bool = False
    #: A port on 127.0.0.1 that serves the metrics instead. Each further worker takes the next free port. 0 for none.
    metrics_port: int = 0

    #: Maximum number of characters in the `data` of one message.
    max_message_chars: int = 10_000
    #: Maximum size of one WebSocket message in bytes, all fragments together. A larger one closes the socket with 1009.
    max_message_bytes: int = 131_072
    #: Rooms that store nothing: no `seq`, delivery at most once. Names or patterns (`typing-*`), a list.
    ephemeral_rooms: tuple[str, ...] = ()

    #: Maximum number of missed messages that a client is sent when it resumes. A client that missed more reads the
    #: history.
    replay_max: int = 1_000
    #: Rooms that one socket may be in at the same time.
    max_rooms_per_client: int = 100
    #: Whether users may create rooms.
    create_rooms: bool = True
    #: Rooms that one user may create.
    max_rooms_created: int = 100
    #: What an invitation to a room does: `ask`, the invited user accepts or declines it; `direct`, the user is a member
    #: at once.
    invitations: str = "ask"
    #: Invitations of one user that may wait for an answer at the same time.
    invitations_open: int = 100
    #: Invitations that one user may send in an hour.
    invitations_per_hour: int = 60
    #: Names that nobody may register and no room may be given, beside the chat's own (admin, everyone, 管理员, …), a
    #: list.
    reserved_names: tuple[str, ...] = ()
    #: Days for which messages are kept; 0 keeps them for ever.
    retention_days: float = 0.0
    #: Seconds between two checks for messages that other processes have stored.
    compare_interval: float = 1.0

    #: Seconds that a user stays in the roster after the last socket has closed, so that a page reload does not flicker.
    roster_grace: float = 3.0
    #: Bytes per second that the roster pushes of one room may take, over all its members.
    roster_bytes_per_s: int = 20_000_000

    #: Seconds of silence after which the server pings a client.
    ping_interval: float = 25.0
    #: Seconds that a pinged client has to send anything at all.
    ping_timeout: float = 20.0
    #: Seconds that a client has to finish a message that it has begun.
    message_timeout: float = 30.0

    #: Whether Socket.IO clients are served.
    io: bool = True
    #: The path of the Socket.IO endpoint, below the chat's own prefix.
    io_path: str = "/socket.io"
    #: The transports that Socket.IO clients may use.
    io_transports: tuple[str, ...] = ("polling", "websocket")
    #: Seconds between two Engine.IO heartbeats.
    io_ping_interval: float = 25.0
    #: Seconds that a client has to answer an Engine.IO heartbeat.
    io_ping_timeout: float = 20.0
    #: Seconds in which a Socket.IO client must have connected to a namespace.
    io_connect_timeout: float = 45.0
    #: Seconds after a disconnect in which a client can recover its state and the events that it missed; 0 turns
    #: recovery off.
    io_recovery_seconds: float = 120.0
    #: The Socket.IO namespace of the chat. Empty: the chat is served to raw WebSockets only.
    io_chat_namespace: str = "/"
    #: The prefix of the Socket.IO session ids that this machine creates, by which a proxy finds the machine: letters
    #: and digits.
    node: str = ""

    #: Messages per second that one user may send, over all sockets; 0 removes the limit.
    rate_limit: float = 20.0
    #: Messages that a user may send at once before the rate limit applies.
    rate_burst: int = 60
    #: Consecutive refused messages after which a flooding client is closed with 4429.
    flood_limit: int = 100

    #: Bytes that one user may store a day (UTC): the texts in UTF-8 and 200 bytes for each message; 0 for no limit.
    store_quota: int = 50_000_000
    #: Requests per second to the JSON API that one user may make of one worker; 0 removes the limit.
    api_rate: float = 20.0
    #: Requests that a user may make at once before that rate applies.
    api_burst: int = 200
    #: The same for all requests from one address (IPv6: from one /64), with or without a valid token; 0 for no limit.
    api_rate_per_ip: float = 100.0
    #: Requests that may come from an address at once before that rate applies.
    api_burst_per_ip: int = 1_000
    #: Seconds after which a search ends with an error; 0 for no limit.
    search_seconds: float = 2.0

    #: Sockets in total; never more than the process's descriptor limit minus 200.
    max_connections: int = 10_000
    #: Sockets of one user.
    max_connections_per_user: int = 20
    #: Sockets from one address (IPv6: from one /64). An address may open a fifth of this number a second, and twice
    #: this number at once.
    max_connections_per_ip: int = 200

    #: Seconds that a client has to send the head of a request, and from then on its body.
    receive_timeout: float = 15.0
    #: Seconds after which a response ends of which its client takes nothing.
    send_timeout: float = 20.0
    #: Requests from one address (IPv6: one /64) to one worker that are being received or sent at the same time; at most
    #: three quarters of what the worker serves at a time. A request that waits for the site does not count.
    max_requests_per_ip: int = 200

    #: Bytes that may wait for a client that reads too slowly. More closes the socket with 4408.
    outbox_bytes: int = 4_194_304
    #: Seconds that bytes may wait for such a client.
    outbox_seconds: float = 20.0

    #: Signals and other calls of site code that may wait for one session. Further ones are dropped and logged.
    queue_size: int = 1_000
    #: Seconds between two reads of the control table (kick, ban, log-out, emit, unstored messages of other processes).
    control_interval: float = 0.5

    def is_ephemeral(self, room: str) -> bool:
        """Return whether `room` stores nothing, by the name or pattern in CHAT_EPHEMERAL_ROOMS."""
        return bool(self.ephemeral_rooms) and _matcher(self.ephemeral_rooms)(room) is not None


@lru_cache
def _matcher(patterns: tuple[str, ...]) -> Callable[[str], object]:
    return re.compile("|".join(map(fnmatch.translate, patterns))).match
