"""Members by the JSON API: who takes whom in, puts whom out, and gives which role; without asking whom one adds."""

import pytest

from chat.wire.envelope import Identity
from tests.integration.api_users import FORBIDDEN, ApiUser, code, make_site, new, part


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    return make_site(tmp_path_factory, CHAT_INVITATIONS="direct", CHAT_INVITATIONS_PER_HOUR=1000)


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
def tea(ann):
    """A public room of ann's."""
    return ann.make(new("tea"))


def test_members_are_listed_in_pages(ann, site, tea):
    others = [ApiUser(site, f"user{number}-") for number in range(7)]
    for other in others:
        other.join(tea)
    names = [ann.name, *(other.name for other in others)]
    assert ann.names(f"/rooms/{tea}/members", "members", limit=3) == names
    (first,) = ann.get(f"/rooms/{tea}/members", limit=1)[1]["members"]
    assert first == {**ann.shown, "role": "owner", "here": False}


def test_an_owner_adds_a_member_whatever_the_case_of_the_name(ann, bob):
    room = ann.make("plan", "private")
    status, member = ann.post(f"/rooms/{room}/members", {"username": bob.name.upper(), "role": "admin"})
    assert (status, member) == (201, {**bob.shown, "role": "admin", "here": False})
    assert ann.post(f"/rooms/{room}/members", {"username": bob.name}) == (200, member)
    assert bob.rooms()[room]["role"] == "admin"


def test_of_names_that_differ_in_case_an_id_adds_the_right_user(ann, site):
    name = new("Bob")
    users = [Identity(f"s-{name}", name), Identity(f"t-{name}", name.lower())]
    for user in users:
        site.extensions["chat"].users.ensure(user)
    room = ann.make("plan", "private")
    status, answer = ann.post(f"/rooms/{room}/members", {"username": name.upper()})
    assert (status, answer["code"], answer["users"]) == (
        409,
        "ambiguous_to",
        [user._asdict() for user in users],
    )
    status, member = ann.post(f"/rooms/{room}/members", {"username": name, "id": users[1].id})
    assert (status, member["id"], member["username"]) == (201, *users[1])


@pytest.mark.parametrize(
    ("body", "status", "what"),
    [
        ({}, 400, "bad_username"),
        ({"id": 5}, 400, "bad_username"),
        ({"id": "nobody"}, 404, "unknown_user"),
        ({"username": 5}, 400, "bad_username"),
        ({"username": ""}, 400, "bad_username"),
        ({"username": "a\u0000"}, 400, "bad_username"),
        ({"username": "nobody"}, 404, "unknown_user"),
        ({"username": "{bob}", "role": "king"}, 400, "bad_role"),
        ({"username": "{bob}", "role": None}, 400, "bad_role"),
        ({"username": "{bob}", "role": []}, 400, "bad_role"),
    ],
)
def test_users_who_cannot_be_added(ann, bob, tea, body, status, what):
    if body.get("username") == "{bob}":
        body = body | {"username": bob.name}
    assert code(ann.post(f"/rooms/{tea}/members", body)) == (status, what)


@pytest.fixture
def club(ann, bob, site):
    """A private room with an owner, an admin and two members: its name, and all four."""
    people = {"owner": ann, "admin": bob, "member": ApiUser(site, "cy"), "other": ApiUser(site, "dan")}
    room = ann.make("club", "private")
    for name, role in (("admin", "admin"), ("member", "member"), ("other", "member")):
        ann.add(room, people[name], role)
    return room, people


@pytest.mark.parametrize(
    ("who", "role", "outcome"),
    [
        ("owner", "owner", 201),
        ("admin", "member", 201),
        ("admin", "admin", FORBIDDEN),
        ("admin", "owner", FORBIDDEN),
        ("member", "member", FORBIDDEN),
    ],
)
def test_who_may_add_members(club, eve, who, role, outcome):
    room, people = club
    answer = people[who].post(f"/rooms/{room}/members", {"username": eve.name, "role": role})
    assert (answer[0] if outcome == 201 else code(answer)) == outcome
    assert (room in eve.rooms()) == (outcome == 201)


def place(club, name):
    """The address of somebody's membership."""
    room, people = club
    return f"/rooms/{room}/members/{part(people[name].id)}"


DONE = None


