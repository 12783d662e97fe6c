"""The chat page and the widget: templates, and the JSON that their scripts start with."""

from __future__ import annotations

import json
from typing import Any

from flask import Response, current_app, redirect, render_template, request
from markupsafe import Markup

from .. import i18n
from ..i18n import gettext as _
from ..rooms.access import LOBBY
from ..service.bad_identity import BadIdentity
from ..store.history import StoreUnavailable
from ..wire.envelope import Identity
from . import first_paint
from .context import service
from .page_strings import page_strings
from .site_headers import site_headers
from .urls import chat_url

#: What a site may say of the widget's colours.
THEMES = (None, "light", "dark")


def page() -> Any:
    """The chat page, for users who are logged in to the site."""
    try:
        identity = service().current_identity()
        return _ask_to_log_in() if identity is None else _page_of(identity)
    except BadIdentity as error:
        return notice(_("The chat is not set up for you"), error.sentence(i18n.language()), 500)


def _page_of(identity: Identity) -> Response:
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
    settings, language = service().settings, i18n.language()
    return {
        # Of the two routes at this path, the socket's own has a scheme and a host, which are wrong behind a proxy.
        "socketPath": chat_url("not_a_socket"),
        "tokenPath": chat_url("token"),
        "tokenHeaders": site_headers(service()),
        "pagePath": chat_url("page"),
        "apiPath": f"{chat_url('page')}/api",
        "loginPath": _login_path(),
        "user": identity._asdict(),
        "room": LOBBY,
        "maxChars": settings.max_message_chars,
        "maxRooms": settings.max_rooms_per_client,
        "createRooms": settings.create_rooms,
        "locale": language,
        "strings": page_strings(language),
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
    identity = _identity_for_widget()
    if identity is None or request.endpoint == f"{service().name}.page":
        return Markup()
    # Named now, not with the first token: the cookie of that answer could come after a log-out, and undo it.
    service().log_ins.id_of(identity)
    config = page_config(identity) | {"unread": _unread(identity)}
    return Markup(
        render_template("flask_chat/widget.html", identity=identity, theme=theme, chat_config=config)
    )


def _identity_for_widget() -> Identity | None:
    try:
        return service().current_identity()
    except BadIdentity:
        return None  # the log has it, and the chat page says it: the site's own pages must not fail


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
    """Return where a page sends a user whose session has ended: the log-in view, or the chat page, which says more."""
    return service().login.path() or chat_url()


def _ask_to_log_in() -> Any:
    address = service().login.path_and_back()
    if address is not None:
        return redirect(address)
    return notice(_("Log in first"), _("Log in to this site, then open the chat again."), 401)


def notice(heading: str, text: str, status: int) -> Response:
    """Return a page in the site's frame that holds a sentence in place of the chat."""
    response = Response(
        render_template("flask_chat/notice.html", identity=None, heading=heading, text=text), status
    )
    response.headers["Cache-Control"] = "no-store"
    return response
