"""The contract of a history: rules hold inside the transaction that writes, however many ask at once."""

from contextlib import suppress
from functools import partial

import pytest

from chat.config import Settings
from chat.rooms import access
from chat.store.history import ADMIN, MEMBER, OWNER, PRIVATE, PUBLIC
from chat.store.rules import Standing
from chat.wire.envelope import DELETED_NAME, DeletedUser, Identity, direct_room
from chat.wire.errors import ChatError
from tests.contract.drafts import ADA, BOB, CY, HISTORIES, ORIGIN, append_texts, direct
from tests.contract.threads import at_once

pytestmark = [pytest.mark.contract, pytest.mark.parametrize("backend", HISTORIES, indirect=True)]

DAN = Identity("4", "Dan")


def codes(results):
    """The codes of the errors among the results of `at_once`."""
    unexpected = [one for one in results if isinstance(one, Exception) and not isinstance(one, ChatError)]
    assert not unexpected
    return [one.code for one in results if isinstance(one, ChatError)]


def owners(history, room):
    return [one.user.id for one in history.members(room.id, None, 100) if one.role == OWNER]


@pytest.fixture
def club(history):
    """A private room with two owners, Ada and Bob, and the member Cy."""
    room = history.create_room("club", PRIVATE, ADA)
    history.join(room.id, BOB, OWNER)
    history.join(room.id, CY)
    return room


def lower(store, room, user):
    """Have an owner lower their own role."""
    rule = partial(access.check_new_role, wanted=MEMBER, is_self=True)
    return store.set_role(room.id, user.id, MEMBER, user.id, rule)


# -- owners


@pytest.mark.parametrize("attempt", range(5))
def test_of_two_owners_who_step_down_at_once_one_stays(history, another, club, attempt):
    results = at_once(lambda: lower(history, club, ADA), lambda: lower(another, club, BOB))
    assert codes(results) == ["last_owner"]
    assert len(owners(history, club)) == 1


@pytest.mark.parametrize("attempt", range(5))
def test_of_two_owners_who_lower_each_other_one_stays(history, another, club, attempt):
    def lower_other(store, mine, theirs):
        rule = partial(access.check_new_role, wanted=MEMBER, is_self=False)
        return store.set_role(club.id, theirs.id, MEMBER, mine.id, rule)

    results = at_once(lambda: lower_other(history, ADA, BOB), lambda: lower_other(another, BOB, ADA))
    assert codes(results) == ["forbidden"]
    assert len(owners(history, club)) == 1


@pytest.mark.parametrize("attempt", range(5))
def test_a_room_that_all_owners_leave_at_once_is_handed_on(history, another, club, attempt):
    assert codes(at_once(lambda: history.leave(club.id, "1"), lambda: another.leave(club.id, "2"))) == []
    assert owners(history, club) == ["3"]


@pytest.mark.parametrize("attempt", range(5))
def test_one_owner_steps_down_while_the_other_leaves(history, another, club, attempt):
    at_once(lambda: lower(history, club, ADA), lambda: another.leave(club.id, "2"))
    assert len(owners(history, club)) == 1


@pytest.mark.parametrize("attempt", range(5))
def test_accounts_that_end_at_once_hand_each_room_on(history, another, attempt):
    rooms = [history.create_room(f"r{number}", PRIVATE, ADA) for number in range(4)]
    for room in rooms:
        history.join(room.id, BOB, ADMIN)
        history.join(room.id, CY)
    ended = at_once(lambda: history.end_account("1"), lambda: another.end_account("2"))
    assert all(len(one.departures) == 4 for one in ended)
    assert [owners(history, room) for room in rooms] == [["3"]] * 4
    assert not history.ownerless_rooms()


