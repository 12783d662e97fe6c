"""Workers that forward requests to each other: engines in one process, each with its own loop, and real sockets.

Every test here runs again in a process that gevent has patched.
"""

import socket
import stat
import tempfile
import threading
import time
from contextlib import closing
from pathlib import Path

import pytest

from chat.config import Settings
from chat.rooms.client import Taken
from chat.rooms.hub import Hub
from chat.socketio.bad_request import UNKNOWN_SID, BadRequest
from chat.socketio.echo import Echo
from chat.socketio.engine import Engine
from chat.socketio.forwarding import sessions
from chat.socketio.forwarding.client import ForwardingClient
from chat.socketio.forwarding.directory import WorkerDirectory
from chat.socketio.forwarding.sessions import LocalSession
from chat.socketio.sessions import OpeningRequest
from tests.again_under_gevent import again_under_gevent, is_patched

KEY = b"a site's secret"
HANDSHAKE = OpeningRequest("", "en", "", False)


@pytest.fixture
def temporary(monkeypatch):
    """A short path for temporary files: the path of a Unix socket has a limit."""
    with tempfile.TemporaryDirectory(prefix="near-") as path:
        monkeypatch.setattr(tempfile, "tempdir", path)
        yield Path(path)


@pytest.fixture
def directory(temporary):
    return WorkerDirectory(KEY)


def files(directory):
    return sorted(path.name for path in directory.path.iterdir())


# -- the directory


def listen(directory, name):
    """As directory.listen, for a with block."""
    return closing(directory.listen(name))


def test_a_sites_directory_is_its_users_alone(directory):
    with listen(directory, "1"), closing(WorkerDirectory(KEY).connect("1")):
        assert stat.S_IMODE(directory.path.lstat().st_mode) == 0o700


def test_sites_have_different_directories(temporary):
    assert WorkerDirectory(KEY).path != WorkerDirectory(b"another").path


def test_a_worker_that_does_not_listen_is_not_found(directory):
    assert directory.connect("1") is None
    with listen(directory, "2"):
        assert directory.connect("1") is None


def test_the_last_worker_removes_the_directory(directory):
    with listen(directory, "1"), listen(directory, "2"):
        directory.leave("1")
        assert files(directory) == ["2"]
        directory.leave("2")
        assert not directory.path.exists()
        directory.leave("2")


def test_a_dead_workers_file_is_removed_by_whoever_connects(directory):
    directory.listen("1").close()
    assert files(directory) == ["1"]
    assert directory.connect("1") is None
    assert files(directory) == []


def test_dead_workers_files_are_removed_by_whoever_listens(directory):
    directory.listen("1").close()
    with listen(directory, "2"), listen(directory, "3"):
        assert files(directory) == ["2", "3"]


@pytest.mark.parametrize("mode", [0o755, 0o770, 0o701])
def test_a_directory_that_other_users_can_read_is_not_used(directory, mode):
    directory.path.mkdir()
    directory.path.chmod(mode)
    with pytest.raises(PermissionError):
        directory.listen("1")
    assert directory.connect("1") is None


def test_a_symbolic_link_is_not_followed(directory, temporary):
    (temporary / "elsewhere").mkdir(mode=0o700)
    directory.path.symlink_to(temporary / "elsewhere")
    with pytest.raises(PermissionError):
        directory.listen("1")


def test_a_directory_removed_at_the_last_moment_is_made_again(directory, monkeypatch):
    made = directory._make
    removals = [True, True, False]

    def make():
        made()
        if removals.pop(0):
            directory.path.rmdir()

    monkeypatch.setattr(directory, "_make", make)
    with listen(directory, "1"):
        assert files(directory) == ["1"]


# -- two workers


