"""Fixtures for all tests (an app, servers, PostgreSQL, Valkey, a browser), and the rules of the whole run."""

import gc
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from tests import leftovers, schedule, servers
from tests.databases import migrated_sqlite, running_postgresql
from tests.proxies import NO_PROXIES
from tests.servers import SECRET, Server
from tests.socketio_node import NO_MODULES, NO_NODE
from tests.valkeys import running_valkey
from tools import chromium

NO_BROWSER = f"{chromium.MISSING} The browser tests were skipped."
#: Characters of a server's log shown for a test that failed.
LOG_TAIL = 6000


# -- the site in this process


@pytest.fixture
def app(tmp_path, monkeypatch):
    """The reference site on a database of its own, without CSRF checks."""
    from app import create_app

    for key, value in {
        "CHAT_DATABASE_URL": migrated_sqlite(tmp_path / "chat.db"),
        "SECRET_KEY": SECRET,
    }.items():
        monkeypatch.setenv(key, value)
    return create_app({"TESTING": True, "WTF_CSRF_ENABLED": False})


@pytest.fixture
def client(app):
    """A Flask test client of `app`: no server, no sockets."""
    return app.test_client()


# -- the site as processes


@pytest.fixture(scope="session")
def server():
    """`gunicorn -k gevent`, shared by every test that changes nothing for other tests."""
    with Server("gunicorn-gevent") as shared:
        yield shared


@pytest.fixture
def make_server():
    """make_server(kind="gunicorn-gevent", env=…, app=…) starts a server of any kind; it ends after the test."""
    with ExitStack() as stack:

        def start(kind="gunicorn-gevent", env=None, app=None, options=()):
            return stack.enter_context(Server(kind, env, app, options))

        yield start


@pytest.fixture(scope="session")
def postgresql_server():
    """A shared PostgreSQL server; a test that stops it starts one of its own."""
    with running_postgresql() as server:
        yield server


@pytest.fixture(scope="session")
def valkey_server():
    """A shared Valkey server; a test that kills or suspends it uses `own_valkey`, and every site needs a prefix."""
    with running_valkey() as server:
        yield server


@pytest.fixture
def own_valkey():
    """A Valkey server that a test may kill and suspend."""
    with running_valkey() as server:
        yield server


# -- the browser


@contextmanager
def running_browser():
    """The system's Chromium, within the block; without one the test is skipped with a notice."""
    path = chromium.find()
    if path is None:
        pytest.skip(NO_BROWSER)
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=chromium.ARGUMENTS)
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def browser():
    """One Chromium for a module's tests; a longer-lived Playwright would hold this thread's asyncio loop."""
    with running_browser() as running:
        yield running


@pytest.fixture
def make_page(browser):
    """make_page(locale="en", viewport=…) is a page of a new browser profile, for one user each.

    An exception on a page, or a violation of its Content-Security-Policy, fails the test.
    """
    contexts, complaints = [], []

    def open_page(**options):
        context = browser.new_context(**{"locale": "en-GB", **options})
        contexts.append(context)
        page = context.new_page()
        page.on("pageerror", lambda error: complaints.append(f"thrown on {page.url}: {error}"))
        page.on("console", lambda message: complain_of_policy(message, complaints))
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert not complaints


def complain_of_policy(message, complaints):
    if message.type == "error" and "Content Security Policy" in message.text:
        complaints.append(message.text)


# -- the run as a whole


def pytest_configure(config):
    leftovers.adopt_orphans()
    for path in (Path(argument.split("::")[0]) for argument in config.args):
        if not path.exists():  # pytest-xdist would run no test and not say why
            raise pytest.UsageError(f"file or directory not found: {path}")


def pytest_collection_modifyitems(items):
    """Order as tests/schedule.py says; mark with the folder's name and `slow`, which so need no mark in any file."""
    items.sort(key=schedule.place)
    for item in items:
        item.add_marker(item.path.parent.name)
        if schedule.is_slow(item):
            item.add_marker("slow")


def pytest_collection_finish():
    """Keep the garbage collector off what stays until the end: thousands of tests and all that they import.

    Traversing them again and again took a fifth of the CPU of the processes that run the tests.
    """
    gc.collect()
    gc.freeze()


def pytest_runtest_setup(item):
    servers.begin_test()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item, call):
    """A failed test shows what the servers wrote during it."""
    report = yield
    if report.failed:
        report.sections += [(title, log[-LOG_TAIL:]) for title, log in servers.recent_logs()]
    return report


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session):
    """End what outlived the tests of this process; a worker of pytest-xdist reports it to its controller."""
    left = session.config.stash.setdefault(leftovers.KEY, [])
    left += leftovers.end()
    if hasattr(session.config, "workeroutput"):
        session.config.workeroutput["leftovers"] = left
    elif left and session.exitstatus in (pytest.ExitCode.OK, pytest.ExitCode.NO_TESTS_COLLECTED):
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node):
    """Take over what a worker of pytest-xdist reports; one that crashed reports nothing."""
    node.config.stash.setdefault(leftovers.KEY, []).extend(
        getattr(node, "workeroutput", {}).get("leftovers", ())
    )


def pytest_terminal_summary(terminalreporter, config):
    for process in config.stash.get(leftovers.KEY, ()):
        terminalreporter.write_line(f"FAILED: a process outlived the tests: {process}", red=True)
    skipped = [str(report.longrepr) for report in terminalreporter.stats.get("skipped", ())]
    for sentence in (NO_BROWSER, NO_NODE, NO_MODULES, NO_PROXIES):
        if any(sentence in reason for reason in skipped):
            terminalreporter.write_line(sentence, yellow=True)