def test_a_removed_admin_adds_nobody(history, club):
    history.set_role(club.id, CY.id, ADMIN)
    history.leave(club.id, CY.id)
    with pytest.raises(ChatError, match="forbidden"):
        history.join(club.id, DAN, MEMBER, CY.id, lambda facts: access.check_role(facts.mine, None, MEMBER))
    assert history.role(club.id, DAN.id) is None


@pytest.mark.parametrize("attempt", range(5))
def test_an_admin_is_removed_while_removing_the_one_who_removes(history, another, club, attempt):
    def remove(store, mine, theirs):
        rule = partial(access.check_removal, is_self=False)
        return store.leave(club.id, theirs.id, mine.id, rule)

    results = at_once(lambda: remove(history, ADA, BOB), lambda: remove(another, BOB, ADA))
    assert len(codes(results)) == 1
    assert len(owners(history, club)) == 1


def test_the_successor_is_the_longest_standing_admin_else_member(history):
    room = history.create_room("r", PUBLIC, ADA)
    history.join(room.id, BOB)
    history.join(room.id, CY, ADMIN)
    history.join(room.id, DAN, ADMIN)
    heirs = [history.leave(room.id, id).successor for id in ("1", "3", "4")]
    assert heirs == [CY, DAN, BOB]
    assert history.leave(room.id, "2").successor is None and history.leave(room.id, "2") is None
    assert history.leave(room.id, "1") is None


def test_who_enters_a_room_that_everybody_left_becomes_its_owner(history):
    room = history.create_room("r", PUBLIC, ADA)
    history.leave(room.id, "1")
    assert not history.ownerless_rooms()
    results = at_once(*(lambda user=user: history.join(room.id, user) for user in (BOB, CY, DAN)))
    assert results == [True] * 3
    assert len(owners(history, room)) == 1


def test_a_room_of_the_site_needs_no_owner(history):
    room = history.create_room("news", PUBLIC, None)
    history.join(room.id, BOB)
    assert history.role(room.id, "2") == MEMBER
    assert history.ownerless_rooms() == [] and history.repair_owner(room.id) is None


def test_a_rule_that_refuses_changes_nothing(history, club):
    def refuse(facts):
        assert facts == Standing(OWNER, MEMBER, 2)
        raise ChatError("forbidden")

    for call in (
        lambda: history.set_role(club.id, "3", ADMIN, "1", refuse),
        lambda: history.leave(club.id, "3", "1", refuse),
        lambda: history.join(club.id, CY, ADMIN, "1", refuse),
    ):
        with pytest.raises(ChatError):
            call()
    assert history.role(club.id, "3") == MEMBER


# -- rooms that are created


def test_no_more_rooms_are_created_than_allowed(history, another):
    rule = partial(access.check_creation, Settings(max_rooms_created=3))
    made = at_once(
        *(
            lambda n=n: (history, another)[n % 2].create_room(f"r{n}", PUBLIC, ADA, rule=rule)
            for n in range(20)
        )
    )
    assert codes(made) == ["too_many_rooms"] * 17
    assert history.count_created("1") == 3


def test_of_titles_that_look_alike_one_is_given(history, another):
    rule = partial(access.check_creation, Settings())
    titles = ["Plans", "РIans", "PIans", "Ｐlans", "plаns", "Plans\ufe0f"]
    made = at_once(
        *(
            lambda n=n, title=title: (history, another)[n % 2].create_room(
                title, PUBLIC, Identity(f"u{n}", f"u{n}"), rule=rule
            )
            for n, title in enumerate(titles)
        )
    )
    assert codes(made) == ["room_taken"] * 5
    assert len(history.directory("", None, 10)) == 2


