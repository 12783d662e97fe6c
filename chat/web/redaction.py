"""Keeping tokens out of logs: they are cut out of the query strings that a server logs."""

from __future__ import annotations

import logging
import re
import sys
from types import FrameType
from typing import Any

_TOKEN = re.compile(r"([?&](?:token|jwt)=)[^&\s\"']+")
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
    """Return `text` without the tokens in the query strings that it contains."""
    return _TOKEN.sub(r"\1[redacted]", text)


class Redact(logging.Filter):
    """Redacts a record's message and its arguments."""

    def filter(self, record: logging.LogRecord) -> bool:
        record.msg = _clean(record.msg)
        if isinstance(record.args, dict):
            for key, value in record.args.items():  # gunicorn's is a dict subclass: change it in place
                record.args[key] = _clean(value)
        elif record.args:
            record.args = tuple(_clean(value) for value in record.args)
        return True


def _clean(value: Any) -> Any:
    return redact(value) if isinstance(value, str) and "=" in value else value


def redact_pywsgi() -> None:
    """Redact the request line that gevent's own server will log, by default to a plain stream.

    A WSGI environment has no reference to the handler, but the handler is on the stack of the view that calls this.
    """
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
