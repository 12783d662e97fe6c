"""POST /chat/token: socket tokens for the pages of logged-in users."""

from __future__ import annotations

from typing import Any

from flask import Response, jsonify, request

from ..identity.guard import now_ms, origin_allowed
from ..service import ChatService
from ..service.bad_identity import BadIdentity
from ..wire.envelope import Identity
from ..wire.errors import FAILURES
from .context import language, service
from .refusals import note_asked


def token() -> tuple[Response, int]:
    """Give the page of a logged-in user a token for its socket; for the site's own pages only."""
    note_asked()
    if not _same_origin():
        return jsonify(error="This address serves the site's own pages only.", code="foreign_origin"), 403
    chat = service()
    try:
        return _token_for_current(chat)
    except BadIdentity as error:
        return jsonify(error=error.sentence(language()), code="bad_identity"), 403


def _token_for_current(chat: ChatService) -> tuple[Response, int]:
    identity = chat.current_identity()
    if identity is None or chat.log_ins.has_ended():
        return jsonify(error="Log in to the site first.", code="not_logged_in"), 401
    if chat.guard.is_banned(identity.id):
        return jsonify(error=FAILURES["banned"].sentence(language()), code="banned"), 403
    body = jsonify(issue(chat, identity))
    body.headers["Cache-Control"] = "no-store"
    return body, 200


def issue(chat: ChatService, identity: Identity) -> dict[str, Any]:
    """Return a new token for `identity` as pages take it: {token, expires_in, expires_at}.

    Raises BadIdentity if another user of the site has exactly this name.
    """
    chat.log_out_signals.listen()  # a factory may have imported the extension after the chat
    chat.identities.claim_name(identity)
    ttl = chat.settings.token_ttl
    made = chat.token_for(identity, sid=chat.log_ins.use(identity))
    return {"token": made, "expires_in": ttl, "expires_at": now_ms() + ttl * 1000}


def _same_origin() -> bool:
    if request.headers.get("Sec-Fetch-Site", "same-origin") not in {"same-origin", "none"}:
        return False
    return origin_allowed(request.headers.get("Origin"), request.host, ())