@pytest.mark.parametrize(
    ("who", "whom", "role", "outcome"),
    [
        ("owner", "member", "admin", DONE),
        ("owner", "admin", "owner", DONE),
        ("owner", "admin", "member", DONE),
        ("owner", "owner", "member", (403, "last_owner")),
        ("owner", "owner", "owner", DONE),
        ("admin", "member", "admin", FORBIDDEN),
        ("admin", "member", "member", DONE),
        ("admin", "owner", "member", FORBIDDEN),
        ("admin", "admin", "owner", FORBIDDEN),
        ("admin", "admin", "member", DONE),
        ("member", "other", "admin", FORBIDDEN),
        ("member", "member", "admin", FORBIDDEN),
        ("member", "member", "member", DONE),
        ("owner", "member", "king", (400, "bad_role")),
    ],
)
def test_who_may_give_which_role(club, who, whom, role, outcome):
    room, people = club
    answer = people[who].patch(place(club, whom), {"role": role})
    if outcome is DONE:
        assert answer == (200, {"id": people[whom].id, "role": role})
        assert people[whom].rooms()[room]["role"] == role
    else:
        assert code(answer) == outcome


@pytest.mark.parametrize(
    ("who", "whom", "outcome"),
    [
        ("owner", "member", DONE),
        ("owner", "admin", DONE),
        ("admin", "member", DONE),
        ("admin", "owner", FORBIDDEN),
        ("admin", "admin", DONE),
        ("member", "member", DONE),
        ("member", "other", FORBIDDEN),
        ("member", "owner", FORBIDDEN),
    ],
)
def test_who_may_remove_whom(club, who, whom, outcome):
    room, people = club
    answer = people[who].delete(place(club, whom))
    assert (answer if outcome is DONE else code(answer)) == (outcome or (204, None))
    assert (room in people[whom].rooms()) == (outcome is not DONE)


def test_only_members_have_roles(club, eve):
    room, people = club
    for user_id in (eve.id, "nobody", "\x00", "x" * 9000):
        there = f"/rooms/{room}/members/{part(user_id)}"
        assert code(people["owner"].patch(there, {"role": "member"})) == (404, "unknown_user")
        assert code(people["owner"].delete(there)) == (404, "unknown_user")
        assert code(people["member"].delete(there)) == FORBIDDEN


def test_the_last_owner_cannot_step_down(club):
    owner, second = club[1]["owner"], club[1]["admin"]
    owner.patch(place(club, "admin"), {"role": "owner"})
    assert owner.patch(place(club, "owner"), {"role": "member"})[0] == 200
    assert code(second.patch(place(club, "admin"), {"role": "member"})) == (403, "last_owner")


def test_the_next_owner_is_chosen_from_all_members(club):
    owner, other = club[1]["owner"], club[1]["other"]
    owner.patch(place(club, "other"), {"role": "owner"})
    assert owner.patch(place(club, "owner"), {"role": "member"})[0] == 200
    assert code(other.patch(place(club, "other"), {"role": "admin"})) == (403, "last_owner")
    other.patch(place(club, "owner"), {"role": "owner"})
    assert other.patch(place(club, "other"), {"role": "admin"})[0] == 200


def test_an_admin_becomes_owner_when_the_owner_leaves(club):
    room, people = club
    assert people["owner"].post(f"/rooms/{room}/leave") == (204, None)
    assert people["admin"].rooms()[room]["role"] == "owner"
    assert people["admin"].delete(place(club, "admin")) == (204, None)
    assert people["member"].rooms()[room]["role"] == "owner"
    for name in ("member", "other"):
        assert people[name].post(f"/rooms/{room}/leave") == (204, None)


def test_a_member_may_leave_and_join_again(bob, tea):
    assert bob.post(f"/rooms/{tea}/leave") == (204, None)  # never was there
    bob.join(tea)
    for _ in range(2):
        assert bob.post(f"/rooms/{tea}/leave") == (204, None)
    assert tea not in bob.rooms()
    bob.join(tea)
    assert tea in bob.rooms()


def test_the_lobby_and_conversations_cannot_be_left(ann, bob):
    conversation = ann.write(bob, "hello")
    for room in ("/rooms/lobby", f"/rooms/{part(conversation)}"):
        assert code(ann.post(f"{room}/leave")) == FORBIDDEN
        assert code(ann.delete(f"{room}/members/{part(ann.id)}")) == FORBIDDEN
        assert code(ann.delete(f"{room}/members/{part(bob.id)}")) == FORBIDDEN
        assert code(ann.post(f"{room}/members", {"username": bob.name})) == FORBIDDEN


@pytest.mark.parametrize(
    ("query", "what"), [("limit=500", "bad_limit"), ("after=a%00", "bad_cursor"), ("after=", "bad_cursor")]
)
def test_a_page_that_cannot_be_asked_for(ann, query, what):
    assert code(ann.get(f"/rooms/lobby/members?{query}")) == (400, what)
    assert code(ann.get(f"/directory?{query}")) == (400, what)