def test_whose_titles_are_compared(history):
    rule = partial(access.check_creation, Settings())
    mine = history.create_room("Team", PRIVATE, ADA, rule=rule)
    with pytest.raises(ChatError, match="room_taken"):
        history.create_room("Tеam", PRIVATE, ADA, rule=rule)
    with pytest.raises(ChatError, match="room_taken"):
        history.create_room("Lobby", PRIVATE, ADA, rule=rule)
    theirs = history.create_room("Tеam", PRIVATE, BOB, rule=rule)  # nobody sees both
    other = history.create_room("Other", PRIVATE, BOB, rule=rule)
    history.join(other.id, ADA)
    with pytest.raises(ChatError, match="room_taken"):
        history.update_room(other.id, title="TEAM".title(), by="2", rule=access.check_change)
    assert history.update_room(theirs.id, title="Team", by="2", rule=access.check_change).title == "Team"
    with pytest.raises(ChatError, match="forbidden"):
        history.update_room(mine.id, topic="x", by="2", rule=access.check_change)
    history.leave(mine.id, "1")
    assert history.create_room("team", PRIVATE, ADA, rule=rule)


def test_a_new_title_is_compared_with_its_old_one_by_nobody(history):
    room = history.create_room("Plans", PRIVATE, ADA)
    assert history.update_room(room.id, title="plans", by="1", rule=access.check_change).title == "plans"


# -- accounts


def test_an_account_ends(history, club, lobby):
    history.join(lobby.id, ADA)
    ended = history.end_account("1")
    assert {departure.room for departure in ended.departures} == {club.name, "lobby"}
    assert all(departure.successor is None for departure in ended.departures)  # Bob is an owner too
    assert history.rooms_of("1") == [] and owners(history, club) == ["2"]
    assert history.end_account("1") is None and history.end_account("nobody") is None


def test_an_account_that_has_ended_begins_nothing(history, lobby, club):
    history.end_account("1")
    assert not history.join(lobby.id, ADA)
    with pytest.raises(ChatError, match="account_deleted"):
        history.create_room("mine", PUBLIC, ADA)
    assert history.rooms_of("1") == []


@pytest.mark.parametrize("attempt", range(5))
def test_an_account_ends_while_it_joins_and_creates(history, another, lobby, attempt):
    results = at_once(
        lambda: history.end_account("1"),
        lambda: another.join(lobby.id, ADA),
        lambda: another.create_room("mine", PRIVATE, ADA),
    )
    assert set(codes(results)) <= {"account_deleted"}
    assert history.rooms_of("1") == [] and not history.ownerless_rooms()


def test_a_site_user_without_a_row_ends_too(history, lobby):
    history.join(lobby.id, DAN)
    assert history.end_account("4").departures[0].room == "lobby"
    assert history.end_account("4") is None
    assert not history.join(lobby.id, DAN)


def test_what_is_seen_of_an_account_that_has_ended(history, lobby):
    append_texts(history, "in the lobby", "mine", sender=ADA)
    history.append([direct("bob", "from Ada"), direct("ada", "from Bob", sender=BOB)], ORIGIN)
    history.join(lobby.id, BOB)
    ended = history.end_account("1")
    assert ended.conversations == [(direct_room("1", "2"), "2")]
    page = history.before(lobby.id, None, 10)
    assert [message.user for message in page] == [("1", DELETED_NAME)] * 2
    assert all(isinstance(message.user, DeletedUser) for message in page)
    conversation = history.room(direct_room("1", "2"))
    first, second = history.after(conversation.id, 0, 10)
    assert (first.user.username, first.to) == (DELETED_NAME, "Bob")
    assert (second.user, second.to) == (BOB, DELETED_NAME)
    (found,) = history.search("from ada", [conversation.id], None, 10)
    assert found.user.username == DELETED_NAME
    (of,) = [of for of in history.rooms_of("2") if of.room.name == conversation.name]
    assert isinstance(of.peer, DeletedUser) and of.peer.id == "1" and of.last.to == DELETED_NAME
    (of,) = [of for of in history.rooms_of("2") if of.room.name == "lobby"]
    assert of.last.user.username == DELETED_NAME
    assert {one.user.username for one in history.members(conversation.id, None, 10)} == {"Bob", DELETED_NAME}


