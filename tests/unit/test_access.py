"""Who may do what: every kind of room with every role, and the rules about roles."""

import inspect
from itertools import product

import pytest

from chat.config import Settings
from chat.rooms import access
from chat.rooms.access import LOBBY, Right, check, rights
from chat.service import ChatService
from chat.store.history import Membership, RoomRow
from chat.store.succession import successor
from chat.wire.envelope import Identity
from chat.wire.errors import ChatError

ANN, BOB, EVE = "id-ann", "id-bob", "id-eve"
KINDS = ("public", "private", "direct")
ROLES = (None, "member", "admin", "owner")

NOTHING = Right(0)
PART = Right.ENTER | Right.READ | Right.WRITE
ALL = PART | Right.ADMINISTER

#: What ann may do, by kind and role. A conversation's name gives its participants their rights; a role adds none.
TABLE = {
    ("public", None): PART,
    ("public", "member"): PART,
    ("public", "admin"): ALL,
    ("public", "owner"): ALL,
    ("private", None): NOTHING,
    ("private", "member"): PART,
    ("private", "admin"): ALL,
    ("private", "owner"): ALL,
    ("direct", None): PART,
    ("direct", "member"): PART,
    ("direct", "admin"): PART,
    ("direct", "owner"): PART,
}


def room(kind="public", name=None, ephemeral=False):
    name = name or {"public": "tea", "private": "p-x", "direct": f"dm:{ANN}:{BOB}"}[kind]
    return RoomRow(1, name, name, "", kind, ephemeral, "e", 1, 0, 0, None, 0)


def code_of(function, *args):
    """Return the code of the ChatError that the call raises, or None."""
    try:
        function(*args)
    except ChatError as error:
        return error.code
    return None


# -- rights


def test_the_table_is_complete():
    assert TABLE.keys() == set(product(KINDS, ROLES))


@pytest.mark.parametrize("ephemeral", [False, True])
@pytest.mark.parametrize(("kind", "role"), TABLE)
def test_what_a_user_may_do(kind, role, ephemeral):
    assert rights(room(kind, ephemeral=ephemeral), ANN, role) == TABLE[kind, role]


@pytest.mark.parametrize("role", ROLES)
def test_another_user_has_no_right_in_a_conversation_whatever_the_role(role):
    assert rights(room("direct"), EVE, role) == NOTHING


def test_both_participants_have_the_rights_of_a_conversation():
    assert rights(room("direct"), ANN, None) == rights(room("direct"), BOB, None) == PART


def test_an_unknown_role_gives_no_right_in_a_private_room():
    assert rights(room("private"), ANN, "visitor") == NOTHING


@pytest.mark.parametrize("wanted", Right)
@pytest.mark.parametrize(("kind", "role"), TABLE)
def test_a_check_grants_what_the_table_grants(kind, role, wanted):
    place, had = room(kind), TABLE[kind, role]
    if wanted in had:
        assert check(place, ANN, role, wanted) is place
    else:
        expected = "forbidden" if had & Right.READ else "unknown_room"
        assert code_of(check, place, ANN, role, wanted) == expected


def test_two_rights_are_both_needed():
    both = Right.READ | Right.ADMINISTER
    assert code_of(check, room(), ANN, "member", both) == "forbidden"
    assert check(room(), ANN, "admin", both)


@pytest.mark.parametrize("wanted", Right)
def test_a_missing_room_and_a_hidden_room_have_the_same_answer(wanted):
    assert code_of(check, None, ANN, None, wanted) == "unknown_room"
    assert code_of(check, room("private"), ANN, None, wanted) == "unknown_room"
    assert code_of(check, room("direct"), EVE, None, wanted) == "unknown_room"


# -- creating and leaving rooms


@pytest.mark.parametrize(
    ("settings", "created", "code"),
    [
        ({}, 0, None),
        ({}, 99, None),
        ({}, 100, "too_many_rooms"),
        ({"max_rooms_created": 0}, 0, "too_many_rooms"),
        ({"create_rooms": False}, 0, "rooms_closed"),
        ({"create_rooms": False}, 100, "rooms_closed"),
    ],
)
def test_who_may_create_a_room(settings, created, code):
    assert code_of(access.check_create, Settings(**settings), created) == code


@pytest.mark.parametrize(
    ("place", "code"),
    [
        (room("public"), None),
        (room("private"), None),
        (room("public", LOBBY), "forbidden"),
        (room("direct"), "forbidden"),
    ],
    ids=lambda it: getattr(it, "name", it),
)
def test_which_rooms_can_be_left(place, code):
    assert code_of(access.check_leave, place) == code


def test_the_lobby_has_one_name():
    assert inspect.signature(ChatService.roster).parameters["room"].default == LOBBY


def member(name, role, joined_at):
    return Membership(Identity(f"id-{name}", name), role, 0, joined_at)


@pytest.mark.parametrize(
    ("members", "name"),
    [
        ([], None),
        ([("ann", "member", 1)], "ann"),
        ([("ann", "member", 2), ("bob", "member", 1)], "bob"),
        ([("ann", "member", 1), ("bob", "admin", 3), ("cy", "admin", 2)], "cy"),
        ([("bob", "member", 1), ("ann", "member", 1)], "ann"),
        ([("ann", "admin", 1), ("bob", "owner", 2)], None),
    ],
)
def test_the_successor_of_an_owner(members, name):
    chosen = successor([member(*one) for one in members])
    assert (chosen and chosen.user.username) == name


# -- roles

#: (mine, theirs, wanted) that are allowed, beside all that an owner does.
ADMINS_MAY = {(None, "member"), ("member", None), ("member", "member")}


@pytest.mark.parametrize(("mine", "theirs", "wanted"), list(product(ROLES, ROLES, ROLES)))
def test_who_may_change_whose_role(mine, theirs, wanted):
    pair = (theirs, wanted)
    allowed = mine == "owner" or (mine == "admin" and (pair in ADMINS_MAY or pair == (None, None)))
    assert code_of(access.check_role, mine, theirs, wanted) == (None if allowed else "forbidden")


@pytest.mark.parametrize(("mine", "wanted"), list(product(ROLES[1:], ROLES[1:])))
def test_a_user_may_lower_the_own_role_and_not_raise_it(mine, wanted):
    raised = ROLES.index(wanted) > ROLES.index(mine)
    assert code_of(access.check_own_role, mine, wanted) == ("forbidden" if raised else None)


@pytest.mark.parametrize(
    ("role", "owners", "code"),
    [("owner", 1, "last_owner"), ("owner", 2, None), ("admin", 1, None), ("member", 0, None)],
)
def test_the_last_owner_stays(role, owners, code):
    assert code_of(access.check_last_owner, role, owners) == code
