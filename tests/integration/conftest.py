"""What the tests of Socket.IO's clients share; `site` is each module's own."""

import pytest

from tests.integration.people import entering
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
