"""Every CHAT_* key: its default, its unit, what it is for.

The app's own config wins, the environment fills what it leaves out, the default stands for the rest. A value that
cannot be used stops the start with a sentence (ConfigError).
"""

from __future__ import annotations

import fnmatch
import math
import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from functools import lru_cache
from typing import Any
from urllib.parse import urlsplit

PREFIX = "CHAT_"


class ConfigError(ValueError):
    """A CHAT_* value cannot be used; the message says which, and what to set instead."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """The chat's configuration for one app, read once at its start."""

    #: Where users, rooms and messages live: an SQLAlchemy URL. Empty: chat.db in the app's instance folder.
    database_url: str = ""
    #: The Redis (6.2 or newer) or Valkey that joins workers and machines: redis://host:6379/0. Empty: one worker.
    redis_url: str = ""
    #: What the chat's channels and keys there begin with: sites that share a server need one each.
    redis_prefix: str = "chat"
    #: Seconds after which a worker that is silent is dead, and its users are out of everybody's roster.
    worker_lease: float = 15.0
    #: Seconds over which a worker that is told to stop sends its clients away; less than the server's graceful timeout.
    drain_seconds: float = 5.0
    #: Whether strangers may register on the reference site.
    registration: bool = True
    #: How many proxies in front of the app may be believed about the client's address, host and scheme.
    trusted_proxies: int = 0
    #: Browser origins beside the site's own that may connect: `https://other.example`, a list; `*` for any.
    allowed_origins: tuple[str, ...] = ()
    #: Seconds that a socket token lives; pages renew theirs in time.
    token_ttl: int = 900
    #: The endpoint of the site's log-in view, to which the chat page sends strangers. Empty: Flask-Login's own.
    login_endpoint: str = ""

    #: Whether Chat(app) brings the chat's tables to their newest form; 0 leaves it to `flask chat db upgrade`.
    upgrade_at_start: bool = True
    #: The pages' scripts and styles: `built` by `make assets`, or `source`, the modules one by one, to work on them.
    assets: str = "built"
    #: The Content-Security-Policy of the chat's own pages, for sites that override its templates. Empty: a strict one.
    content_security_policy: str = ""

    #: Whether GET /metrics shows what Prometheus reads, to anybody who asks.
    metrics: bool = False
    #: The port on 127.0.0.1 that shows it instead; of several workers each takes the next free one. 0 for none.
    metrics_port: int = 0

    #: Characters that the `data` of one message may have.
    max_message_chars: int = 10_000
    #: Bytes that one WebSocket message may have, its fragments together; beyond it the socket closes with 1009.
    max_message_bytes: int = 131_072
    #: Rooms that keep nothing: no seq, no store, at most once. Names or patterns (`typing-*`), a list.
    ephemeral_rooms: tuple[str, ...] = ()

    #: Messages that a client may have missed and still be sent; who missed more reads the history.
    replay_max: int = 1_000
    #: Rooms that one socket may be in at once.
    max_rooms_per_client: int = 100
    #: Whether users may make rooms.
    create_rooms: bool = True
    #: Rooms that one user may make.
    max_rooms_created: int = 100
    #: Days for which messages are kept; 0 for ever.
    retention_days: float = 0.0
    #: Seconds between two looks for what other processes have stored.
    compare_interval: float = 1.0

    #: Seconds that a user stays in the roster after the last socket went, so that a page reload does not flicker.
    roster_grace: float = 3.0
    #: Bytes a second that the roster pushes of one room may cost, all its members together.
    roster_bytes_per_s: int = 20_000_000

    #: Seconds of silence after which a client is pinged.
    ping_interval: float = 25.0
    #: Seconds that a pinged client has to say anything at all.
    ping_timeout: float = 20.0
    #: Seconds that a client may take to finish a message that it began.
    message_timeout: float = 30.0

    #: Whether Socket.IO clients are served too.
    io: bool = True
    #: Where: below the chat's own prefix.
    io_path: str = "/socket.io"
    #: Transports that they may use.
    io_transports: tuple[str, ...] = ("polling", "websocket")
    #: Seconds between two heartbeats of theirs.
    io_ping_interval: float = 25.0
    #: Seconds for which the answer to a heartbeat is waited for.
    io_ping_timeout: float = 20.0
    #: Seconds in which a client must have connected to a namespace.
    io_connect_timeout: float = 45.0
    #: Seconds after a disconnect in which a client is given back its state and what it missed; 0 for never.
    io_recovery_seconds: float = 120.0
    #: The Socket.IO namespace that the chat is in; empty where the chat is for raw WebSockets only.
    io_chat_namespace: str = "/"
    #: What session ids of Socket.IO made on this machine begin with, so that a proxy can send them back to it: letters
    #: and digits.
    node: str = ""

    #: Messages a second that one user may send, over all sockets; 0 lifts the limit.
    rate_limit: float = 20.0
    #: Messages that a user may send at once before the rate counts.
    rate_burst: int = 60
    #: Refused messages in a row after which a flooding client is closed with 4429.
    flood_limit: int = 100

    #: Sockets in all; never more than the process's descriptor limit less 200.
    max_connections: int = 10_000
    #: Sockets of one user.
    max_connections_per_user: int = 20
    #: Sockets from one address.
    max_connections_per_ip: int = 200

    #: Bytes that may wait for a client that reads too slowly; beyond it the socket closes with 4408.
    outbox_bytes: int = 4_194_304
    #: Seconds that bytes may wait for such a client.
    outbox_seconds: float = 20.0

    #: Signals and other site code that may wait for one session; beyond it they are dropped and logged.
    queue_size: int = 1_000
    #: Seconds between two looks into the control table (kick, ban, log-out, send from another process).
    control_interval: float = 0.5

    def is_ephemeral(self, room: str) -> bool:
        """Tell whether `room` keeps nothing."""
        return bool(self.ephemeral_rooms) and _matcher(self.ephemeral_rooms)(room) is not None


