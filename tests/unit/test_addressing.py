"""Which user a name means, and the index of connected users by name."""

import pytest

from chat.identity.addressing import Ambiguous, NameIndex, choose
from chat.wire.envelope import Identity

BOB, LOW, OTHER = Identity("1", "Bob"), Identity("2", "bob"), Identity("3", "Bob")


@pytest.mark.parametrize(
    ("name", "users", "chosen"),
    [
        ("Bob", [], None),
        ("BOB", [BOB], BOB),
        ("Bob", [BOB, LOW], BOB),
        ("bob", [BOB, LOW], LOW),
        ("BOB", [LOW, BOB], Ambiguous((BOB, LOW))),
        ("Ｂｏｂ", [BOB, LOW], Ambiguous((BOB, LOW))),
        ("Bob", [BOB, LOW, OTHER], Ambiguous((BOB, OTHER))),
        ("bob", [BOB, LOW, OTHER], LOW),
        ("Bob", [BOB, BOB], BOB),
        ("bob", [BOB, Identity("1", "bob")], BOB),
    ],
)
def test_a_name_means_the_only_exact_spelling_or_else_the_only_user(name, users, chosen):
    assert choose(name, users) == chosen


def test_the_index_finds_all_users_of_a_name_in_any_form():
    index = NameIndex()
    for user in (BOB, LOW, BOB, Identity("4", "Cy")):
        index.add(user)
    assert [index.find(name) for name in ("BOB", "Ｂｏｂ", "Cy", "nobody")] == [
        [BOB, LOW],
        [BOB, LOW],
        [Identity("4", "Cy")],
        [],
    ]


def test_the_index_forgets_a_user_and_keeps_the_others_of_the_name():
    index = NameIndex()
    for user in (BOB, LOW):
        index.add(user)
    index.discard(Identity("1", "bOb"))  # another spelling of the same user
    assert index.find("bob") == [BOB, LOW]
    index.discard(BOB)
    assert index.find("bob") == [LOW]
    for _ in range(2):
        index.discard(LOW)
    assert index.find("bob") == []
