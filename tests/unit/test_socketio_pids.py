"""Private ids of connections: only unchanged ones of this site are read."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chat.socketio.pids import NO_OFFSET, Pid, Pids, fingerprint

PIDS = Pids(b"a key of proper length, as there is")
texts = st.text(st.characters(codec="utf-8"), max_size=20)
pids = st.builds(
    Pid,
    st.integers(0, 2**31),
    st.integers(0, 2**50),
    st.booleans(),
    st.binary(min_size=8, max_size=8),
    texts,
    texts,
    texts,
)


@given(pids)
def test_what_is_written_is_read(pid):
    assert PIDS.read(PIDS.write(pid)) == pid


@given(pids, st.data())
def test_a_changed_pid_is_not_read(pid, data):
    text = PIDS.write(pid)
    at = data.draw(st.integers(0, len(text) - 1))
    other = data.draw(st.characters(codec="ascii"))
    changed = text[:at] + other + text[at + 1 :]
    assert PIDS.read(changed) in ([None, pid] if changed == text or at == len(text) - 1 else [None])


@given(pids)
def test_another_sites_pid_is_not_read(pid):
    assert Pids(b"another key").read(PIDS.write(pid)) is None


@given(st.text() | st.text(st.characters(codec="ascii")))
def test_any_other_text_is_not_read(text):
    assert PIDS.read(text) is None


@pytest.mark.parametrize("pid", ["", "A", "AA==", "A" * 200, "é" * 40, "\ud800", "x" * 10_000])
def test_odd_texts_are_not_read(pid):
    assert PIDS.read(pid) is None


def test_different_offsets_have_different_fingerprints():
    assert fingerprint(None) == NO_OFFSET
    assert (
        len(
            {
                fingerprint(None),
                fingerprint(""),
                fingerprint("1.2"),
                fingerprint("1.3"),
                fingerprint("\ud800"),
            }
        )
        == 5
    )
