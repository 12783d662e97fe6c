"""Session ids name the worker and the machine that made them."""

import pytest

from chat.socketio.sids import Sids

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
