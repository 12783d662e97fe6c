"""Chat, the Flask extension. All state of an app is in `app.extensions["chat"]`."""

from __future__ import annotations

import atexit
import logging
import sys
import weakref
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import click
from flask import Flask, current_app
from flask.cli import FlaskGroup, NoAppException

from . import config
from .cli import chat_cli
from .service import ChatService, LogInSessions
from .socketio.io import IO, Clients
from .socketio.registry import Chain, Namespace
from .store.history import History, RoomRow
from .web import blueprint, redaction
from .wire.envelope import Identity

if TYPE_CHECKING:
    from .store.users import Users

log = logging.getLogger("flask_chat")

IdentityLoader = Callable[[], Identity | None]
ClaimsLoader = Callable[[Mapping[str, Any]], Identity]
TokenHeaders = Callable[[], Mapping[str, str]]
ResetLink = Callable[[Identity, float], str]


class Chat:
    """Realtime chat for a Flask site: `Chat(app)`, or `Chat()` and later `chat.init_app(app)`.

    Its methods act on the current app and need an app context. `app.extensions["chat"]` has the same methods and needs
    none.
    """

    def __init__(
        self,
        app: Flask | None = None,
        *,
        name: str = "chat",
        url_prefix: str = "",
        identity_loader: IdentityLoader | None = None,
        claims_loader: ClaimsLoader | None = None,
    ) -> None:
        self._name = name
        self._url_prefix = url_prefix
        #: The site's functions, by the attribute of ChatService that takes each; None: not given.
        self._loaders: dict[str, Any] = {"load_identity": identity_loader, "load_claims": claims_loader}
        self._services: weakref.WeakSet[ChatService] = weakref.WeakSet()
        self._events: list[tuple[Namespace, str | Chain, Any]] = []
        #: The site's own events over Socket.IO. Handlers may be added before `init_app`.
        self.io = IO(lambda: [self], self._io_clients)
        if app is not None:
            self.init_app(app)

    def init_app(
        self,
        app: Flask,
        *,
        name: str | None = None,
        url_prefix: str | None = None,
        identity_loader: IdentityLoader | None = None,
        claims_loader: ClaimsLoader | None = None,
    ) -> None:
        """Add the chat to `app`; raise RuntimeError if it has one, ConfigError for a setting that cannot be used.

        The options are for this app; without one, the constructor's holds. `name` is that of the chat's blueprint and
        of its command, "chat". ConfigError also where the site has a blueprint of that name, or serves a path of the
        chat's.
        """
        if "chat" in app.extensions:
            raise RuntimeError("This app has a chat already; call Chat(app) or chat.init_app(app) once.")
        with _config_errors_shown():
            service = ChatService(app, config.load(app.config), self._name if name is None else name)
            for sentence in config.name_unknown(app.config):
                log.warning(sentence)
            if not _lists_commands():
                service.open_at_start()
            self._register(app, service, self._url_prefix if url_prefix is None else url_prefix)
        _set_loaders(service, self._loaders)
        _set_loaders(service, {"load_identity": identity_loader, "load_claims": claims_loader})
        self._services.add(service)
        for registration in self._events:
            service.events.add(*registration)
        app.cli.add_command(chat_cli, service.name)
        redaction.install()
        atexit.register(_drain_at_exit, weakref.ref(service))

    def _register(self, app: Flask, service: ChatService, url_prefix: str) -> None:
        app.extensions["chat"] = service
        try:
            blueprint.register(app, url_prefix)
        except config.ConfigError:
            del app.extensions["chat"]
            raise

    def identity_loader(self, loader: IdentityLoader) -> IdentityLoader:
        """Decorate the function that returns who is logged in on the current request: an Identity, or None."""
        self._set_loader("load_identity", loader)
        return loader

    def claims_loader(self, loader: ClaimsLoader) -> ClaimsLoader:
        """Decorate the function that makes an Identity of a token's claims; it may raise to refuse them."""
        self._set_loader("load_claims", loader)
        return loader

    def token_headers(self, hook: TokenHeaders) -> TokenHeaders:
        """Decorate the function that returns the headers which the site's CSRF protection wants, as a dict.

        It is called when the chat's page or widget is rendered; the page sends the headers with its own requests.
        """
        self._set_loader("load_token_headers", hook)
        return hook

    def reset_link(self, hook: ResetLink) -> ResetLink:
        """Decorate the function that returns a one-time link to a page of the site for a new password.

        `flask chat reset-link` calls it with an Identity and the hours for which the link shall be valid, in a request
        to the site's address.
        """
        self._set_loader("load_reset_link", hook)
        return hook

    def _set_loader(self, name: str, loader: Any) -> None:
        self._loaders[name] = loader
        for service in self._services:
            setattr(service, name, loader)

    def add(self, namespace: Namespace, event: str | Chain, handler: Any) -> None:
        """Add a Socket.IO handler to all apps of this chat, including those initialised later."""
        for service in self._services:
            service.events.add(namespace, event, handler)
        self._events.append((namespace, event, handler))

    def _io_clients(self) -> Clients:
        services = list(self._services)
        service = services[0] if len(services) == 1 else self.service
        return service.io_clients

    @property
    def service(self) -> ChatService:
        """The chat of the current app."""
        return current_app.extensions["chat"]

    @property
    def users(self) -> Users:
        """The users' table of the current app."""
        return self.service.users

    @property
    def history(self) -> History:
        """Rooms, members and messages of the current app; its methods may block."""
        return self.service.history

    @property
    def log_ins(self) -> LogInSessions:
        """The log-in sessions of the current app's users: which there are, and their ends."""
        return self.service.log_ins

    def create_room(self, title: str, **options: Any) -> RoomRow:
        """Create a room and return it; `options` are those of ChatService.create_room."""
        return self.service.create_room(title, **options)

    def send(self, room: str, text: str) -> None:
        """Send `text` to `room` as a system message; return once it is stored. Raises UnknownRoom, StoreUnavailable."""
        self.service.send(room, text)

    def direct(self, to: str | None = None, text: str = "", *, to_id: str | None = None) -> None:
        """Send `text` as a system message to the user named `to`, or of the id `to_id`.

        Raises UnknownUser, StoreUnavailable, and AmbiguousUser for a name that fits several users.
        """
        self.service.direct(to, text, to_id=to_id)

    def roster(self, room: str = "lobby") -> list[Identity]:
        """Return the users in `room`."""
        return self.service.roster(room)

    def token_for(self, identity: Identity, ttl: float | None = None) -> str:
        """Return a JWT that admits `identity` to the chat for `ttl` seconds."""
        return self.service.token_for(identity, ttl)

    def revoke(self, user_id: str) -> None:
        """Close all sockets of this user and refuse earlier tokens: for log-out and a changed password."""
        self.service.revoke(user_id)

    def rename(self, user_id: str, username: str) -> None:
        """Give a user of the site this name from now on, and take it from any other: for a renamed user."""
        self.service.rename(user_id, username)

    def delete_account(self, user_id: str) -> bool:
        """End a user's account in the chat for good, when the site deletes the user; return whether there was one."""
        return self.service.delete_account(user_id)

    def check_new_name(self, username: str) -> str:
        """Return a name in the form in which a new user may register it; raise BadName, as for reserved names."""
        return self.service.check_new_name(username)

    def log_out(self, everywhere: bool = False) -> None:
        """Close the sockets of this request's log-in session, or of all sessions of its user: for the log-out view."""
        self.service.log_out(everywhere)

    def kick(self, username: str | None = None, *, user_id: str | None = None) -> None:
        """Close this user's sockets; a new token admits the user again."""
        self.service.kick(username, user_id=user_id)

    def ban(self, username: str | None = None, *, user_id: str | None = None) -> None:
        """Close this user's sockets and refuse the user until `unban`."""
        self.service.ban(username, user_id=user_id)

    def unban(self, username: str | None = None, *, user_id: str | None = None) -> None:
        """Admit a banned user again."""
        self.service.unban(username, user_id=user_id)

    def run_blocking(self, function: Callable[..., Any], *args: Any) -> Any:
        """Return `function(*args)`, run where it does not block the event loop: argon2, slow queries."""
        return self.service.run_blocking(function, *args)

    def run_hashing(self, function: Callable[..., Any], *args: Any) -> Any:
        """Return `function(*args)`, which hashes a password, run as by `run_blocking`, but one or two at a time."""
        return self.service.run_hashing(function, *args)

    def drain(self, seconds: float = 2.0) -> bool:
        """Close all clients with 1012 and wait until they have gone, for servers without the chat's hooks."""
        return self.service.drain(seconds)


@contextmanager
def _config_errors_shown() -> Iterator[None]:
    """Show the sentence of a ConfigError: in the log, or alone and without a traceback by the `flask` command."""
    try:
        yield
    except config.ConfigError as error:
        if click.get_current_context(silent=True) is not None:
            # `flask --help` goes on to list the commands, but only for this kind of exception.
            kind = NoAppException if _shows_help() else click.ClickException
            raise kind(str(error)) from error
        log.critical(error)
        raise


def _set_loaders(service: ChatService, loaders: Mapping[str, Any]) -> None:
    for name, loader in loaders.items():
        if loader is not None:
            setattr(service, name, loader)


def _lists_commands() -> bool:
    """Return whether `flask` creates the app only to find a command in it; the command opens the database if needed."""
    context = click.get_current_context(silent=True)
    return context is not None and isinstance(context.command, FlaskGroup)


def _shows_help() -> bool:
    return _lists_commands() and (len(sys.argv) == 1 or "--help" in sys.argv)


def _drain_at_exit(reference: weakref.ref[ChatService]) -> None:
    service = reference()
    if service is not None:
        service.drain_at_exit()
