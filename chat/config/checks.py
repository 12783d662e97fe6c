"""Checks of the settings that need more than a type: ranges, URLs, origins, Socket.IO."""

from __future__ import annotations

import re
from dataclasses import fields

from .database_url import check_database_url
from .errors import PREFIX, ConfigError
from .origins import parse_setting
from .settings import Settings

#: The least value of each key for which it is not 0.
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
    "receive_timeout": 0.1,
    "send_timeout": 0.1,
    "max_requests_per_ip": 1,
    "outbox_bytes": 65_536,
    "outbox_seconds": 0.1,
    "queue_size": 1,
    "control_interval": 0.05,
    "compare_interval": 0.05,
    "max_rooms_per_client": 1,
    "api_burst": 1,
    "api_burst_per_ip": 1,
    "worker_lease": 1,
}


def check(settings: Settings) -> None:
    """Raise ConfigError for a value that cannot be used."""
    for field in fields(Settings):
        value = getattr(settings, field.name)
        least = _LEAST.get(field.name, 0)
        if isinstance(value, int | float) and value < least:
            raise ConfigError(f"{PREFIX}{field.name.upper()} is {value}. Set it to {least} or more.")
    if settings.database_url:
        check_database_url(settings.database_url)
    for origin in settings.allowed_origins:
        _check_origin(origin)
    if settings.assets not in ("built", "source"):
        raise ConfigError(f"CHAT_ASSETS is {settings.assets!r}. Set it to built or source.")
    if settings.invitations not in ("ask", "direct"):
        raise ConfigError(f"CHAT_INVITATIONS is {settings.invitations!r}. Set it to ask or direct.")
    if settings.home and not re.match("/|https?://", settings.home):
        raise ConfigError(
            f"CHAT_HOME is {settings.home!r}. Set it to a path such as /start, or https://host/path."
        )
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
            f"CHAT_IO_CHAT_NAMESPACE is {settings.io_chat_namespace!r}. It must begin with a slash."
        )
    if not re.fullmatch("[A-Za-z0-9]{0,16}", settings.node):
        raise ConfigError(f"CHAT_NODE is {settings.node!r}. Set it to at most 16 letters and digits.")


def _check_origin(origin: str) -> None:
    if origin != "*" and parse_setting(origin) is None:
        raise ConfigError(
            f"CHAT_ALLOWED_ORIGINS holds {origin!r}. Write origins as https://host or https://host:port, or * for any."
        )
