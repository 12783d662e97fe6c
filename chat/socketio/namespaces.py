"""The namespaces that clients may connect to: those of the site's handlers, and the chat's."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from .chat_namespace import ChatNamespace
from .recovery import Recovery
from .registry import Registry, SiteNamespace

#: Characters of a dynamic namespace's name: it comes from a client, and a pattern is matched against it.
MAX_DYNAMIC_NAME = 256


class Namespaces:
    """The namespaces of one app in one process; the chat's may be one of the site's too."""

    def __init__(self, handlers: Registry, recovery: Recovery, call_site: Callable[..., Any]) -> None:
        self.chat: ChatNamespace | None = None
        self._handlers = handlers
        self._recovery = recovery
        self._call_site = call_site

    def may_have(self, name: str) -> bool:
        """Tell whether a namespace of that name may exist; whether it does, `find` tells. In the loop."""
        if name in self._handlers or self.is_chat(name):
            return True
        return self._handlers.is_dynamic and len(name) <= MAX_DYNAMIC_NAME

    def find(self, name: str, auth: Mapping[str, Any]) -> SiteNamespace | None:
        """Return what the site has registered for a namespace, None where it has nothing; in a job.

        A named namespace, and the chat's, come before the dynamic ones.
        """
        named = self._handlers.named(name)
        if named is not None or self.is_chat(name):
            return named
        return self._handlers.match(name, auth, self._call_site)

    def is_chat(self, name: str) -> bool:
        """Tell whether `name` is the chat's namespace."""
        return self.chat is not None and name == self.chat.name

    def mark_mixed(self, name: str) -> None:
        """Record that the site keeps or emits something of its own in a namespace, which the store does not have."""
        if self.is_chat(name):
            self._recovery.cursor.mixed = True