def test_nothing_is_written_to_an_account_that_has_ended(history):
    history.append([direct("bob", "hello")], ORIGIN)
    history.end_account("2")
    to_id, to_name = history.append([direct(None, "again", to_id="2"), direct("bob", "again")], ORIGIN)
    assert (to_id, to_name) == ("account_deleted", "unknown_user")
    assert history.append([direct(None, "new", sender=CY, to_id="2")], ORIGIN) == ["account_deleted"]
    assert history.room(direct_room("2", "3")) is None


# -- repair


def test_rooms_without_an_owner_are_repaired(history):
    room, other = history.create_room("r", PRIVATE, ADA), history.create_room("s", PRIVATE, BOB)
    for user, role in ((BOB, MEMBER), (CY, ADMIN)):
        history.join(room.id, user, role)
    assert history.ownerless_rooms() == []
    history.set_role(room.id, "1", MEMBER)  # without a rule, as an older version did
    assert history.ownerless_rooms() == [history.room(room.name)]
    assert history.repair_owner(other.id) is None
    departure = history.repair_owner(room.id)
    assert (departure.room, departure.successor) == (room.name, CY)
    assert owners(history, room) == ["3"] and history.ownerless_rooms() == []


# -- invitations

INVITE = partial(access.check_invitation, Settings(), role=MEMBER)
LIMITS = Settings(invitations_open=3, invitations_per_hour=5)


def test_an_invitation_is_accepted(history):
    room = history.create_room("r", PRIVATE, ADA, topic="t")
    assert history.invite(room.id, ADA, BOB, MEMBER, INVITE) == (MEMBER, False, True)
    assert history.invite(room.id, ADA, BOB, MEMBER, INVITE) == (MEMBER, False, False)
    assert history.role(room.id, "2") is None
    (mine,) = history.invitations_of("2", 10)
    assert mine[:7] == (room.name, "r", "t", PRIVATE, BOB, ADA, MEMBER)
    assert history.invitations_to(room.id, 10) == [mine]
    assert history.accept(room.id, CY, access.check_acceptance) is None
    assert history.accept(room.id, BOB, access.check_acceptance) == (MEMBER, ADA, True)
    assert history.accept(room.id, BOB, access.check_acceptance) is None
    assert history.role(room.id, "2") == MEMBER and history.invitations_of("2", 10) == []
    assert history.invite(room.id, ADA, BOB, ADMIN, INVITE) == (MEMBER, True, False)


def test_an_invitation_is_declined(history):
    room = history.create_room("r", PRIVATE, ADA)
    history.invite(room.id, ADA, BOB, MEMBER, INVITE)
    assert history.decline(room.id, "2") and not history.decline(room.id, "2")
    assert history.accept(room.id, BOB, access.check_acceptance) is None
    with pytest.raises(ChatError, match="invitation_declined"):
        history.invite(room.id, ADA, BOB, MEMBER, INVITE)


def test_an_invitation_is_withdrawn(history, club):
    history.invite(club.id, ADA, DAN, MEMBER, INVITE)
    with pytest.raises(ChatError, match="forbidden"):
        history.withdraw(club.id, "4", "3", access.check_withdrawal)
    assert history.withdraw(club.id, "4", "2", access.check_withdrawal)
    assert not history.withdraw(club.id, "4", "2", access.check_withdrawal)
    assert history.invitations_of("4", 10) == []


def end_inviter(history, room):
    history.end_account("1")


def inviter_leaves(history, room):
    history.leave(room.id, "1")


def lower_inviter(history, room):
    history.set_role(room.id, "1", MEMBER)


@pytest.mark.parametrize("what", [end_inviter, inviter_leaves, lower_inviter])
def test_an_invitation_ends_with_the_right_to_invite(history, club, what):
    history.invite(club.id, ADA, DAN, MEMBER, INVITE)
    what(history, club)
    with suppress(ChatError):
        assert history.accept(club.id, DAN, access.check_acceptance) is None
    assert history.role(club.id, "4") is None


