"""Flask-Chat: realtime chat for a Flask site.

The names below are imported at first use: a script that checks the settings needs neither Flask nor SQLAlchemy.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from . import signals
    from .config import ConfigError
    from .extension import Chat
    from .identity.names import BadName, NameTaken
    from .identity.passwords import BadPassword, Passwords
    from .service import AmbiguousUser, ChatService, UnknownRoom, UnknownUser
    from .socketio.answers import AckTimeout, Answers
    from .socketio.handshake import Handshake
    from .socketio.registry import NO_ACK, ConnectRefused
    from .store.history import RoomTaken, StoreUnavailable
    from .store.site_migrations import include_object
    from .store.user import User
    from .wire.envelope import Envelope, Identity, MessageType
    from .wire.errors import ChatError

__version__ = "0.1.0"

__all__ = [
    "NO_ACK",
    "AckTimeout",
    "AmbiguousUser",
    "Answers",
    "BadName",
    "BadPassword",
    "Chat",
    "ChatError",
    "ChatService",
    "ConfigError",
    "ConnectRefused",
    "Envelope",
    "Handshake",
    "Identity",
    "MessageType",
    "NameTaken",
    "Passwords",
    "RoomTaken",
    "StoreUnavailable",
    "UnknownRoom",
    "UnknownUser",
    "User",
    "include_object",
    "signals",
]

#: The module of each public name.
_MODULES = {
    name: module
    for module, names in {
        "config": ("ConfigError",),
        "extension": ("Chat",),
        "identity.names": ("BadName", "NameTaken"),
        "identity.passwords": ("BadPassword", "Passwords"),
        "service": ("AmbiguousUser", "ChatService", "UnknownRoom", "UnknownUser"),
        "socketio.answers": ("AckTimeout", "Answers"),
        "socketio.handshake": ("Handshake",),
        "socketio.registry": ("NO_ACK", "ConnectRefused"),
        "store.history": ("RoomTaken", "StoreUnavailable"),
        "store.site_migrations": ("include_object",),
        "store.user": ("User",),
        "wire.envelope": ("Envelope", "Identity", "MessageType"),
        "wire.errors": ("ChatError",),
    }.items()
    for name in names
}


def __getattr__(name: str) -> Any:
    """Import a public name at its first use."""
    if name == "signals":
        return import_module(".signals", __name__)
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = globals()[name] = getattr(import_module(f".{_MODULES[name]}", __name__), name)
    return value


def __dir__() -> list[str]:
    return sorted(globals() | dict.fromkeys(__all__))
