"""Log-outs end the tokens of one log-in session, or of all: Flask-Login's signal, and `chat.log_out()`."""

import contextlib
import sys
from types import SimpleNamespace

import pytest
from blinker import Signal
from flask import Flask, session
from flask_login import LoginManager, UserMixin, login_user, logout_user

from chat import Chat, Identity
from chat.wire.errors import ChatError


class User(UserMixin):
    id, username = "7", "Anna"


@pytest.fixture
def new_app(tmp_path):
    """Make an app: new_app(view) has the log-out view `view(chat)`, and log-in by session."""
    made = iter(range(100))

    def make(log_out=lambda chat: session.clear(), **config):
        app = Flask(__name__)
        app.config.update(
            {"CHAT_DATABASE_URL": f"sqlite:///{tmp_path}/{next(made)}.db", "SECRET_KEY": "s" * 32} | config
        )
        chat = Chat(app, identity_loader=lambda: Identity("7", "Anna") if session.get("user") else None)
        app.add_url_rule("/in", "in", lambda: session.update(user=7) or "in")
        app.add_url_rule("/out", "out", lambda: log_out(chat) or "out")
        return app

    return make


@pytest.fixture
def login_app(tmp_path):
    """A site with Flask-Login, initialised after the chat."""
    app = Flask(__name__)
    app.config.update(CHAT_DATABASE_URL=f"sqlite:///{tmp_path}/login.db", SECRET_KEY="s" * 32)
    Chat(app)
    LoginManager(app).user_loader(lambda user_id: User())
    app.add_url_rule("/in", "in", lambda: str(login_user(User())))
    app.add_url_rule("/out", "out", lambda: str(logout_user()))
    app.add_url_rule("/clear", "clear", lambda: session.clear() or str(logout_user()))
    return app


def browser(app):
    client = app.test_client()
    client.get("/in")
    return client


def token(client):
    return client.post("/chat/token").json["token"]


def is_valid(app, made):
    """Tell whether the token opens a socket on a worker, which knows what the store knows of revoked users."""
    chat = app.extensions["chat"]
    chat.guard.load(chat.users.revocations())
    with contextlib.suppress(ChatError):
        return bool(chat.guard.check(made))
    return False


@pytest.mark.parametrize("path", ["/out", "/clear"])
def test_flask_logins_log_out_ends_the_tokens_of_its_session_alone(login_app, path):
    here, elsewhere = browser(login_app), browser(login_app)
    first, second, other = token(here), token(here), token(elsewhere)
    here.get(path)
    assert [is_valid(login_app, made) for made in (first, second, other)] == [False, False, True]
    assert here.post("/chat/token").status_code == 401
    here.get("/in")
    assert is_valid(login_app, token(here))


def test_log_out_ends_this_session_and_everywhere_ends_all(new_app):
    def view(chat):
        chat.log_out()
        session.clear()

    app = new_app(view)
    here, elsewhere = browser(app), browser(app)
    mine, other = token(here), token(elsewhere)
    here.get("/out")
    assert [is_valid(app, made) for made in (mine, other)] == [False, True]

    app = new_app(lambda chat: chat.log_out(everywhere=True))
    here, elsewhere = browser(app), browser(app)
    other = token(elsewhere)
    here.get("/out")  # this browser has not used the chat
    assert not is_valid(app, other)


def test_a_request_that_was_on_its_way_during_the_log_out_gets_no_token(login_app):
    here = browser(login_app)
    token(here)
    late = here.get_cookie("session").value
    here.get("/out")
    here.set_cookie("session", late)
    assert here.post("/chat/token").status_code == 401
    # Where the old cookie came back for good the site takes it for a log-in, and so does the next page.
    assert here.get("/chat").status_code == 200
    assert is_valid(login_app, token(here))


def test_another_user_of_the_same_session_has_a_session_of_their_own(new_app):
    app = new_app()
    client = browser(app)
    app.extensions["chat"].load_identity = lambda: Identity("8", "Ben")
    sids = set()
    for user in ("8", "9"):
        app.extensions["chat"].load_identity = lambda user=user: Identity(user, f"user {user}")
        sids.add(app.extensions["chat"].guard.check(token(client)).sid)
    assert len(sids) == 2


def test_a_site_without_sessions_gets_tokens_without_one(new_app):
    app = new_app(lambda chat: chat.log_out(), SECRET_KEY=None, JWT_SECRET_KEY="s" * 32)
    app.extensions["chat"].load_identity = lambda: Identity("7", "Anna")
    client = app.test_client()
    made = token(client)
    assert app.extensions["chat"].guard.check(made).sid == ""
    assert client.get("/out").status_code == 200
    assert is_valid(app, made)


def test_a_new_password_at_flask_security_ends_all_sessions(login_app, monkeypatch):
    signals = SimpleNamespace(password_changed=Signal(), password_reset=Signal())
    monkeypatch.setitem(sys.modules, "flask_security", signals)
    for signal in (signals.password_changed, signals.password_reset):
        made = token(browser(login_app))
        signal.send(login_app, user=User())
        assert not is_valid(login_app, made)
        assert is_valid(login_app, token(browser(login_app)))
