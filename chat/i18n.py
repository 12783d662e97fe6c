"""The chat's own words in the reader's language: English in the source, Chinese in translations/.

They live in a Domain of their own, so that a site's catalogues and the chat's never meet.
"""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

from flask import Flask, has_request_context, request, session
from flask_babel import Babel, Domain, get_locale
from werkzeug.datastructures import LanguageAccept
from werkzeug.http import parse_accept_header

LANGUAGES = {"en": "English", "zh": "中文"}
TRANSLATIONS = Path(__file__).parent / "translations"

_domain = Domain(str(TRANSLATIONS), "chat")
gettext = _domain.gettext


def init(app: Flask) -> None:
    """Give the chat's templates their words; start Babel too, unless the site already has."""
    if "babel" not in app.extensions:
        Babel(app, locale_selector=select_language)
    app.jinja_env.globals.update(
        chat_gettext=gettext, chat_language=language, chat_other_language=other_language
    )


def select_language() -> str | None:
    """Return the language asked for: by the query's `lang`, else by the session, else by the browser."""
    if not has_request_context():
        return None
    for asked in (request.args.get("lang"), session.get("lang")):
        if asked in LANGUAGES:
            return asked
    return request.accept_languages.best_match(list(LANGUAGES), default="en")


@lru_cache(maxsize=256)
def best_language(asked: str | None, accepted: str) -> str:
    """Return the language that a socket is spoken to in: the one `asked` for, else the best of Accept-Language."""
    if asked in LANGUAGES:
        return asked
    return parse_accept_header(accepted, LanguageAccept).best_match(list(LANGUAGES), default="en")


def language() -> str:
    """Return the language of this request's words, a key of LANGUAGES, whoever selected the locale."""
    locale = get_locale()
    return locale.language if locale is not None and locale.language in LANGUAGES else "en"


def other_language() -> tuple[str, str]:
    """Return the code and the own name of the language to switch to."""
    return next(item for item in LANGUAGES.items() if item[0] != language())