@lru_cache
def _matcher(patterns: tuple[str, ...]) -> Callable[[str], object]:
    return re.compile("|".join(map(fnmatch.translate, patterns))).match


def load(config: Mapping[str, Any], environ: Mapping[str, str] | None = None) -> Settings:
    """Read the settings from an app's config and the environment; raise ConfigError for a value of no use."""
    environ = os.environ if environ is None else environ
    values = {}
    for field in fields(Settings):
        key = PREFIX + field.name.upper()
        raw = config.get(key)
        if raw is None:
            raw = environ.get(key)
        if raw is None:
            continue
        values[field.name] = _read(key, raw, field.type)
    settings = Settings(**values)
    _check(settings)
    return settings


def _read(key: str, raw: Any, kind: Any) -> Any:
    try:
        return _READERS[kind](raw)
    except (TypeError, ValueError) as error:
        raise ConfigError(f"{key} is {raw!r}: {error or 'not usable'}. Set it to {_WANTED[kind]}.") from None


def _bool(raw: Any) -> bool:
    if isinstance(raw, bool):
        return raw
    text = str(raw).strip().lower()
    if text in {"1", "true", "yes", "on"}:
        return True
    if text in {"0", "false", "no", "off", ""}:
        return False
    raise ValueError("neither yes nor no")


def _int(raw: Any) -> int:
    if isinstance(raw, bool):
        raise ValueError("not a number")
    try:
        return int(raw if isinstance(raw, int) else str(raw).strip().replace("_", ""))
    except ValueError:
        raise ValueError("not a whole number") from None


def _float(raw: Any) -> float:
    if isinstance(raw, bool):
        raise ValueError("not a number")
    try:
        value = float(raw)
    except ValueError:
        raise ValueError("not a number") from None
    if not math.isfinite(value):
        raise ValueError("not a finite number")
    return value


