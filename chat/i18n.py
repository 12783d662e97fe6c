"""Translations of the chat's texts: English in the source, Chinese in translations/.

The chat reads its catalogues itself. So it needs no Babel extension, and neither sets up nor changes the site's, whose
language it follows where there is one.
"""

from __future__ import annotations

import sys
from functools import cache, lru_cache
from gettext import NullTranslations, translation
from pathlib import Path
from typing import Any

from flask import current_app, has_request_context, request, session
from werkzeug.datastructures import LanguageAccept
from werkzeug.http import parse_accept_header

LANGUAGES = {"en": "English", "zh": "中文"}
TRANSLATIONS = Path(__file__).parent / "translations"


@cache
def catalogue(language: str) -> NullTranslations:
    """Return the texts of `language`, a key of LANGUAGES; English has no file."""
    return translation("chat", TRANSLATIONS, [language], fallback=True)


def gettext(text: str, **values: Any) -> str:
    """Return `text` in this request's language, with `values` in place of its %(names)s."""
    translated = catalogue(language()).gettext(text)
    return translated % values if values else translated


def language() -> str:
    """Return the language of this request's texts, a key of LANGUAGES.

    That is the site's, by its Babel extension, if the chat speaks it; else the query's `lang`, the session's, the
    browser's.
    """
    site = _site_language()
    if site in LANGUAGES:
        return site
    if not has_request_context():
        return "en"
    for asked in (request.args.get("lang"), session.get("lang")):
        if isinstance(asked, str) and asked in LANGUAGES:
            return asked
    return best_language(None, request.headers.get("Accept-Language", ""))


@lru_cache(maxsize=256)
def best_language(asked: str | None, accepted: str) -> str:
    """Return the language of a socket's messages: `asked` if there is such a language, else Accept-Language's best."""
    if asked in LANGUAGES:
        return asked
    return parse_accept_header(accepted, LanguageAccept).best_match(list(LANGUAGES), default="en")


def other_language() -> tuple[str, str]:
    """Return the code and the native name of the language to switch to."""
    current = language()
    return next(item for item in LANGUAGES.items() if item[0] != current)


def _site_language() -> str | None:
    """Return the language that the site's Babel extension selects for this request, None without such an extension.

    Flask-Babel, Flask-BabelPlus and Flask-BabelEx all put an object of a class of theirs at `app.extensions["babel"]`,
    and have `get_locale` in their package.
    """
    extension = current_app.extensions.get("babel") if current_app else None
    if extension is None:
        return None
    for owner in type(extension).__mro__:
        get_locale = getattr(sys.modules.get(owner.__module__.partition(".")[0]), "get_locale", None)
        if get_locale is not None:
            return getattr(get_locale(), "language", None)
    return None
