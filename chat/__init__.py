"""Flask-Chat: realtime chat that drops into a Flask site."""

from . import signals
from .config import ConfigError
from .extension import Chat
from .identity.names import BadName, NameTaken
from .identity.passwords import BadPassword, Passwords
from .service import ChatService, UnknownRoom, UnknownUser
from .socketio.registry import ConnectRefused
from .store.history import RoomTaken, StoreUnavailable
from .store.users import User
from .wire.envelope import Envelope, Identity, MessageType
from .wire.errors import ChatError

__version__ = "0.1.0"

__all__ = [
    "BadName",
    "BadPassword",
    "Chat",
    "ChatError",
    "ChatService",
    "ConfigError",
    "ConnectRefused",
    "Envelope",
    "Identity",
    "MessageType",
    "NameTaken",
    "Passwords",
    "RoomTaken",
    "StoreUnavailable",
    "UnknownRoom",
    "UnknownUser",
    "User",
    "signals",
]
