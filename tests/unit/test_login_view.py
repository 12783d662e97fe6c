"""Strangers at the chat page: which log-in view they are sent to, and what they see where there is none."""

import logging

import pytest
from flask import Blueprint, Flask
from flask_login import LoginManager

from chat import Chat


@pytest.fixture
def new_app(tmp_path):
    """Make a site whose visitors are all strangers: new_app("auth.login", "login") has log-in views of these names."""
    made = iter(range(100))

    def make(*endpoints, **config):
        app = Flask(__name__)
        app.config.update(
            {"CHAT_DATABASE_URL": f"sqlite:///{tmp_path}/{next(made)}.db", "SECRET_KEY": "s" * 32} | config
        )
        for endpoint in endpoints:
            folder, _, name = endpoint.rpartition(".")
            target = Blueprint(folder, __name__, url_prefix=f"/{folder}") if folder else app
            target.add_url_rule("/login", name, lambda: "log in here")
            if folder:
                app.register_blueprint(target)
        Chat(app, identity_loader=lambda: None)
        return app

    return make


def location(app, path="/chat", **options):
    answer = app.test_client().get(path, **options)
    assert answer.status_code == 302, answer.text
    return answer.headers["Location"]


@pytest.mark.parametrize(
    ("endpoints", "address"),
    [
        (["login", "auth.login", "security.login"], "/security/login"),
        (["login", "auth.login"], "/auth/login"),
        (["login"], "/login"),
    ],
)
def test_a_log_in_view_of_a_common_name_is_found(new_app, endpoints, address):
    assert location(new_app(*endpoints)) == f"{address}?next=/chat"


def test_the_setting_comes_first_then_flask_logins_view(new_app):
    app = new_app("login", "auth.login", "members.enter")
    LoginManager(app).login_view = "auth.login"
    assert location(app) == "/auth/login?next=/chat"
    app = new_app("login", "auth.login", "members.enter", CHAT_LOGIN_ENDPOINT="members.enter")
    LoginManager(app).login_view = "auth.login"
    assert location(app) == "/members/login?next=/chat"


def test_flask_logins_view_may_be_an_address(new_app):
    app = new_app()
    manager = LoginManager(app)
    manager.login_view = "/sign-in?from=chat"
    assert location(app, "/chat?room=lobby") == "/sign-in?from=chat&next=/chat%3Froom%3Dlobby"
    manager.login_view = "https://id.example/login"
    assert location(app) == "https://id.example/login?next=http%3A//localhost/chat"


def test_next_keeps_the_mount(new_app):
    path = location(new_app("login"), environ_overrides={"SCRIPT_NAME": "/shop"})
    assert path == "/shop/login?next=/shop/chat"


def test_a_view_that_a_browser_cannot_open_is_passed_over(new_app):
    app = new_app("auth.login")
    app.add_url_rule("/<tenant>/login", "security.login", lambda tenant: tenant)
    assert location(app) == "/auth/login?next=/chat"
    app = new_app("auth.login", CHAT_LOGIN_ENDPOINT="api_login")
    app.add_url_rule("/api/login", "api_login", lambda: "token", methods=["POST"])
    assert location(app) == "/auth/login?next=/chat"


def test_the_choice_is_logged_once(new_app, caplog):
    caplog.set_level(logging.INFO, "flask_chat")
    app = new_app("auth.login")
    location(app), location(app)
    chosen = [record.getMessage() for record in caplog.records if "auth.login" in record.getMessage()]
    (sentence,) = chosen
    assert sentence.startswith("visitors who are not logged in are sent to auth.login")


@pytest.mark.parametrize(
    ("language", "text"),
    [("en", "Log in to this site, then open the chat again."), ("zh", "请先登录本站，再打开聊天。")],
)
def test_without_a_log_in_view_a_page_says_what_to_do(new_app, caplog, language, text):
    app = new_app()
    for _ in range(2):
        answer = app.test_client().get("/chat", headers={"Accept-Language": language})
        assert answer.status_code == 401
        assert text in answer.text
        assert "fc-page" in answer.text  # the frame of flask_chat/base.html
    logged = [
        record.getMessage() for record in caplog.records if "CHAT_LOGIN_ENDPOINT" in record.getMessage()
    ]
    assert len(logged) == 1
