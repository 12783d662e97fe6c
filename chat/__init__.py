"""Flask-Chat: realtime chat that drops into a Flask site."""

from . import signals
from .config import ConfigError
from .envelope import Envelope, Identity, MessageType
from .errors import ChatError
from .extension import Chat
from .state import ChatState, UnknownUser

__version__ = "0.1.0"

__all__ = [
    "Chat",
    "ChatError",
    "ChatState",
    "ConfigError",
    "Envelope",
    "Identity",
    "MessageType",
    "UnknownUser",
    "signals",
]