def _names(raw: Any) -> tuple[str, ...]:
    parts = raw.replace(",", " ").split() if isinstance(raw, str) else list(raw)
    if not all(isinstance(part, str) for part in parts):
        raise ValueError("not a list of texts")
    return tuple(part.strip() for part in parts if part.strip())


def _str(raw: Any) -> str:
    return str(raw).strip()


_READERS: dict[str, Callable[[Any], Any]] = {
    "bool": _bool,
    "int": _int,
    "float": _float,
    "str": _str,
    "tuple[str, ...]": _names,
}
_WANTED = {
    "bool": "1 or 0",
    "int": "a whole number",
    "float": "a number",
    "str": "a text",
    "tuple[str, ...]": "names separated by commas or spaces",
}

#: The least value that each key can have, where 0 is not it.
_LEAST: dict[str, float] = {
    "token_ttl": 10,
    "max_message_chars": 1,
    "max_message_bytes": 1024,
    "roster_bytes_per_s": 1000,
    "ping_interval": 0.1,
    "ping_timeout": 0.1,
    "message_timeout": 0.1,
    "io_ping_interval": 0.1,
    "io_ping_timeout": 0.1,
    "io_connect_timeout": 0.1,
    "rate_burst": 1,
    "flood_limit": 1,
    "max_connections": 1,
    "max_connections_per_user": 1,
    "max_connections_per_ip": 1,
    "outbox_bytes": 65_536,
    "outbox_seconds": 0.1,
    "queue_size": 1,
    "control_interval": 0.05,
    "compare_interval": 0.05,
    "max_rooms_per_client": 1,
    "worker_lease": 1,
}


def _check(settings: Settings) -> None:
    for field in fields(Settings):
        value = getattr(settings, field.name)
        least = _LEAST.get(field.name, 0)
        if isinstance(value, int | float) and value < least:
            raise ConfigError(f"{PREFIX}{field.name.upper()} is {value}. Set it to {least} or more.")
    for origin in settings.allowed_origins:
        _check_origin(origin)
    if settings.assets not in ("built", "source"):
        raise ConfigError(f"CHAT_ASSETS is {settings.assets!r}. Set it to built or source.")
    _check_redis(settings)
    _check_socketio(settings)


def _check_redis(settings: Settings) -> None:
    if settings.redis_url and not settings.redis_url.startswith(("redis://", "rediss://", "unix://")):
        raise ConfigError("CHAT_REDIS_URL cannot be read. Write redis://host:6379/0, or rediss:// for TLS.")


def _check_socketio(settings: Settings) -> None:
    if not settings.io_path.strip("/"):
        raise ConfigError("CHAT_IO_PATH is empty. Set it to a path such as /socket.io, or CHAT_IO to 0.")
    unknown = set(settings.io_transports) - {"polling", "websocket"}
    if unknown or not settings.io_transports:
        raise ConfigError(
            f"CHAT_IO_TRANSPORTS holds {sorted(unknown)}. Set it to polling, websocket, or both."
        )
    if settings.io_chat_namespace and not settings.io_chat_namespace.startswith("/"):
        raise ConfigError(
            f"CHAT_IO_CHAT_NAMESPACE is {settings.io_chat_namespace!r}. Let it begin with a slash."
        )
    if not re.fullmatch("[A-Za-z0-9]{0,16}", settings.node):
        raise ConfigError(f"CHAT_NODE is {settings.node!r}. Set it to at most 16 letters and digits.")


def _check_origin(origin: str) -> None:
    if origin != "*" and not _is_origin(origin):
        raise ConfigError(
            f"CHAT_ALLOWED_ORIGINS holds {origin!r}. Write origins as https://host or https://host:port, or * for any."
        )


def _is_origin(text: str) -> bool:
    try:
        parts = urlsplit(text)
        # To ask for the port is to have it checked.
        return bool(parts.scheme and parts.hostname and parts.port != 0) and not (
            parts.path.strip("/") or parts.query or parts.fragment
        )
    except ValueError:
        return False
