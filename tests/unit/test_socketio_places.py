"""How many Socket.IO sessions one address may have, and what counts as one address."""

import pytest

from chat.socketio.sessions import OpeningRequest
from chat.store import migrate
from tests.socketio_processes import Process, io_settings, new_clock

MOST = 3


@pytest.fixture
def process(tmp_path):
    url = f"sqlite:///{tmp_path}/chat.db"
    migrate.upgrade(url)
    process = Process(url, io_settings(max_connections_per_ip=MOST), new_clock())
    yield process
    process.kill()


def test_the_sessions_of_one_ipv6_network_count_as_one(process):
    engine = process.runtime.io_engine
    with process.scheduled():
        for number in range(MOST):
            assert engine.has_place("2001:db8:0:7:ffff::1")
            engine.open_polling(OpeningRequest(f"2001:db8:0:7::{number}", "en", "", False))
        assert not engine.has_place("2001:db8:0:7:ffff::1")
        assert engine.has_place("2001:db8:0:8::1")
        next(iter(engine.sessions.values())).member.drop()
        process.scheduler.run()
    assert engine.has_place("2001:db8:0:7:ffff::1")
