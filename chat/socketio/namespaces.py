"""The namespaces that clients may connect to: those of the site's handlers, and the chat's."""

from __future__ import annotations

from .chat_namespace import ChatNamespace
from .recovery import Recovery
from .registry import Registry


class Namespaces:
    """The namespaces of one app in one process; the chat's may be one of the site's too."""

    def __init__(self, handlers: Registry, recovery: Recovery) -> None:
        self.handlers = handlers
        self.chat: ChatNamespace | None = None
        self._recovery = recovery

    def __contains__(self, name: str) -> bool:
        return name in self.handlers or self.is_chat(name)

    def is_chat(self, name: str) -> bool:
        """Tell whether `name` is the chat's namespace."""
        return self.chat is not None and name == self.chat.name

    def mark_mixed(self, name: str) -> None:
        """Record that the site keeps or emits something of its own in a namespace, which the store does not have."""
        if self.is_chat(name):
            self._recovery.cursor.mixed = True