def test_nobody_is_invited_into_a_room_that_everybody_left(history):
    room = history.create_room("r", PRIVATE, ADA)
    history.join(room.id, BOB, ADMIN)
    history.invite(room.id, BOB, CY, MEMBER, INVITE)
    history.leave(room.id, "1")
    history.leave(room.id, "2")
    assert history.accept(room.id, CY, access.check_acceptance) is None
    assert history.invitations_of("3", 10) == []


@pytest.mark.parametrize("attempt", range(5))
def test_an_invitation_is_accepted_while_the_last_member_leaves(history, another, attempt):
    room = history.create_room("r", PRIVATE, ADA)
    history.invite(room.id, ADA, BOB, MEMBER, INVITE)
    at_once(
        lambda: history.leave(room.id, "1"), lambda: another.accept(room.id, BOB, access.check_acceptance)
    )
    assert owners(history, room) == [one.user.id for one in history.members(room.id, None, 10)]


def test_open_invitations_are_limited_however_many_ask_at_once(history, another):
    rule = partial(access.check_invitation, LIMITS, role=MEMBER)
    rooms = [history.create_room(f"r{n}", PRIVATE, ADA) for n in range(4)]
    made = at_once(
        *(
            lambda n=n: (history, another)[n % 2].invite(
                rooms[n % 4].id, ADA, Identity(f"x{n}", f"x{n}"), MEMBER, rule
            )
            for n in range(16)
        )
    )
    assert codes(made) == ["too_many_invitations"] * 13


@pytest.mark.parametrize("end", ["decline", "withdraw", "accept", "leave"])
def test_the_rate_of_invitations_is_limited_whatever_becomes_of_them(history, end):
    rule = partial(access.check_invitation, LIMITS, role=MEMBER)

    def invite_once(number):
        room = history.create_room(f"r{number}", PRIVATE, ADA)
        history.invite(room.id, ADA, BOB, MEMBER, rule)
        if end == "decline":
            history.decline(room.id, "2")
        elif end == "withdraw":
            history.withdraw(room.id, "2", "1", access.check_withdrawal)
        elif end == "accept":
            history.accept(room.id, BOB, access.check_acceptance)
        else:
            history.leave(room.id, "1")

    for number in range(5):
        invite_once(number)
    with pytest.raises(ChatError, match="too_many_invitations"):
        invite_once(5)


def test_inviting_the_same_user_again_and_again_counts(history):
    rule = partial(access.check_invitation, LIMITS, role=MEMBER)
    room = history.create_room("r", PRIVATE, ADA)
    for _ in range(5):
        history.invite(room.id, ADA, BOB, MEMBER, rule)
        history.withdraw(room.id, "2", "1", access.check_withdrawal)
    with pytest.raises(ChatError, match="too_many_invitations"):
        history.invite(room.id, ADA, BOB, MEMBER, rule)


def test_a_room_whose_title_one_has_already_is_not_accepted(history):
    room, alike = history.create_room("Board", PRIVATE, BOB), history.create_room("Bоard", PRIVATE, ADA)
    history.invite(alike.id, ADA, BOB, MEMBER, INVITE)
    with pytest.raises(ChatError, match="room_taken"):
        history.accept(alike.id, BOB, access.check_acceptance)
    assert history.invitations_of("2", 10)
    history.update_room(room.id, title="The board")
    assert history.accept(alike.id, BOB, access.check_acceptance)


def test_invitations_end_with_the_account_of_the_invited(history, club):
    history.invite(club.id, ADA, DAN, MEMBER, INVITE)
    history.join(history.room("lobby").id, DAN)
    history.end_account("4")
    assert history.invitations_to(club.id, 10) == []
    assert history.accept(club.id, DAN, access.check_acceptance) is None
