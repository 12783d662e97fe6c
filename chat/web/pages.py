"""The chat page and the widget: templates, and the JSON that their scripts start with."""

from __future__ import annotations

import json
from typing import Any

from flask import Response, current_app, redirect, render_template, request, url_for
from markupsafe import Markup

from .. import i18n
from ..rooms.access import LOBBY
from ..store.history import StoreUnavailable
from ..wire.envelope import Identity
from . import first_paint
from .context import service
from .page_strings import page_strings

#: What a site may say of the widget's colours.
THEMES = (None, "light", "dark")


def page() -> Any:
    """The chat page, for users who are logged in to the site."""
    identity = service().current_identity()
    if identity is None:
        return _ask_to_log_in()
    config = page_config(identity)
    if _may_carry_token():
        config["first"] = first_paint.make(service(), identity, request)
    context = {"identity": identity, "chat_config": config, "chat_home": _home()}
    response = Response(render_template("flask_chat/page.html", **context))
    response.headers["Cache-Control"] = "no-store"
    # The page holds a token: no other origin may load it, as whatever kind of resource.
    response.headers["Cross-Origin-Resource-Policy"] = "same-origin"
    return response


def _may_carry_token() -> bool:
    """Tell whether the site itself requested the page, or a browser to show it as a top-level document."""
    site = request.headers.get("Sec-Fetch-Site", "none")
    return site in {"same-origin", "none"} or request.headers.get("Sec-Fetch-Dest") == "document"


def page_config(identity: Identity) -> dict[str, Any]:
    """Return the configuration of the page's scripts, which the page contains as JSON."""
    settings = service().settings
    return {
        # Of the two routes at this path, the socket's own has a scheme and a host, which are wrong behind a proxy.
        "socketPath": url_for("chat.not_a_socket"),
        "tokenPath": url_for("chat.token"),
        "pagePath": url_for("chat.page"),
        "apiPath": f"{url_for('chat.page')}/api",
        "loginPath": _login_path(),
        "user": identity._asdict(),
        "room": LOBBY,
        "maxChars": settings.max_message_chars,
        "maxRooms": settings.max_rooms_per_client,
        "createRooms": settings.create_rooms,
        "locale": i18n.language(),
        "strings": page_strings(),
    }


def script_json(value: Any) -> Markup:
    """Return JSON for a script element, like `tojson`, but in UTF-8, in which Chinese takes half the bytes."""
    text = json.dumps(value, ensure_ascii=False)
    for character in "<>&":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return Markup(text)


def chat_widget(theme: str | None = None) -> Markup:
    """Return the chat as a panel for any page; empty for visitors who are not logged in and on the chat page itself.

    `theme` is "light" or "dark"; without it the widget follows the page's own `color-scheme`.
    """
    if theme not in THEMES:
        raise ValueError(
            f'chat_widget(theme={theme!r}): write theme="light" or theme="dark", or leave it out.'
        )
    identity = service().current_identity()
    if identity is None or request.endpoint == "chat.page":
        return Markup()
    config = page_config(identity) | {"unread": _unread(identity)}
    return Markup(
        render_template("flask_chat/widget.html", identity=identity, theme=theme, chat_config=config)
    )


def _unread(identity: Identity) -> int:
    """Return how many messages the user has not read: one query. 0 if the store fails, for the page is the site's."""
    try:
        return sum(unread for unread, _mentions in service().history.unread(identity.id).values())
    except StoreUnavailable:
        return 0


def _home() -> dict[str, str] | None:
    """Return where the chat page's link back leads, and what it is called; None for a site without a start page."""
    settings = service().settings
    address = settings.home
    if not address:
        urls = current_app.create_url_adapter(request)
        if urls is None or not urls.test("/", "GET"):
            return None
        address = f"{request.script_root}/"
    return {"address": address, "name": settings.site_name or request.host}


def _login_path() -> str:
    endpoint = _login_endpoint()
    return url_for(endpoint) if endpoint else "/"


def _login_endpoint() -> str | None:
    manager = getattr(current_app, "login_manager", None)
    for endpoint in (service().settings.login_endpoint, getattr(manager, "login_view", None)):
        if endpoint and endpoint in current_app.view_functions:
            return endpoint
    return None


def _ask_to_log_in() -> Any:
    endpoint = _login_endpoint()
    if endpoint is None:
        return Response("Log in to the site first.\n", 401, mimetype="text/plain")
    return redirect(url_for(endpoint, next=request.full_path.rstrip("?")))
