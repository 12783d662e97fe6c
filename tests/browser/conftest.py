"""A site of the browser's own, people who come to it, and consoles that must stay silent."""

from contextlib import ExitStack

import pytest

from tests.browser.past import Past
from tests.browser.visitors import Visitors
from tests.built import build
from tests.conftest import running_browser
from tests.servers import Server

#: Without the requests the log of a failure can be read.
QUIET = {"ACCESS_LOG": ""}


@pytest.fixture(scope="session", autouse=True)
def built():
    """The front end as it is now: pages are looked at as users get them."""
    build()


@pytest.fixture(scope="session")
def site():
    """The reference site, shared; behind a proxy, so that each newcomer can have an address of their own."""
    with Server(
        "gunicorn-gevent", env={**QUIET, "CHAT_TRUSTED_PROXIES": "1", "CHAT_ROSTER_GRACE": "0.5"}
    ) as server:
        yield server


@pytest.fixture
def make_server(make_server):
    """make_server(CHAT_REGISTRATION=0) is a server for this test alone."""

    def start(**env):
        return make_server(env={**QUIET, **env})

    return start


@pytest.fixture(scope="session")
def browser():
    """One Chromium for all of this folder's tests, which are the last ones of a run."""
    with running_browser() as chromium:
        yield chromium


@pytest.fixture(scope="session")
def past(site):
    """What was said on the shared site before, for a test to write."""
    with Past(site) as past:
        yield past


@pytest.fixture
def visitors(browser, site):
    with Visitors(browser, site.url) as some:
        yield some


@pytest.fixture(scope="module")
def regulars(browser, site):
    """Visitors who stay for a module's tests, where these do not mind what was said before."""
    with Visitors(browser, site.url) as some:
        yield some


@pytest.fixture
def console(visitors):
    """What the pages said on their consoles: an error that the test has not announced fails it."""
    return visitors.console


@pytest.fixture
def make_page(visitors):
    """make_page(locale="zh-CN") is a page of a fresh browser profile."""
    return visitors.page


@pytest.fixture
def meet(visitors):
    """meet("Ann") is somebody new, registered, with that name and a number, not at the chat yet."""
    return visitors.meet


@pytest.fixture
def join(visitors):
    """join("Ann") is somebody new at the chat page, connected."""
    return visitors.join


@pytest.fixture
def sockets():
    """Keeps the plain socket clients that it is given, and closes them at the end."""
    with ExitStack() as stack:
        yield stack.enter_context
