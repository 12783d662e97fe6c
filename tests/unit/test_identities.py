"""Who a site's loader says is here: stable ids, and names that can be used, or a sentence that says what to do."""

import pytest
from flask import Flask, render_template_string
from flask_login import LoginManager, UserMixin, login_user
from sqlalchemy import Column, Integer, String, create_engine
from sqlalchemy.orm import DeclarativeBase, Session

from chat import Chat, Identity

LONG_NAME = "x" * 251


@pytest.fixture
def new_app(tmp_path):
    made = iter(range(100))

    def make():
        app = Flask(__name__)
        app.config.update(CHAT_DATABASE_URL=f"sqlite:///{tmp_path}/{next(made)}.db", SECRET_KEY="s" * 32)
        app.add_url_rule("/", "home", lambda: render_template_string("<h1>Site</h1>{{ chat_widget() }}"))
        return app

    return make


@pytest.fixture
def site(new_app):
    """site(identity) is a client of a site where this identity is logged in; `site.identity` may be changed."""

    def make(identity):
        app = new_app()
        make.identity = identity
        Chat(app, identity_loader=club_member)
        return app.test_client()

    def club_member():
        return make.identity

    return make


@pytest.fixture
def login_site(new_app):
    """login_site(user) is a client who is logged in as this object of Flask-Login."""

    def make(user):
        app = new_app()
        LoginManager(app).user_loader(lambda _: user)
        app.add_url_rule("/in", "in", lambda: str(login_user(user)))
        Chat(app)
        client = app.test_client()
        client.get("/in")
        return client

    return make


def who(client):
    answer = client.post("/chat/token")
    assert answer.status_code == 200, answer.text
    return client.application.extensions["chat"].guard.check(answer.json["token"]).identity


def errors(caplog, part):
    return [record.getMessage() for record in caplog.records if part in record.getMessage()]


# -- ids


class Uniquified(UserMixin):
    """As Flask-Security's users: what get_id() returns changes with the password."""

    id, username, uniquifier = 7, "Anna", "first"

    def get_id(self):
        return self.uniquifier


def test_a_new_password_makes_no_other_user(login_site, caplog):
    user = Uniquified()
    client = login_site(user)
    assert who(client) == Identity("7", "Anna")
    user.uniquifier = "second"
    client.get("/in")
    assert who(client) == Identity("7", "Anna")
    (warning,) = errors(caplog, "get_id()")
    assert "@chat.identity_loader" in warning


def test_equal_ids_are_nothing_to_warn_of(login_site, caplog):
    class Plain(UserMixin):
        id, username = 7, "Anna"

    assert who(login_site(Plain())) == Identity("7", "Anna")
    assert not errors(caplog, "get_id()")


def test_the_primary_key_is_sqlalchemys_where_it_has_another_name(login_site):
    class Base(DeclarativeBase):
        pass

    class Member(UserMixin, Base):
        __tablename__ = "members"
        number = Column(Integer, primary_key=True)
        username = Column(String)

        def get_id(self):
            return "changes"

    engine = create_engine("sqlite://")
    Base.metadata.create_all(engine)
    with Session(engine) as session:
        member = Member(number=41, username="Anna")
        session.add(member)
        session.commit()
        assert who(login_site(member)) == Identity("41", "Anna")
    engine.dispose()


def test_without_a_key_get_id_counts(login_site):
    class Ldap(UserMixin):
        username = "Anna"

        def get_id(self):
            return "cn=anna"

    assert who(login_site(Ldap())) == Identity("cn=anna", "Anna")


# -- names


FAULTS = [
    (Identity(7, None), "returned no username for user 7 (None)"),
    (Identity(7, ""), "returned an empty username for user 7"),
    (Identity(7, " \u2800 "), "returned an empty username for user 7"),
    (Identity(7, LONG_NAME), "returned a username of 251 characters for user 7"),
    (Identity(7, "An\nna"), "a username with the character U+000A for user 7"),
    (Identity(7, "An\u202ena"), "a username with the character U+202E for user 7"),
    (Identity(7, "An\ud800na"), "a username with the character U+D800 for user 7"),
    (Identity(None, "Anna"), "returned a user without an id (None)"),
    (Identity("", "Anna"), "returned a user without an id ('')"),
    ("Anna", "returned str. It must return Identity(id, username)"),
]


@pytest.mark.parametrize(("identity", "words"), FAULTS)
def test_what_cannot_be_used_is_refused_with_a_sentence_that_names_the_loader(site, caplog, identity, words):
    client = site(identity)
    for _ in range(2):
        page = client.get("/chat")
        assert page.status_code == 500
        shown = page.text.replace("&#39;", "'")
        assert words in shown
        assert "test_identities.site.<locals>.club_member" in shown.replace("&lt;", "<").replace("&gt;", ">")
        assert "fc-page" in page.text  # the frame of flask_chat/base.html
        token = client.post("/chat/token")
        assert (token.status_code, token.json["code"]) == (403, "bad_identity")
        assert words in token.json["error"]
        home = client.get("/")
        assert (home.status_code, home.text) == (200, "<h1>Site</h1>")
    assert len(errors(caplog, words)) == 1


def test_the_page_says_it_in_chinese(site):
    page = site(Identity(7, None)).get("/chat", headers={"Accept-Language": "zh"})
    assert "聊天尚未为你配置好" in page.text
    assert "没有给用户 7 返回用户名" in page.text


def test_flask_logins_users_without_a_username(login_site):
    class Nameless(UserMixin):
        id = 7

    page = login_site(Nameless()).get("/chat")
    assert page.status_code == 500
    assert "Nameless has no attribute username" in page.text
    assert "@chat.identity_loader" in page.text


@pytest.mark.parametrize(
    "name", ["anna@example.org", "Zoë van der Ä", "李小龍", "نازنین\u200cزهرا", "<b>Bob</b> & {x}"]
)
def test_names_of_all_kinds_are_allowed_and_escaped(site, name):
    client = site(Identity(7, name))
    assert who(client) == Identity("7", name)
    assert "<b>Bob" not in client.get("/chat").text


# -- a name of two users


def test_a_second_user_of_the_same_name_is_told_what_to_do(site, caplog):
    client = site(Identity(1, "Anna"))
    assert who(client) == Identity("1", "Anna")
    site.identity = Identity(2, "Anna")
    page = client.get("/chat")
    assert page.status_code == 500
    assert "user 1 has it" in page.text
    assert "chat.rename(id, username)" in page.text
    assert client.post("/chat/token").json["code"] == "bad_identity"
    assert len(errors(caplog, "user 1 has it")) == 1
    site.identity = Identity(1, "Anna")
    assert who(client) == Identity("1", "Anna")


def test_a_name_is_free_once_its_user_has_another(site):
    client = site(Identity(1, "Anna"))
    who(client)
    site.identity = Identity(2, "Anna")
    with client.application.app_context():
        client.application.extensions["chat"].rename("1", "Anna (left)")
    assert who(client) == Identity("2", "Anna")
    users = client.application.extensions["chat"].users
    assert users.by_name("Anna").id == "2"
    assert users.get("1").username == "Anna (left)"


def test_a_renamed_user_may_open_the_chat_again(site):
    client = site(Identity(1, "Anna"))
    who(client)
    site.identity = Identity(1, "Anne")
    assert who(client) == Identity("1", "Anne")
    site.identity = Identity(2, "Anna")
    assert who(client) == Identity("2", "Anna")
