"""Translations of the chat's texts: English in the source, Chinese in translations/.

They are in a Domain of their own, so that they never mix with the site's catalogues.
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
    """Make the translations available in templates, and initialise Babel unless the site already has."""
    if "babel" not in app.extensions:
        Babel(app, locale_selector=select_language)
    app.jinja_env.globals.update(
        chat_gettext=gettext, chat_language=language, chat_other_language=other_language
    )


def select_language() -> str | None:
    """Return the language of the query's `lang`, else the session's, else the browser's."""
    if not has_request_context():
        return None
    for asked in (request.args.get("lang"), session.get("lang")):
        if asked in LANGUAGES:
            return asked
    return request.accept_languages.best_match(list(LANGUAGES), default="en")


@lru_cache(maxsize=256)
def best_language(asked: str | None, accepted: str) -> str:
    """Return the language of a socket's messages: `asked` if there is such a language, else Accept-Language's best."""
    if asked in LANGUAGES:
        return asked
    return parse_accept_header(accepted, LanguageAccept).best_match(list(LANGUAGES), default="en")


def language() -> str:
    """Return the language of this request's texts, a key of LANGUAGES."""
    locale = get_locale()
    return locale.language if locale is not None and locale.language in LANGUAGES else "en"


def other_language() -> tuple[str, str]:
    """Return the code and the native name of the language to switch to."""
    return next(item for item in LANGUAGES.items() if item[0] != language())
