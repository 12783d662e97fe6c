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


# -- the list of sessions, at a site of others


def listed(app, user_id="7"):
    return app.extensions["chat"].log_ins.of(user_id)


def test_sessions_that_used_the_chat_are_listed_and_can_be_ended(login_app):
    here, elsewhere = browser(login_app), browser(login_app)
    elsewhere.environ_base["HTTP_USER_AGENT"] = "curl/8.5.0"
    mine, other = token(here), token(elsewhere)
    token(here)
    assert sorted(one.device for one in listed(login_app)) == ["Werkzeug", "curl"]
    assert not any(one.is_current for one in listed(login_app))
    chat = login_app.extensions["chat"]
    ended = next(one for one in listed(login_app) if one.device == "curl")
    assert chat.log_ins.end("7", ended.id)
    assert [is_valid(login_app, made) for made in (mine, other)] == [True, False]
    assert [one.device for one in listed(login_app)] == ["Werkzeug"]
    assert elsewhere.post("/chat/token").status_code == 401


def test_a_users_session_is_current_in_its_own_requests(login_app):
    chat = login_app.extensions["chat"]
    login_app.add_url_rule("/mine", "mine", lambda: [one.is_current for one in chat.log_ins.of("7")])
    client = browser(login_app)
    token(client)
    token(browser(login_app))
    assert sorted(client.get("/mine").json) == [False, True]


def test_a_user_loader_can_ask_whether_its_session_has_ended(login_app):
    chat = login_app.extensions["chat"]
    loader = lambda user_id: None if chat.log_ins.has_ended() else User()  # noqa: E731
    login_app.login_manager.user_loader(loader)
    here, elsewhere = browser(login_app), browser(login_app)
    token(here)
    chat.log_ins.end("7", listed(login_app)[0].id)
    token(elsewhere)
    assert here.get("/chat").status_code == 401
    assert elsewhere.get("/chat").status_code == 200
    here.get("/out")
    here.get("/in")
    assert is_valid(login_app, token(here))


@pytest.mark.parametrize("path", ["/out", "/clear"])
def test_a_log_out_takes_the_session_off_the_list(login_app, path):
    here, elsewhere = browser(login_app), browser(login_app)
    token(here), token(elsewhere)
    here.get(path)
    assert len(listed(login_app)) == 1
    login_app.extensions["chat"].revoke("7")
    assert listed(login_app) == []


def test_a_session_that_ended_for_the_chat_gets_a_new_id_where_the_site_still_takes_it(login_app):
    here = browser(login_app)
    token(here)
    first = listed(login_app)[0].id
    login_app.extensions["chat"].revoke("7")
    assert here.get("/chat").status_code == 200  # the site knows nothing of it
    assert is_valid(login_app, token(here))
    assert first not in {one.id for one in listed(login_app)} and len(listed(login_app)) == 1


def test_a_session_of_another_user_is_not_ended(login_app):
    here, chat = browser(login_app), login_app.extensions["chat"]
    made = token(here)
    assert not chat.log_ins.end("8", listed(login_app)[0].id)
    assert is_valid(login_app, made) and len(listed(login_app)) == 1


def test_a_token_is_given_even_if_its_use_cannot_be_listed(login_app, monkeypatch):
    from chat.store.history import StoreUnavailable
    from chat.store.log_in_sessions import LogInSessionRows

    here = browser(login_app)
    made = token(here)

    def fail(*_):
        raise StoreUnavailable("disk full")

    monkeypatch.setattr(LogInSessionRows, "use", fail)
    assert is_valid(login_app, made) and is_valid(login_app, token(here))
