"""A site of the browser's own, people who are at its chat, and a console that must stay silent."""

from contextlib import ExitStack
from itertools import count

import pytest
from playwright.sync_api import sync_playwright

from tests.browser.console import Console
from tests.browser.person import Person
from tests.conftest import BROWSER_ARGS, NO_BROWSER, browser_path
from tests.servers import Server

#: Makes names differ: the tests share a server, and a name stays taken.
numbers = count(1)


@pytest.fixture(scope="session")
def site():
    """The reference site, shared; behind a proxy, so that each newcomer can have an address of their own."""
    with Server("gunicorn-gevent", env={"CHAT_TRUSTED_PROXIES": "1"}) as server:
        yield server


@pytest.fixture(scope="session")
def browser():
    """One Chromium for all of this folder's tests, which are the last ones of a run."""
    path = browser_path()
    if path is None:
        pytest.skip(NO_BROWSER)
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=path, args=list(BROWSER_ARGS))
        yield chromium
        chromium.close()


@pytest.fixture
def console():
    """What the pages said on their consoles: an error that the test has not announced fails it."""
    watched = Console()
    yield watched
    assert watched.unexpected == []


@pytest.fixture
def make_page(console, make_page):
    """A page of a fresh browser profile, its console watched."""

    def open_page(**options):
        page = make_page(**options)
        console.watch(page.context)
        page.context.set_default_timeout(15_000)
        return page

    return open_page


@pytest.fixture
def meet(site, make_page):
    """meet("Ann") is somebody new with that name and a number, registered, but not at the chat yet."""

    def newcomer(name, at=site, **options):
        number = next(numbers)
        person = Person(make_page(**options), at.url, f"{name} {number}")
        person.register(address=f"198.51.{number >> 8}.{number & 255}")
        return person

    return newcomer


@pytest.fixture
def join(meet):
    """join("Ann") is somebody new who is at the chat page, connected; options are the browser profile's."""

    def enter(name, **options):
        return meet(name, **options).enter()

    return enter


@pytest.fixture
def sockets():
    """Keeps the plain socket clients that it is given, and closes them at the end."""
    with ExitStack() as stack:
        yield stack.enter_context
