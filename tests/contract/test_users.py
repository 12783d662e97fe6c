"""The users table, on a SQLite file and on PostgreSQL."""

import pytest

from chat.identity.addressing import Ambiguous
from chat.identity.names import BadName, NameTaken
from chat.store.models import now_ms
from chat.wire.envelope import Identity
from tests.contract.threads import at_once

pytestmark = pytest.mark.contract


def test_create_and_find(users):
    ada = users.create("Ada", "hash")
    assert users.get(ada.id) == ada == users.by_name("ADA")
    assert ada.identity == Identity(ada.id, "Ada")
    assert (ada.password_hash, ada.tokens_valid_after, ada.banned, ada.deleted_at) == ("hash", 0, False, None)
    assert abs(ada.created_at - now_ms()) < 10_000


def test_an_unknown_user(users):
    assert users.get("x") is None and users.by_name("x") is None
    assert not users.revoke("x", 1) and not users.ban("x") and not users.unban("x") and not users.delete("x")
    assert not users.set_password("x", "hash", 1)


@pytest.mark.parametrize("name", ["ada", "ADA", "Ａｄａ", " ada "])
def test_a_name_is_taken_in_any_form(users, name):
    users.create("Ada")
    with pytest.raises(NameTaken):
        users.create(name)


def test_a_name_that_looks_like_another_is_taken(users):
    users.create("coco")
    with pytest.raises(NameTaken):
        users.create("сосо")  # wholly Cyrillic


def test_a_bad_name_is_refused(users):
    with pytest.raises(BadName):
        users.create("a\u202eb")


def test_one_of_several_concurrent_calls_gets_the_name(users):
    results = at_once(*[lambda: users.create("ada")] * 8)
    assert sorted(type(result).__name__ for result in results) == ["NameTaken"] * 7 + ["User"]


def test_create_many_finds_and_creates_in_order(users):
    ada = users.create("Ada")
    bob, again, cy, bob_again = users.create_many(["bob", "ADA", "cy", "Bob"])
    assert again == ada and bob == bob_again
    assert [user.username for user in (bob, cy)] == ["bob", "cy"]
    assert users.get(cy.id) == cy


def test_create_many_is_all_or_nothing(users):
    users.create("coco")
    with pytest.raises(NameTaken, match="сосо"):
        users.create_many(["ada", "сосо"])
    with pytest.raises(BadName):
        users.create_many(["ada", ""])
    assert users.by_name("ada") is None


def test_create_thousands(users):
    names = [f"user{number:05d}" for number in range(3000)]
    assert [user.username for user in users.create_many(names)] == names
    assert users.create_many(names)[2999] == users.by_name("user02999")


def test_by_names(users):
    ada = users.create("ada")
    gone = users.create("gone")
    users.delete(gone.id)
    assert users.by_names(["x", "ADA", "gone", "ada"]) == [None, ada, None, ada]


def test_create_many_at_once(users):
    names = [f"user{number}" for number in range(100)]
    one, other = at_once(lambda: users.create_many(names), lambda: users.create_many(names[::-1]))
    assert one == other[::-1]


def test_set_password_ends_tokens(users):
    ada = users.create("ada", "old")
    assert users.set_password(ada.id, "new", 5000)
    assert users.get(ada.id)[2:4] == ("new", 5000)


def test_rehash_does_not_replace_a_new_password(users):
    ada = users.create("ada", "old")
    assert users.rehash(ada.id, "old", "old again")
    users.set_password(ada.id, "new", 1)
    assert not users.rehash(ada.id, "old again", "old for ever")
    assert users.get(ada.id).password_hash == "new"


def test_a_revocation_is_never_undone(users):
    ada = users.create("ada")
    users.revoke(ada.id, 5000)
    users.revoke(ada.id, 4000)
    assert users.get(ada.id).tokens_valid_after == 5000


def test_delete_keeps_the_name(users):
    ada = users.create("ada", "hash")
    assert users.delete(ada.id) and not users.delete(ada.id)
    assert users.get(ada.id) is None and users.by_name("ada") is None
    for again in (users.create, lambda name: users.create_many([name])):
        with pytest.raises(NameTaken):
            again("ada")
    assert users.revocations()[ada.id][0] >= ada.created_at


def test_revocations(users):
    ada, bob, cy = users.create_many(["ada", "bob", "cy"])
    users.create("dan")
    users.revoke(ada.id, 7000)
    users.ban(bob.id)
    users.ban(cy.id)
    users.unban(cy.id)
    assert users.revocations() == {ada.id: (7000, False), bob.id: (0, True)}
    assert users.get(bob.id).banned and not users.get(cy.id).banned


