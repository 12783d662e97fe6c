"""Flask-Chat: realtime chat that drops into a Flask site."""

from . import signals
from .config import ConfigError
from .envelope import Envelope, Identity, MessageType
from .errors import ChatError
from .extension import Chat
from .names import BadName, NameTaken
from .passwords import BadPassword, Passwords
from .socketio.registry import ConnectRefused
from .state import ChatState, UnknownRoom, UnknownUser
from .store.history import RoomTaken, StoreUnavailable
from .store.users import User

__version__ = "0.1.0"

__all__ = [
    "BadName",
    "BadPassword",
    "Chat",
    "ChatError",
    "ChatState",
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
