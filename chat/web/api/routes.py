"""The routes of the API: one table, and the view that serves a request from it."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import orjson
from flask import Blueprint, Flask, Response, current_app, request

from ...config import Settings
from ...service import ChatService
from ...store.history import StoreUnavailable
from ...wire.errors import ChatError
from . import invitations, members, messages, people, rooms
from .answers import answer, refuse
from .call import Call, discard_body
from .rates import Rates

log = logging.getLogger("flask_chat")

PREFIX = "/chat/api"
#: All methods are routed, so that an unsupported one gets a JSON error too.
METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE")

Action = Callable[..., tuple[Any, int]]

#: (path, endpoint, the action of each method)
ROUTES: tuple[tuple[str, str, Mapping[str, Action]], ...] = (
    ("/rooms", "rooms", {"GET": rooms.mine, "POST": rooms.create}),
    ("/rooms/<room>", "room", {"GET": rooms.read, "PATCH": rooms.change}),
    ("/rooms/<room>/join", "join", {"POST": rooms.join}),
    ("/rooms/<room>/leave", "leave", {"POST": rooms.leave}),
    ("/rooms/<room>/members", "members", {"GET": members.listing, "POST": members.add}),
    (
        "/rooms/<room>/members/<user_id>",
        "member",
        {"PATCH": members.give_role, "DELETE": members.remove},
    ),
    ("/rooms/<room>/messages", "messages", {"GET": messages.history}),
    ("/rooms/<room>/read", "read", {"POST": messages.mark_read}),
    ("/rooms/<room>/invitations", "room_invitations", {"GET": invitations.of_room}),
    ("/rooms/<room>/invitations/<user_id>", "room_invitation", {"DELETE": invitations.withdraw}),
    ("/invitations", "invitations", {"GET": invitations.mine}),
    ("/invitations/<room>/accept", "accept", {"POST": invitations.accept}),
    ("/invitations/<room>/decline", "decline", {"POST": invitations.decline}),
    ("/directory", "directory", {"GET": rooms.directory}),
    ("/search", "search", {"GET": messages.search}),
    ("/unread", "unread", {"GET": messages.unread}),
    ("/users/<username>", "user", {"GET": people.read}),
)


def add_routes(blueprint: Blueprint | Flask, settings: Settings) -> None:
    """Serve the API on `blueprint`, below /chat/api."""
    rates = Rates(settings)
    for rule, name, actions in ROUTES:
        _add(blueprint, rule, name, _view(actions, rates))
    _add(blueprint, "/openapi.json", "openapi", openapi)
    _add(blueprint, "/", "root", not_found)
    _add(blueprint, "/<path:rest>", "nothing", not_found)


def _add(blueprint: Blueprint | Flask, rule: str, name: str, view: Callable[..., Response]) -> None:
    blueprint.add_url_rule(
        PREFIX + rule, f"api_{name}", view, methods=METHODS, provide_automatic_options=False
    )


def _view(actions: Mapping[str, Action], rates: Rates) -> Callable[..., Response]:
    """Return the view of one path."""

    def view(**parts: str) -> Response:
        action = actions.get("GET" if request.method == "HEAD" else request.method)
        if action is None:
            return _wrong_method(actions)
        try:
            return answer(*action(_call(rates), **parts))
        except ChatError as error:
            discard_body(request)
            return refuse(error)
        except StoreUnavailable as error:
            log.warning("the store is unavailable: %s", error)
            return refuse(ChatError("store_unavailable"))

    return view


def _call(rates: Rates) -> Call:
    """Return the request's Call; raise ChatError for a request without a valid token, or beyond a rate."""
    # Before the token is checked, which is most of the work of a refusal.
    rates.count_address(request.remote_addr)
    chat: ChatService = current_app.extensions["chat"]
    chat.start()  # the guard learns of bans and revoked tokens when the runtime starts
    scheme, _, token = request.headers.get("Authorization", "").partition(" ")
    identity = chat.guard.check(token.strip() if scheme.lower() == "bearer" else "").identity
    rates.count_user(identity.id)
    if chat.load_claims is not None:
        chat.identities.ensure_users(identity)
    return Call(chat, identity, request)


def _wrong_method(actions: Mapping[str, Any]) -> Response:
    allow = {"Allow": ", ".join([*actions, "OPTIONS"])}
    if request.method == "OPTIONS":
        return answer(None, headers=allow)
    return refuse(ChatError("method_not_allowed"), allow)


def not_found(rest: str = "") -> Response:
    """Answer a request for an unknown path."""
    return refuse(ChatError("not_found"))


def openapi() -> Response:
    """The OpenAPI description of the API."""
    if request.method not in ("GET", "HEAD"):
        return _wrong_method({"GET": openapi})
    server = (request.script_root + request.path).removesuffix("/openapi.json")
    return answer(_document() | {"servers": [{"url": server}]})


@cache
def _document() -> dict[str, Any]:
    return orjson.loads(Path(__file__).with_name("openapi.json").read_bytes())
