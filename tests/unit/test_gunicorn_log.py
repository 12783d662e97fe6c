"""Which tracebacks gunicorn's log leaves out: those of responses that a client did not take, and no others."""

import logging
import sys

import pytest

from chat import gunicorn_hooks
from chat.config import Settings
from chat.rooms.rate import connect_rate
from chat.web.request_limits import RequestLimits

WSGI_INPUT = {"wsgi.input": None}


def slow_database(environ, start_response):
    raise TimeoutError("the site's own database did not answer")


def broken(environ, start_response):
    raise ValueError


def is_logged(function, *args):
    try:
        function(*args)
    except Exception:
        record = logging.LogRecord("gunicorn.error", logging.ERROR, "", 0, "", (), sys.exc_info())
        return gunicorn_hooks._is_no_timeout(record)
    raise AssertionError("nothing was raised")


@pytest.mark.parametrize("app", [slow_database, broken])
def test_an_error_of_the_site_is_logged(app):
    limits = RequestLimits(app, Settings(), 100, 0, connect_rate(10))
    assert is_logged(limits, WSGI_INPUT, print)


def test_a_response_that_is_not_taken_is_not_logged():
    assert not is_logged(slow_database, {}, print)


def test_a_line_without_a_traceback_is_logged():
    assert gunicorn_hooks._is_no_timeout(
        logging.LogRecord("gunicorn.error", logging.INFO, "", 0, "", (), None)
    )
