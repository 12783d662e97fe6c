"""Keeping secrets out of logs: whole queries are cut out of what a server logs, and tokens wherever they stand.

A query may hold a socket's token, however its name is spelt (`%74oken=`), a Socket.IO `sid`, which speaks as its user
while the session polls, or the key of a link that sets a new password. So nothing of it is kept.
"""

from __future__ import annotations

import logging
import re
import sys
from types import FrameType
from typing import Any

from flask import request

#: From the question mark of an address, plain or encoded, to the next space. Not to white space: servers take a query
#: that has a tab, a quote or a U+00A0 in it.
_QUERY = re.compile(r"(\?|%3[Ff])[^ \n]+")
#: The three parts of a JWT (RFC 7519); the first begins with `{"` in base64.
_JWT = re.compile(r"eyJ[\w-]+\.[\w-]+\.[\w-]*")
#: What gunicorn's access log format can ask for, and what must not be shown at all: the query alone, cookies, tokens.
_SECRET_ATOMS = re.compile(r"q|\{(?:.*(?:cookie|authorization|token|query_string).*)\}[ioe]", re.IGNORECASE)
REDACTED = "[redacted]"
#: Loggers of the servers, which log whole request lines, and the chat's.
LOGGERS = (
    "flask_chat",
    "werkzeug",
    "gunicorn.access",
    "gunicorn.error",
    "geventwebsocket.handler",
    "gevent.pywsgi",
)


def redact(text: str) -> str:
    """Return `text` without the queries of the addresses in it, and without JWTs."""
    return _JWT.sub(REDACTED, _QUERY.sub(rf"\1{REDACTED}", text))


class Redact(logging.Filter):
    """Redacts a record's message, its arguments and its traceback."""

    def filter(self, record: logging.LogRecord) -> bool:
        record.msg = _clean(record.msg)
        if isinstance(record.args, dict):
            for key, value in record.args.items():  # gunicorn's is a dict subclass: change it in place
                record.args[key] = REDACTED if _is_secret(key, value) else _clean(value)
        elif record.args:
            record.args = tuple(_clean(value) for value in record.args)
        if record.exc_info and not record.exc_text:
            # A formatter takes this text instead of making its own.
            record.exc_text = redact(_TRACEBACKS.formatException(record.exc_info))
        return True


_TRACEBACKS = logging.Formatter()


def _is_secret(key: Any, value: Any) -> bool:
    return bool(value) and value != "-" and _SECRET_ATOMS.fullmatch(str(key)) is not None


def _clean(value: Any) -> Any:
    if isinstance(value, BaseException):  # its text is formatted later
        value = str(value)
    return redact(value) if isinstance(value, str) else value


def redact_pywsgi(*_: Any) -> None:
    """Redact the request line that gevent's own server will log, by default to a plain stream; needs a request.

    A WSGI environment has no reference to the handler, but the handler is on the stack. The arguments are those of
    Flask's url_value_preprocessor, and not used.
    """
    if not request.environ.get("SERVER_SOFTWARE", "").startswith("gevent/"):
        return
    frame: FrameType | None = sys._getframe()
    while frame is not None:
        handler = frame.f_locals.get("self") if frame.f_code.co_name == "handle_one_response" else None
        if handler is not None and hasattr(handler, "requestline"):
            handler.requestline = redact(handler.requestline)
            return
        frame = frame.f_back


def install() -> None:
    """Redact the log records of the known servers; a second call changes nothing."""
    for name in LOGGERS:
        logger = logging.getLogger(name)
        if not any(isinstance(known, Redact) for known in logger.filters):
            logger.addFilter(Redact())