class Worker:
    """An echo engine and its forwarding client."""

    def __init__(self, number, directory, **settings):
        self.logged = []
        hub = Hub(Settings(**settings), lambda message, error: self.logged.append(error), 1000)
        self.reactor = hub.reactor
        self.engine = Engine(hub, hub.settings, Echo(), self.logged.append, number)
        self.client = ForwardingClient(self.engine, lambda: directory)

    def open(self):
        """Open a session on polling and return its id."""
        self.client.listen()
        self.reactor.call_and_wait(self.engine.open_polling, HANDSHAKE)
        return next(reversed(self.engine.sessions))

    def session(self, sid):
        return self.client.session(sid)

    def wait_polled(self, sid):
        """Wait until a poll waits for that session."""
        until(lambda: self.reactor.call_and_wait(lambda: self.engine.sessions[sid].member.has_poll))

    def end(self):
        for parked in self.reactor.parked():
            self.reactor.call_and_wait(parked.drop)
        self.reactor.close()


def until(condition):
    deadline = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < deadline, "timed out"
        time.sleep(0.001)


class Background:
    """A call in a thread of its own, and its result or exception."""

    def __init__(self, function, *args):
        self._outcome = []
        self._thread = threading.Thread(target=self._run, args=(function, *args), daemon=True)
        self._thread.start()

    def _run(self, function, *args):
        try:
            self._outcome.append((function(*args), None))
        except BadRequest as bad:
            self._outcome.append((None, bad))

    def result(self):
        self._thread.join(10)
        ((value, error),) = self._outcome
        if error is not None:
            raise error
        return value


@pytest.fixture
def make_worker(directory):
    made = []

    def make(number, **settings):
        made.append(Worker(number, directory, **settings))
        return made[-1]

    yield make
    for worker in made:
        worker.end()


@pytest.fixture
def owner(make_worker):
    return make_worker(1)


@pytest.fixture
def other(make_worker):
    return make_worker(2)


@pytest.fixture
def session(owner, other):
    """A session of the owner, as the other worker sees it."""
    return other.session(owner.open())


def refused(function, *args):
    with pytest.raises(BadRequest) as bad:
        function(*args)
    return bad.value.code


def test_a_post_and_a_poll_are_forwarded(session):
    session.find()
    session.post("4hello\x1e4大家好".encode())
    assert session.poll().decode() == "4hello\x1e4大家好"


def test_a_poll_waits(owner, session):
    poll = Background(session.poll)
    owner.wait_polled(session._sid)
    session.post(b"4late")
    assert poll.result() == b"4late"


def test_all_requests_share_one_link(owner, other):
    sessions = [other.session(owner.open()) for _ in range(50)]
    polls = [Background(session.poll) for session in sessions]
    for number, session in enumerate(sessions):
        session.post(b"4%d" % number)
    assert [poll.result() for poll in polls] == [b"4%d" % number for number in range(50)]
    assert (len(owner.reactor.parked()), len(other.reactor.parked())) == (2, 1)
    assert len(owner.reactor) == len(other.reactor) == 0  # a drain does not wait for links


def test_refusals_are_forwarded(owner, other, session):
    assert refused(session.post, b"no packet") == 3
    assert refused(session.poll) == refused(session.find) == refused(session.abort) == 1
    session = other.session(owner.open())
    session.abort()
    assert refused(session.find) == 1


def test_two_polls_at_once_end_the_session(owner, session):
    first = Background(session.poll)
    owner.wait_polled(session._sid)
    assert refused(session.poll) == 3
    assert first.result() == b"1"


def test_a_post_beside_one_that_is_being_read_ends_the_session(owner, session):
    owner.engine.posting.add(session._sid)
    assert refused(session.post, b"4x") == 3
    assert refused(session.find) == 1


def test_a_session_that_fails_does_not_affect_others(owner, other, session):
    second = other.session(owner.open())
    poll = Background(second.poll)
    owner.wait_polled(second._sid)
    owner.engine.layer.on_text = lambda session, payload: 1 / 0
    assert refused(session.post, b"4x") == 3
    assert [type(error) for error in owner.logged] == [ZeroDivisionError]
    del owner.engine.layer.on_text
    second.post(b"4y")
    assert poll.result() == b"4y"


def test_a_socket_is_transferred_with_its_early_data(owner, session):
    ours, theirs = socket.socketpair()
    ours.settimeout(10)
    early = b"\x81\x86\0\0\0\x002probe"
    session.probe(Taken(theirs.detach(), b"the handshake's answer", early))
    wanted = b"the handshake's answer\x81\x063probe"
    assert read(ours, len(wanted)) == wanted
    ours.sendall(b"\x81\x81\0\0\0\x005" + b"\x81\x83\0\0\0\x004up")
    assert read(ours, 5) == b"\x81\x034up"
    ours.close()


