"""Invitations by the JSON API: who asks whom, what comes of it, and how many one may send."""

import pytest

from tests.integration.api_users import FORBIDDEN, ApiUser, code, make_site, new, part


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    return make_site(tmp_path_factory, CHAT_INVITATIONS_OPEN=4, CHAT_INVITATIONS_PER_HOUR=6)


@pytest.fixture
def ann(site):
    return ApiUser(site, "ann")


@pytest.fixture
def bob(site):
    return ApiUser(site, "bob")


@pytest.fixture
def eve(site):
    return ApiUser(site, "eve")


@pytest.fixture
def room(ann):
    """A private room of ann's."""
    return ann.make(new("plan"), "private", topic="what to do")


def invite(inviter, room, user, role="member"):
    return inviter.post(f"/rooms/{part(room)}/members", {"id": user.id, "role": role})


def answer(user, room, word):
    return user.post(f"/invitations/{part(room)}/{word}")


def invitations(user):
    status, body = user.get("/invitations")
    assert status == 200
    return body["invitations"]


def test_nobody_is_in_a_room_before_having_accepted(ann, bob, room):
    status, member = invite(ann, room, bob, "admin")
    assert (status, member) == (202, {**bob.shown, "role": "admin", "here": False, "invited": True})
    assert room not in bob.rooms() and code(bob.get(f"/rooms/{room}")) == (404, "unknown_room")
    (mine,) = invitations(bob)
    assert mine.pop("at") > 0
    assert mine == {
        "room": room,
        "title": ann.rooms()[room]["title"],
        "topic": "what to do",
        "kind": "private",
        "inviter": ann.shown,
        "role": "admin",
    }
    status, view = answer(bob, room, "accept")
    assert (status, view["name"], view["role"]) == (200, room, "admin")
    assert invitations(bob) == [] and bob.rooms()[room]["role"] == "admin"
    assert code(answer(bob, room, "accept")) == (404, "unknown_invitation")
    assert invite(ann, room, bob) == (200, {**bob.shown, "role": "admin", "here": False})


def test_an_invitation_to_a_public_room_asks_too(ann, bob):
    room = ann.make(new("tea"))
    assert invite(ann, room, bob)[0] == 202
    assert room not in bob.rooms()


def test_an_invitation_is_declined_and_not_repeated(ann, bob, room):
    invite(ann, room, bob)
    assert answer(bob, room, "decline") == (204, None)
    assert code(answer(bob, room, "decline")) == (404, "unknown_invitation")
    assert code(answer(bob, room, "accept")) == (404, "unknown_invitation")
    assert code(invite(ann, room, bob)) == (403, "invitation_declined")
    assert room not in bob.rooms()


@pytest.mark.parametrize("word", ["accept", "decline"])
def test_who_is_not_invited_learns_nothing_of_the_room(ann, bob, eve, room, word):
    invite(ann, room, bob)
    for there in (room, "nowhere", "lobby", f"dm:{ann.id}:{bob.id}"):
        assert code(answer(eve, there, word)) == (404, "unknown_invitation")


def test_administrators_see_and_withdraw_invitations(ann, bob, eve, room):
    invite(ann, room, bob)
    (sent,) = ann.get(f"/rooms/{room}/invitations")[1]["invitations"]
    assert (sent["user"], sent["inviter"], sent["role"]) == (bob.shown, ann.shown, "member")
    ann.add(room, eve)
    assert code(eve.get(f"/rooms/{room}/invitations")) == FORBIDDEN
    assert code(eve.delete(f"/rooms/{room}/invitations/{part(bob.id)}")) == FORBIDDEN
    assert ann.delete(f"/rooms/{room}/invitations/{part(bob.id)}") == (204, None)
    for user_id in (bob.id, "nobody", "\x00"):
        there = f"/rooms/{room}/invitations/{part(user_id)}"
        assert code(ann.delete(there)) == (404, "unknown_invitation")
    assert invitations(bob) == []


def test_an_invitation_ends_when_its_inviter_is_put_out(ann, bob, eve, room):
    ann.add(room, bob, "admin")
    invite(bob, room, eve)
    assert ann.delete(f"/rooms/{room}/members/{part(bob.id)}")[0] == 204
    assert invitations(eve) == [] and code(answer(eve, room, "accept")) == (404, "unknown_invitation")


def test_few_invitations_of_one_user_wait_for_an_answer(ann, site, room):
    others = [ApiUser(site, "guest") for _ in range(6)]
    assert [invite(ann, room, other)[0] for other in others] == [202] * 4 + [429] * 2
    assert code(invite(ann, room, others[4])) == (429, "too_many_invitations")
    assert invite(ann, room, others[0])[0] == 202  # invited already
    answer(others[0], room, "accept")
    assert invite(ann, room, others[4])[0] == 202