def test_ensure_inserts_a_row_once(users):
    made = users.ensure(Identity("7", "Someone's very own name, longer than ours may be and \u202e odd"))
    assert users.ensure(made.identity) == made == users.get("7")
    assert made.password_hash is None


def test_ensure_renames(users):
    users.ensure(Identity("7", "ada"))
    assert users.ensure(Identity("7", "eve")).username == "eve"
    assert users.by_name("ada") is None and users.by_name("EVE").id == "7"


def test_ensure_follows_the_site_when_names_move(users):
    users.ensure(Identity("7", "ada"))
    users.ensure(Identity("8", "Ada"))
    assert users.by_name("ada").id == "8"
    assert users.get("7").username == "ada"


def test_ensure_takes_no_name_from_a_user_with_a_password(users):
    ada = users.create("ada", "hash")
    users.ensure(Identity("7", "ada"))
    assert users.by_name("ada") == ada
    assert users.ensure(Identity(ada.id, "renamed")) == ada


def test_ensure_does_not_restore_a_deleted_user(users):
    ada = users.create("ada", "hash")
    users.delete(ada.id)
    assert users.ensure(ada.identity).deleted_at
    assert users.get(ada.id) is None


def test_ensure_at_once(users):
    made = at_once(*[lambda: users.ensure(Identity("7", "ada"))] * 8)
    assert {getattr(user, "id", user) for user in made} == {"7"}


def test_names_that_differ_in_case_are_found_each(users):
    high, low = users.ensure(Identity("7", "Bob")), users.ensure(Identity("8", "bob"))
    assert sorted(users.named("BOB")) == [high, low]
    assert users.addressed("Bob") == high and users.addressed("bob") == low
    both = Ambiguous((Identity("7", "Bob"), Identity("8", "bob")))
    assert users.by_names(["bob", "BOB", "x", "Bob"]) == [low, both, None, high]


def test_a_renamed_user_is_found_by_the_new_name_alone(users):
    users.ensure(Identity("7", "Bob"))
    low = users.ensure(Identity("8", "bob"))
    users.ensure(Identity("7", "Rob"))
    assert users.addressed("Bob") == low and users.addressed("ROB").id == "7"


def test_a_name_given_to_another_user_finds_only_that_one(users):
    users.ensure(Identity("7", "Bob"))
    low, ada = users.ensure(Identity("8", "bob")), users.create("Ada", "hash")
    taker = users.rename(Identity("9", "Bob"))
    assert users.addressed("Bob") == taker and users.addressed("bob") == low
    assert users.get("7").username == "Bob"
    users.rename(Identity("9", "Ada"))
    assert ada in users.named("Ada")


def test_deleted_users_are_not_found_by_name(users):
    high, low = users.create("Bob", "hash"), users.ensure(Identity("8", "bob"))
    users.delete(high.id)
    assert users.named("Bob") == [low]


def test_a_name_is_claimed_by_one_user(users):
    ada = Identity("7", "Ada")
    assert users.claim(ada) is None and users.claim(ada) is None
    assert users.claim(Identity("8", "Ada")).id == "7" and users.get("8") is None
    assert users.claim(Identity("8", "ada")) is None  # another spelling
    assert users.claim(Identity("7", "Bob")) is None and users.claim(Identity("8", "Ada")) is None


@pytest.mark.parametrize("attempt", range(5))
def test_a_name_is_claimed_at_once(users, attempt):
    claims = at_once(*(lambda id=id: users.claim(Identity(id, "Ada")) for id in ("7", "8", "9")))
    assert len([one for one in claims if one is None]) == 1
    assert len(users.named("Ada")) == 1


@pytest.mark.parametrize("attempt", range(5))
def test_a_name_is_registered_while_a_site_gives_it(users, attempt):
    made, given = at_once(lambda: users.create("ada"), lambda: users.ensure(Identity("7", "ada")))
    assert given.id == "7"
    assert isinstance(made, NameTaken) or made.username == "ada"


@pytest.mark.parametrize("attempt", range(5))
def test_a_user_who_is_deleted_is_not_renamed(users, attempt):
    users.ensure(Identity("7", "ada"))
    at_once(lambda: users.delete("7"), lambda: users.ensure(Identity("7", "eve")))
    assert users.get("7") is None and users.named("eve") == [] == users.named("ada")
