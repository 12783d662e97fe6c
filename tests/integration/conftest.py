"""Fixtures of several modules: databases and Socket.IO clients. Each module has a `site` fixture of its own."""

from itertools import count

import pytest

from tests.databases import DATABASES, make_database
from tests.integration.named_clients import entering
from tests.socketio_node import TRANSPORTS, connecting, running_node


@pytest.fixture(scope="module")
def node():
    with running_node() as node:
        yield node


@pytest.fixture
def connect(node, site):
    with connecting(node, site) as connect:
        yield connect


@pytest.fixture
def enter(site):
    with entering(site) as enter:
        yield enter


@pytest.fixture(params=TRANSPORTS.values(), ids=TRANSPORTS)
def transports(request):
    return request.param


@pytest.fixture(scope="session")
def fresh_database(request, tmp_path_factory):
    """A function that makes an empty database of a kind and returns its URL."""
    numbers = count()

    def fresh(kind):
        if kind == "sqlite":
            return f"sqlite:///{tmp_path_factory.mktemp('sqlite')}/chat.db"
        return make_database(request.getfixturevalue("postgresql_server"), f"site{next(numbers)}")

    return fresh


@pytest.fixture(params=DATABASES)
def database_url(request, fresh_database):
    """The URL of an empty database, one of each kind."""
    return fresh_database(request.param)