def test_few_invitations_are_sent_in_an_hour(ann, site, room):
    for number in range(6):
        guest = ApiUser(site, "guest")
        assert invite(ann, room, guest)[0] == 202
        assert answer(guest, room, "accept" if number % 2 else "decline")[0] in (200, 204)
    assert code(invite(ann, room, ApiUser(site, "guest"))) == (429, "too_many_invitations")


def test_the_room_reads_who_was_invited_and_who_came(ann, bob, room):
    invite(ann, room, bob)
    answer(bob, room, "accept")
    messages = ann.get(f"/rooms/{room}/messages")[1]["messages"]
    assert [(message["user"], message["data"]) for message in messages] == [
        (None, f"{ann.name} invited {bob.name}."),
        (None, f"{bob.name} joined, invited by {ann.name}."),
    ]


def test_the_line_is_in_the_language_of_the_one_who_invites(ann, bob, room):
    ann.ask("POST", f"/rooms/{room}/members", {"id": bob.id}, headers={"Accept-Language": "zh-CN,zh;q=0.9"})
    (line,) = ann.get(f"/rooms/{room}/messages")[1]["messages"]
    assert line["data"] == f"{ann.name} 邀请了 {bob.name}。"


def test_a_site_may_add_members_without_asking(tmp_path_factory):
    site = make_site(tmp_path_factory, CHAT_INVITATIONS="direct", CHAT_INVITATIONS_PER_HOUR=3)
    ann, guests = ApiUser(site, "ann"), [ApiUser(site, "guest") for _ in range(4)]
    room = ann.make("plan", "private")
    assert [invite(ann, room, guest)[0] for guest in guests] == [201, 201, 201, 429]
    assert room in guests[0].rooms() and room not in guests[3].rooms()
    assert invitations(guests[0]) == []


def test_where_nobody_is_asked_a_room_with_a_title_that_one_has_is_not_added(tmp_path_factory):
    site = make_site(tmp_path_factory, CHAT_INVITATIONS="direct")
    ann, bob = ApiUser(site, "ann"), ApiUser(site, "bob")
    bob.make("Board", "private")
    room = ann.make("Bоard", "private")
    assert code(invite(ann, room, bob)) == (409, "room_taken")
    assert invitations(bob) == [] and room not in bob.rooms()


# -- titles


@pytest.mark.parametrize("kind", ["public", "private"])
@pytest.mark.parametrize(
    "title",
    [
        *("Lobby", "lоbby", "LOBBY", "Iobby", "Administrators", "administrаtors", "A.d.m.i.n", "everyone!"),
        *("系统", "管理员", "【管理员】", "deleted account", "Lobby\ufe0f", "L0bby", "system"),
    ],
)
def test_reserved_titles(ann, title, kind):
    assert code(ann.post("/rooms", {"title": title, "kind": kind})) in (
        (403, "reserved_title"),
        (409, "room_taken"),
    )


def test_a_private_room_is_not_renamed_to_a_reserved_title(ann, room):
    assert code(ann.patch(f"/rooms/{room}", {"title": "Аdmin"})) == (403, "reserved_title")
    assert ann.patch(f"/rooms/{room}", {"title": "Administration of tea"})[0] == 200


@pytest.mark.parametrize("title", ["\u3164", "\u2800", "\ufe0f", "\u115f\u1160"])
def test_titles_that_nobody_can_see(ann, title):
    assert code(ann.post("/rooms", {"title": title, "kind": "private"})) == (400, "bad_title")


def test_titles_that_look_like_those_that_one_sees(ann, bob):
    title = new("Harbour")
    room, alike = ann.make(title), title.replace("a", "а")
    for kind in ("public", "private"):
        assert code(bob.post("/rooms", {"title": alike, "kind": kind})) == (409, "room_taken")
    private = bob.make(new("plan"), "private")
    assert code(bob.patch(f"/rooms/{private}", {"title": alike})) == (409, "room_taken")
    assert bob.patch(f"/rooms/{private}", {"title": bob.rooms()[private]["title"]})[0] == 200
    assert room in ann.rooms()


def test_a_site_may_reserve_more_and_use_all_of_them_itself(tmp_path_factory):
    site = make_site(tmp_path_factory, CHAT_RESERVED_NAMES=["Acme", "客户经理"])
    ann = ApiUser(site, "ann")
    for title in ("ACME", "Аcme", "客户经理"):
        assert code(ann.post("/rooms", {"title": title, "kind": "public"})) == (403, "reserved_title")
    chat = site.extensions["chat"]
    assert chat.create_room("Acme").name == "Acme" and chat.create_room("Support").name == "Support"
