"""The chat's tokens name their site, and count at no other one that has the same secret."""

import jwt
import pytest
from flask import Flask
from flask_jwt_extended import JWTManager, create_access_token

from chat import Chat, ChatError, Identity
from tests import tokens

ANNA = Identity("7", "Anna")
SECRET = "the secret of a whole company's sites, copied from one to the next"


@pytest.fixture
def make_site(tmp_path):
    """make_site("north") is a site; one of the same name has the same database, as another worker or mount has."""

    def make(name, url_prefix="", **config):
        app = Flask(__name__)
        app.config.update(
            {"CHAT_DATABASE_URL": f"sqlite:///{tmp_path}/{name}.db", "SECRET_KEY": SECRET} | config
        )
        Chat(app, url_prefix=url_prefix)
        return app

    return make


def made_by(app, **options):
    return app.extensions["chat"].token_for(ANNA, **options)


def who(app, token):
    """The user whom a token stands for; the error's code where it counts for nothing."""
    try:
        return app.extensions["chat"].guard.check(token).identity
    except ChatError as error:
        return error.code


@pytest.mark.parametrize(
    "config", [{}, {"JWT_ALGORITHM": "HS512"}, {"JWT_SECRET_KEY": "k" * 64}], ids="ours theirs key".split()
)
def test_a_token_counts_at_its_own_site_alone(make_site, config):
    north, south = make_site("north", **config), make_site("south", **config)
    assert who(north, made_by(north)) == ANNA
    assert who(south, made_by(north)) == who(north, made_by(south)) == "token_invalid"


def test_workers_and_mounts_of_one_site_take_each_others_tokens(make_site):
    first, second, mounted = make_site("north"), make_site("north"), make_site("north", url_prefix="/talk")
    token = made_by(first, ttl=3600)
    assert who(second, token) == who(mounted, token) == ANNA
    assert who(first, made_by(mounted)) == ANNA


def test_the_site_is_the_same_after_a_restart(make_site):
    token = made_by(make_site("north"))
    assert who(make_site("north"), token) == ANNA


@pytest.mark.parametrize("named", ["", "elsewhere", 5, [], {"a": 1}, True])
def test_any_other_name_is_refused(make_site, named):
    token = tokens.token("Anna", key=SECRET, chat_site=named)
    assert who(make_site("north"), token) == "token_invalid"


def test_a_token_from_before_the_claim_counts_until_it_expires(make_site):
    old = tokens.token("Anna", key=SECRET)
    assert "chat_site" not in jwt.decode(old, SECRET, algorithms=["HS256"])
    assert who(make_site("north"), old) == Identity("id-Anna", "Anna")
    assert who(make_site("north"), tokens.token("Anna", -1, key=SECRET)) == "token_expired"


def test_the_sites_own_tokens_count_as_before(make_site):
    app = make_site("north", JWT_SECRET_KEY="known to all services of the site, and long enough")
    JWTManager(app)
    with app.app_context():
        token = create_access_token("7", additional_claims={"username": "Anna"})
    assert who(app, token) == ANNA


def test_the_api_refuses_a_foreign_token(make_site):
    north, south = make_site("north"), make_site("south")
    asked = {"Authorization": f"Bearer {made_by(south)}"}
    assert north.test_client().get("/chat/api/rooms", headers=asked).status_code == 401
    asked = {"Authorization": f"Bearer {made_by(north)}"}
    assert north.test_client().get("/chat/api/rooms", headers=asked).status_code == 200
