"""The chat of one app, `app.extensions["chat"]`: what a site, a view or a script may ask of it, from any thread."""

from .chat import ChatService
from .control import ANSWER_SECONDS
from .errors import AmbiguousUser, UnknownRoom, UnknownUser
from .log_in_sessions import LogInSession, LogInSessions

__all__ = [
    "ANSWER_SECONDS",
    "AmbiguousUser",
    "ChatService",
    "LogInSession",
    "LogInSessions",
    "UnknownRoom",
    "UnknownUser",
]
