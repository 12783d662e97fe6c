"""The guide's recipes for what stands around the chat: databases, languages, servers, addresses, looks.

The code of each section is run in a small site of the kind it is for. A recipe whose extension is not installed here
is skipped; tests/hosts/sites/test_recipes.py runs this file where all are.
"""

import re
from pathlib import Path

import pytest

from tests.integration.site_recipes import (
    ANNA,
    ROOT,
    add_flask_login,
    add_page,
    bare_site,
    code,
    logged_in,
    run,
    user_of,
)


@pytest.fixture
def app(tmp_path):
    return bare_site(tmp_path)


@pytest.fixture
def login(app):
    pytest.importorskip("flask_login")
    return add_flask_login(app)


# -- databases and languages


def test_flask_babel(login):
    pytest.importorskip("flask_babel")
    run("Flask-Babel or another", app=login)
    client = logged_in(login)
    assert 'lang="zh-Hans"' in client.get("/chat", headers={"Accept-Language": "en"}).text


def test_flask_migrate(login, tmp_path):
    pytest.importorskip("flask_migrate")
    from flask_migrate import init
    from flask_migrate import migrate as autogenerate
    from flask_sqlalchemy import SQLAlchemy

    login.config.update(SQLALCHEMY_DATABASE_URI=f"sqlite:///{tmp_path}/site.db")
    login.config.update(CHAT_DATABASE_URL=f"sqlite:///{tmp_path}/site.db")
    db = SQLAlchemy(login)
    run("Flask-Login", app=login)
    logged_in(login)
    run("Flask-Migrate", app=login, db=db)
    folder = tmp_path / "migrations"
    with login.app_context():
        init(str(folder))
        autogenerate(str(folder))
    assert [path for path in (folder / "versions").glob("*.py") if "chat_" in path.read_text()] == []


def test_mysql(login, tmp_path):
    from flask_chat import Chat, ConfigError

    login.config["CHAT_DATABASE_URL"] = "mysql+pymysql://shop:secret@db/shop"
    with pytest.raises(ConfigError, match="does not run"):
        Chat(login)
    (block,) = code("MySQL or MariaDB")
    exec(block.replace("/srv/shop", str(tmp_path)), {"app": login, "Chat": Chat})
    assert user_of(logged_in(login)) == ANNA
    assert (tmp_path / "chat.db").exists()


# -- servers and addresses


def test_flask_socketio(login):
    pytest.importorskip("flask_socketio")
    run("Flask-SocketIO of its own", app=login)
    assert user_of(logged_in(login)) == ANNA
    assert login.test_client().get("/socket.io/?EIO=4&transport=polling").text.startswith('0{"sid"')


def test_flask_sock(login):
    pytest.importorskip("flask_sock")
    run("flask-sock of its own", app=login)
    rules = {rule.rule: rule.endpoint for rule in login.url_map.iter_rules() if rule.websocket}
    assert {"/echo", "/ws/chat"} <= set(rules)


def test_a_path_prefix(login):
    from flask_chat import Chat

    run("A path prefix", app=login, Chat=Chat)
    client = login.test_client()
    client.post("/login")
    assert client.get("/talk/chat").status_code == 200
    assert client.get("/chat").status_code == 404
    assert "talk" in login.cli.commands


def test_a_proxy(login):
    run("Flask-Login", app=login)
    run("A proxy", app=login)
    headers = {
        "X-Forwarded-Prefix": "/shop",
        "X-Forwarded-Proto": "https",
        "X-Forwarded-Host": "shop.example",
    }
    client = logged_in(login, **headers)
    page = client.get("/chat", headers=headers).text
    assert '"socketPath": "/shop/ws/chat"' in page
    (block,) = code("A proxy", "nginx")
    assert "proxy_set_header Upgrade $http_upgrade;" in block


def test_tests(app):
    from flask_chat import Chat

    run("Tests", app=app, Chat=Chat)["test_the_page_is_for_members"](app)
    assert list(Path(app.instance_path).glob("chat.db*")) == []


# -- looks


def test_a_light_design(login):
    run("Flask-Login", app=login)
    (template,) = code("A dark or a light design", "jinja")
    add_page(login, "/home", "home", template)
    assert 'data-theme="light"' in logged_in(login).get("/home").text


def test_its_variables_are_those_of_the_style_sheet():
    styles = "".join(
        path.read_text() for path in (ROOT / "chat" / "static").rglob("*.css") if "dist" not in path.parts
    )
    (block,) = code("A dark or a light design", "css")
    used = set(re.findall(r"--chat-[\w-]+", block))
    assert used
    assert [name for name in used if f"var({name}" not in styles] == []
