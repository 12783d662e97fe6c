"""Session ids name the worker and the machine that made them."""

import pytest

from chat.socketio.sids import Sids, may_speak, new_cookie, read_cookie

RANDOM = "abcdefghij-ABCDEF_12"


@pytest.fixture
def plain():
    return Sids("", 0x1F)


@pytest.fixture
def named():
    return Sids("web1", 0x1F)


def test_an_id_begins_with_the_machine_and_the_worker(plain, named):
    assert plain.new().startswith("0000001f.")
    assert named.new().startswith("web1.0000001f.")
    assert len({named.new() for _ in range(1000)}) == 1000


@pytest.mark.parametrize("node", ["", "web1"])
def test_a_worker_tells_its_peers_ids_from_its_own(node):
    mine, peer = Sids(node, 1), Sids(node, 2)
    assert mine.peer_of(peer.new()) == peer.worker == "00000002"
    assert mine.peer_of(mine.new()) is None


def test_another_machines_workers_are_no_peers(plain, named):
    assert plain.peer_of(Sids("web1", 2).new()) is None
    assert named.peer_of(Sids("", 2).new()) is None
    assert named.peer_of(Sids("web2", 2).new()) is None


@pytest.mark.parametrize(
    "sid",
    [
        "",
        "abc",
        "00000002",
        f"00000002{RANDOM}",
        f"0000002.{RANDOM}",
        f"0000000G.{RANDOM}",
        f"00000002.{RANDOM}x",
        f"00000002.{RANDOM}1234567",
        f"00000002.{RANDOM}123456789",
        f"00000002.{RANDOM}\n",
        f"00000002.{RANDOM[1:]}",
        f".00000002.{RANDOM}",
        f"../00000002.{RANDOM}",
        f"٠٠٠٠٠٠٠٢.{RANDOM}",
        f"00000002.{RANDOM[1:]}é",
    ],
)
def test_a_malformed_id_belongs_to_no_peer(plain, sid):
    assert plain.peer_of(f"00000002.{RANDOM}") == "00000002"
    assert plain.peer_of(sid) is None


# -- ids that are bound to a cookie


@pytest.mark.parametrize("node", ["", "web1"])
def test_a_bound_id_needs_its_cookie_on_any_worker(node):
    cookie = new_cookie()
    sid = Sids(node, 2).new(cookie)
    assert may_speak(sid, cookie)
    assert not any(may_speak(sid, other) for other in ("", new_cookie(), cookie[:-1], cookie.swapcase()))
    assert Sids(node, 1).peer_of(sid) == "00000002"


def test_an_id_that_is_not_bound_needs_none(plain):
    assert may_speak(plain.new(), "") and may_speak(plain.new(), new_cookie())


def test_a_bound_id_is_another_id_without_its_end(plain):
    """What is left when the hash is cut off is no session's id."""
    sid = plain.new(new_cookie())
    assert len(sid) == len(plain.new()) + 8
    assert plain.new(new_cookie())[-8:] != sid[-8:]


@pytest.mark.parametrize(
    "value", [None, "", "x", RANDOM + "x", RANDOM[1:] + "é", RANDOM[1:] + "\n", "=" * 20]
)
def test_a_cookie_that_is_none_of_ours_binds_nothing(value):
    assert read_cookie(value) == ""
    assert read_cookie(RANDOM) == RANDOM