def read(sock, size):
    data = b""
    while len(data) < size:
        piece = sock.recv(size - len(data))
        assert piece, data
        data += piece
    return data


def test_a_socket_for_a_worker_that_has_ended_is_closed(other):
    ours, theirs = socket.socketpair()
    ours.settimeout(10)
    other.session("00000009.abcdefghij-ABCDEF_12").probe(Taken(theirs.detach(), b"", b""))
    assert ours.recv(1) == b""
    ours.close()


def test_a_session_of_a_worker_that_has_ended_is_unknown_and_logged(other):
    gone = other.session("00000009.abcdefghij-ABCDEF_12")
    assert refused(gone.find) == refused(gone.poll) == UNKNOWN_SID[0]
    assert "sticky sessions" in other.logged[0]


def test_polls_end_with_their_worker(owner, other, session):
    poll = Background(session.poll)
    owner.wait_polled(session._sid)
    owner.reactor.call_and_wait(lambda: [parked.drop() for parked in owner.reactor.parked()])
    with pytest.raises(BadRequest):
        poll.result()
    assert refused(session.post, b"4x") == 1


def test_a_session_outlives_the_worker_that_polled_for_it(owner, other, session, make_worker):
    Background(session.poll)
    owner.wait_polled(session._sid)
    other.reactor.call_and_wait(lambda: [parked.drop() for parked in other.reactor.parked()])
    third = make_worker(3).session(session._sid)
    third.post(b"4kept")
    until(
        lambda: not owner.reactor.call_and_wait(lambda: owner.engine.sessions[session._sid].member.has_poll)
    )
    assert third.poll() == b"4kept"


def test_released_polls_lose_nothing(owner, other, session):
    poll = Background(session.poll)
    owner.wait_polled(session._sid)
    other.reactor.call(other.client.release_polls)
    assert poll.result() == b"6"
    session.post(b"4kept")
    assert session.poll() == b"4kept"


def test_a_draining_worker_does_not_wait_for_polls(other, session):
    other.engine.hub.draining = True
    assert session.poll() == b"6"
    session.post(b"4kept")
    assert session.poll() == b"4kept"


def test_a_request_to_a_worker_that_hangs_times_out(owner, other, session, monkeypatch):
    monkeypatch.setattr(sessions, "REQUEST_TIMEOUT", 0.1)
    session.find()
    _, server = owner.reactor.parked()
    owner.reactor.call_and_wait(owner.reactor.remove, server)  # it reads no more
    assert refused(session.post, b"4x") == 1
    owner.reactor.call_and_wait(owner.reactor.add, server)
    assert session.poll() == b"4x"  # the answer to the post comes late, and does no harm


def test_a_poll_that_times_out_leaves_the_session_as_it_was(make_worker):
    owner, other = (make_worker(n, io_ping_interval=0.05, io_ping_timeout=0.05) for n in (1, 2))
    session = other.session(owner.open())
    assert refused(session.poll) == 1
    session.post(b"4kept")
    assert session.poll() == b"4kept"


def test_its_own_sessions_are_local(owner):
    assert isinstance(owner.session(owner.open()), LocalSession)


def test_a_worker_that_cannot_listen_logs_it_once(owner, directory, caplog):
    directory.path.mkdir(mode=0o755)
    directory.path.chmod(0o755)
    assert owner.open() and owner.open()
    assert len(caplog.messages) == 1
    assert "not this user's alone" in caplog.text


def test_a_worker_that_ends_leaves_no_file(owner, other, directory):
    owner.open()
    other.open()
    owner.client.close()
    assert files(directory) == ["00000002"]
    other.client.close()
    assert not directory.path.exists()


@pytest.mark.skipif(is_patched(), reason="this is that process")
@pytest.mark.slow
def test_all_of_this_holds_under_gevent_too():
    again_under_gevent(__file__)
