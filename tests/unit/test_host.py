"""The host keeps what is its own: what `Chat(app)` adds to an app, how it is named, and what stops the start."""

import logging
import sys
from types import ModuleType, SimpleNamespace

import pytest
import socketio
from flask import Blueprint, Flask, render_template_string, url_for
from flask_babel import Babel, force_locale, gettext
from flask_login import LoginManager
from flask_wtf.csrf import CSRFProtect
from werkzeug.middleware.dispatcher import DispatcherMiddleware
from werkzeug.middleware.proxy_fix import ProxyFix
from werkzeug.test import Client

from chat import Chat, ConfigError, Identity
from tests.databases import migrated_sqlite

ANNA = Identity("1", "Anna")
SECRET = "a secret that is long enough for HS256, as it should be"
CHINESE = {"Accept-Language": "zh-CN,zh;q=0.9"}
FUNCTIONS = {"chat_asset", "chat_gettext", "chat_language", "chat_other_language", "chat_url", "chat_widget"}

AROUND_REQUESTS = (
    *("before_request_funcs", "after_request_funcs", "teardown_request_funcs"),
    *("url_value_preprocessors", "url_default_functions", "template_context_processors"),
)


def anna():
    return ANNA


@pytest.fixture
def site(tmp_path):
    """A site without anything of the chat's; its first page is at /."""
    app = Flask("site", root_path=tmp_path)
    app.config.update(CHAT_DATABASE_URL=migrated_sqlite(tmp_path / "chat.db"), SECRET_KEY=SECRET)
    app.add_url_rule("/", "home", lambda: "the site's own page")
    return app


# -- what is added


def with_babel(app):
    Babel(app, locale_selector=lambda: "de")


def with_another_babel(app):
    """An extension like Flask-BabelPlus, at the same key as Flask-Babel but not with the same attributes."""
    app.extensions["babel"] = SimpleNamespace(locale_selector_func=None)
    app.jinja_env.filters["datetimeformat"] = str.upper
    app.jinja_env.globals["_"] = str.lower


def without_babel(app):
    app.jinja_env.filters["datetimeformat"] = str.upper
    app.jinja_env.globals["_"] = str.lower


def names_of(app):
    """All that the templates, the extensions and the functions around requests of an app are, by kind and name."""
    env = app.jinja_env
    return {
        "globals": dict(env.globals),
        "filters": dict(env.filters),
        "tests": dict(env.tests),
        "template extensions": dict(env.extensions),
        "policies": {key: value for key, value in env.policies.items() if not isinstance(value, dict)},
        "extensions": dict(app.extensions),
        "config": dict(app.config),
        "views": dict(app.view_functions),
        "blueprints": dict(app.blueprints),
        "commands": dict(app.cli.commands),
        "handlers": {
            (scope, code, kind): handler
            for scope, codes in app.error_handler_spec.items()
            for code, kinds in codes.items()
            for kind, handler in kinds.items()
        },
        **{
            f"{kind} {scope}": dict(enumerate(functions))
            for kind in AROUND_REQUESTS
            for scope, functions in getattr(app, kind).items()
        },
        "attributes": {
            name: getattr(app, name)
            for name in (
                "session_interface",
                "json",
                "wsgi_app",
                "request_class",
                "response_class",
                "aborter",
            )
        },
        "at the context's end": dict(enumerate(app.teardown_appcontext_funcs)),
        "shell": dict(enumerate(app.shell_context_processors)),
        "url build errors": dict(enumerate(app.url_build_error_handlers)),
    }


def added(before, after):
    """The names that only `after` has, by kind. What both have must be the same object."""
    for kind, values in before.items():
        assert {name: after[kind].get(name) for name in values} == values, kind
    new = {kind: set(values) - set(before.get(kind, ())) for kind, values in after.items()}
    return {kind: names for kind, names in new.items() if names}


@pytest.mark.parametrize("babel", [with_babel, with_another_babel, without_babel])
@pytest.mark.parametrize("name", ["chat", "talk"])
def test_the_host_is_as_before_but_for_what_is_documented(site, babel, name):
    babel(site)
    LoginManager(site)
    site.before_request(lambda: None)
    site.after_request(lambda response: response)
    site.errorhandler(404)(lambda error: ("the site's own 404", 404))
    before = names_of(site)
    Chat(site, name=name, identity_loader=anna)
    new = added(before, names_of(site))
    assert all(view.startswith(f"{name}.") for view in new.pop("views"))
    # What is around the chat's own requests alone has the scope of its blueprint.
    assert {kind: names for kind, names in new.items() if not kind.endswith(f" {name}")} == {
        "globals": FUNCTIONS,
        "filters": {"chat_json"},
        "extensions": {"chat"},
        "blueprints": {name},
        "commands": {name},
    }


def test_the_first_token_adds_flask_jwt_extended_alone(site):
    Chat(site, identity_loader=anna)
    before = names_of(site)
    assert site.test_client().post("/chat/token").status_code == 200
    new = added(before, names_of(site))
    assert all(key.startswith("JWT_") for key in new.pop("config"))
    assert new == {"extensions": {"flask-jwt-extended"}}


@pytest.mark.parametrize("first", ["site", "chat"])
def test_a_sites_own_babel_may_come_before_or_after_the_chat(site, first):
    steps = [lambda: Babel(site, locale_selector=lambda: "zh"), lambda: Chat(site, identity_loader=anna)]
    for step in steps if first == "site" else reversed(steps):
        step()
    page = site.test_client().get("/chat", headers={"Accept-Language": "en"})
    assert '"locale": "zh"' in page.text
    assert "发送" in page.text
    with site.test_request_context():
        assert gettext("Send") == "Send", "the site's catalogue is not the chat's"


# -- the language


@pytest.fixture
def other_babel(monkeypatch):
    """A Babel extension that is not Flask-Babel: a class, and get_locale in its package."""
    package = ModuleType("flask_otherbabel")
    package.get_locale = lambda: SimpleNamespace(language="zh", territory="CN")
    package.State = type("State", (), {"__module__": "flask_otherbabel.core"})
    monkeypatch.setitem(sys.modules, "flask_otherbabel", package)
    return package


def locale_of(answer):
    return next(code for code in ("en", "zh") if f'"locale": "{code}"' in answer.text)


def test_the_chat_follows_another_babel_extension(site, other_babel):
    state = type("OwnState", (other_babel.State,), {"__module__": "site.own"})()
    site.extensions["babel"] = state
    Chat(site, identity_loader=anna)
    assert locale_of(site.test_client().get("/chat?lang=en")) == "zh"
    assert site.extensions["babel"] is state


def test_without_a_babel_the_query_the_session_and_the_browser_choose_in_this_order(site):
    Chat(site, identity_loader=anna)
    client = site.test_client()
    assert locale_of(client.get("/chat")) == "en"
    assert locale_of(client.get("/chat", headers=CHINESE)) == "zh"
    with client.session_transaction() as session:
        session["lang"] = "en"
    assert locale_of(client.get("/chat", headers=CHINESE)) == "en"
    assert locale_of(client.get("/chat?lang=zh")) == "zh"
    with client.session_transaction() as session:
        session["lang"] = ["a site's own use of this key"]
    assert locale_of(client.get("/chat", headers=CHINESE)) == "zh"


def test_a_language_of_the_site_that_the_chat_does_not_speak_leaves_it_to_the_browser(site):
    with_babel(site)
    Chat(site, identity_loader=anna)
    assert locale_of(site.test_client().get("/chat", headers=CHINESE)) == "zh"
    assert locale_of(site.test_client().get("/chat", headers={"Accept-Language": "fr"})) == "en"


def test_texts_follow_a_change_of_the_language_within_a_request(site):
    Babel(site, locale_selector=lambda: "en")
    Chat(site)
    with site.test_request_context():
        assert render_template_string("{{ chat_gettext('Send') }}") == "Send"
        with force_locale("zh"):
            assert render_template_string("{{ chat_gettext('Send') }}") == "发送"
            assert render_template_string("{{ chat_other_language()[0] }}") == "en"


def test_texts_outside_a_request_are_english(site):
    Chat(site)
    with site.app_context():
        assert render_template_string("{{ chat_gettext('%(who)s', who='Anna') }}") == "Anna"


# -- the name


def test_the_chat_beside_a_sites_own_blueprint_of_that_name(site):
    own = Blueprint("chat", __name__, url_prefix="/support")
    own.add_url_rule("/chat", "page", lambda: "the site's own chat")
    site.register_blueprint(own)
    Chat(site, name="talk", url_prefix="/talk", identity_loader=anna)
    client = site.test_client()
    page = client.get("/talk/chat").text
    assert '"socketPath": "/talk/ws/chat"' in page
    assert '"apiPath": "/talk/chat/api"' in page
    assert 'src="/talk/chat/static/' in page
    assert client.get("/support/chat").text == "the site's own chat"
    with site.test_request_context():
        assert url_for("chat.page") == "/support/chat"
        assert url_for("talk.page") == "/talk/chat"
        assert (
            render_template_string("{{ chat_url('page') }} {{ chat_url('token') }}")
            == "/talk/chat /talk/chat/token"
        )
    assert client.post("/talk/chat/token").status_code == 200
    assert site.test_cli_runner().invoke(args=["talk", "--help"]).exit_code == 0


def test_the_widget_is_not_on_the_page_of_a_renamed_chat(site):
    chat = Chat(site, name="talk", identity_loader=anna)
    with site.test_request_context("/"):
        assert "data-chat-widget" in render_template_string("{{ chat_widget() }}")
    with site.test_request_context("/chat"):
        assert render_template_string("{{ chat_widget() }}") == ""
    with site.app_context():
        assert chat.service.name == "talk"


def test_init_app_takes_all_options_of_the_constructor(site, tmp_path):
    chat = Chat(name="one", url_prefix="/one", identity_loader=lambda: None)
    chat.init_app(
        site, name="other", url_prefix="/other", identity_loader=anna, claims_loader=lambda claims: ANNA
    )
    assert site.test_client().post("/other/chat/token").status_code == 200
    assert site.extensions["chat"].load_claims({}) == ANNA
    second = Flask("second", root_path=tmp_path)
    second.config.update(CHAT_DATABASE_URL=migrated_sqlite(tmp_path / "second.db"), SECRET_KEY=SECRET)
    chat.init_app(second)
    assert second.test_client().post("/one/chat/token").status_code == 401


# -- collisions


@pytest.mark.parametrize("name", ["chat", "talk"])
def test_a_blueprint_of_the_same_name_stops_the_start(site, name):
    site.register_blueprint(Blueprint(name, __name__))
    with pytest.raises(ConfigError, match=rf"already has a blueprint named '{name}'.*Chat\(app, name="):
        Chat(site, name=name)
    assert "chat" not in site.extensions


def test_a_command_of_the_same_name_stops_the_start(site):
    site.cli.command("chat")(lambda: None)
    with pytest.raises(ConfigError, match=r"command .* named 'chat'"):
        Chat(site)


@pytest.mark.parametrize("name", ["", "my.chat"])
def test_a_name_that_no_blueprint_may_have_is_refused(site, name):
    with pytest.raises(ConfigError, match="without dots"):
        Chat(site, name=name)


@pytest.mark.parametrize(
    ("rule", "options", "chats", "remedy"),
    [
        ("/chat", {}, "chat.page", "url_prefix"),
        ("/chat/", {}, "chat.page", "url_prefix"),
        ("/chat/token", {"methods": ["GET", "POST"]}, "chat.token", "url_prefix"),
        ("/chat/api/rooms/<name>", {}, "chat.api_room", "url_prefix"),
        ("/chat/static/<path:file>", {}, "chat.static", "url_prefix"),
        ("/ws/chat", {"websocket": True}, "chat.socket", "url_prefix"),
        ("/socket.io/", {}, "chat.io", "CHAT_IO_PATH"),
        ("/healthz", {}, "chat.root_healthz", "CHAT_ROOT_HEALTH"),
        ("/metrics", {}, "chat.root_metrics", "CHAT_ROOT_HEALTH"),
    ],
)
def test_a_path_that_the_site_serves_already_stops_the_start(site, rule, options, chats, remedy):
    site.config["CHAT_ROOT_HEALTH"] = True
    site.add_url_rule(rule, "mine", lambda **values: "mine", **options)
    with pytest.raises(ConfigError, match=f"'mine' and the chat's '{chats}' are both at .*{remedy}"):
        Chat(site)
    assert "chat" not in site.extensions


@pytest.fixture
def socketio_site(site):
    """A site with a Socket.IO server of its own, set up as python-socketio's documentation and Flask-SocketIO do."""
    site.wsgi_app = ProxyFix(socketio.WSGIApp(socketio.Server(async_mode="threading"), site.wsgi_app))
    return site


def test_a_socketio_server_of_the_site_at_the_same_path_stops_the_start(socketio_site):
    with pytest.raises(ConfigError, match=r"both at /socket\.io/\. Set CHAT_IO_PATH"):
        Chat(socketio_site)


@pytest.mark.parametrize(
    ("config", "prefix"), [({"CHAT_IO": False}, ""), ({"CHAT_IO_PATH": "/talk.io"}, ""), ({}, "/talk")]
)
def test_a_socketio_server_of_the_site_at_another_path_is_no_collision(socketio_site, config, prefix):
    socketio_site.config.update(config)
    Chat(socketio_site, url_prefix=prefix)
    assert socketio_site.test_client().get(f"{prefix}/chat").status_code == 401


def test_paths_that_only_look_like_the_chats_are_no_collision(site):
    for rule, options in (
        ("/<page>", {}),
        ("/<path:page>", {}),
        ("/chat", {"methods": ["POST"]}),
        ("/chat/token", {}),
        ("/healthz", {}),
        ("/metrics", {}),
        ("/chat", {"subdomain": "shop"}),
    ):
        site.add_url_rule(rule, f"{rule} {options}", lambda **values: "mine", **options)
    Chat(site, identity_loader=anna)
    client = site.test_client()
    assert client.get("/healthz").text == client.get("/metrics").text == client.post("/chat").text == "mine"
    assert '"tokenPath": "/chat/token"' in client.get("/chat").text
    assert client.get("/chat/healthz").json["status"] == "ok"


def late_errors(caplog):
    return [record.getMessage() for record in caplog.records if record.levelno == logging.ERROR]


@pytest.mark.parametrize("when", ["request", "start"])
def test_a_path_that_the_site_serves_later_is_logged_once(site, caplog, when):
    Chat(site)
    site.add_url_rule("/chat", "mine", lambda: "mine")
    if when == "start":
        site.extensions["chat"].start()
        assert len(late_errors(caplog)) == 1
    for _ in range(2):
        assert site.test_client().get("/chat").status_code == 401
    (sentence,) = late_errors(caplog)
    assert "'mine' and the chat's 'chat.page' are both at /chat." in sentence


def test_a_site_without_collisions_logs_none(site, caplog):
    Chat(site)
    site.add_url_rule("/talk", "mine", lambda: "mine")
    site.test_client().get("/chat")
    assert late_errors(caplog) == []


# -- health


@pytest.mark.parametrize("prefix", ["", "/talk"])
def test_health_and_metrics_are_below_the_chats_path_and_at_the_root_only_by_setting(site, prefix):
    site.config["CHAT_METRICS"] = True
    Chat(site, url_prefix=prefix)
    client = site.test_client()
    assert client.get(f"{prefix}/chat/healthz").json["status"] == "ok"
    assert client.get(f"{prefix}/chat/metrics").status_code == 200
    assert client.get("/healthz").status_code == client.get("/metrics").status_code == 404


def test_the_root_health_needs_no_prefix(site):
    site.config.update(CHAT_METRICS=True, CHAT_ROOT_HEALTH=True)
    Chat(site, url_prefix="/talk")
    client = site.test_client()
    for prefix in ("", "/talk/chat"):
        assert client.get(f"{prefix}/healthz").json["status"] == "ok"
        assert client.get(f"{prefix}/metrics").status_code == 200
    assert client.get("/healthz").headers["X-Content-Type-Options"] == "nosniff"


# -- the mount


def mounted(app, prefix="/shop"):
    """A client of the app behind a mount: the server strips the prefix, and tells it as SCRIPT_NAME."""
    return Client(DispatcherMiddleware(Flask("front"), {prefix: app}))


def test_a_visitor_comes_back_to_the_chat_below_the_mount(site):
    LoginManager(site).login_view = "login"
    site.login_manager.user_loader(lambda user_id: None)
    site.add_url_rule("/login", "login", lambda: "who are you?")
    Chat(site, url_prefix="/talk")
    answer = mounted(site).get("/shop/talk/chat?room=a%26b")
    assert answer.location == "/shop/login?next=/shop/talk/chat%3Froom%3Da%2526b"
    assert mounted(site).get("/shop/talk/chat").location == "/shop/login?next=/shop/talk/chat"


def test_every_address_of_the_page_is_below_the_mount(site):
    Chat(site, identity_loader=anna)
    client = mounted(site)
    page = client.get("/shop/chat").text
    for key, path in {
        "socketPath": "/shop/ws/chat",
        "tokenPath": "/shop/chat/token",
        "pagePath": "/shop/chat",
        "apiPath": "/shop/chat/api",
        "loginPath": "/shop/chat",
    }.items():
        assert f'"{key}": "{path}"' in page
    addresses = [part.partition('"')[0] for name in ('src="', 'href="') for part in page.split(name)[1:]]
    assert all(address.startswith(("#", "/shop/")) for address in addresses)
    files = [address for address in addresses if "/static/" in address]
    assert len(files) >= 3
    for file in files:
        with client.get(file) as answer:
            assert answer.status_code == 200
    assert client.get("/shop/chat/api/openapi.json").json["servers"] == [{"url": "/shop/chat/api"}]


def test_the_application_root_is_in_every_address(site):
    site.config["APPLICATION_ROOT"] = "/shop"
    site.add_url_rule("/in", "enter", lambda: site.session_interface.get_cookie_path(site))
    Chat(site, identity_loader=anna)
    client = site.test_client()
    assert '"socketPath": "/shop/ws/chat"' in client.get("/chat").text
    assert client.get("/in").text == "/shop"


# -- the headers


@pytest.fixture
def guarded(site):
    """A site whose own pages show errors and refuse requests, without any security header."""
    site.config["PROPAGATE_EXCEPTIONS"] = False
    for code in (404, 500):
        site.register_error_handler(code, lambda error: ("<p>the site's own error page</p>", error.code))
    return site


def own_headers(answer):
    names = ("Content-Security-Policy", "X-Content-Type-Options", "Referrer-Policy")
    return {name for name in names if name in answer.headers}


def test_the_sites_error_pages_have_none_of_the_chats_headers(guarded):
    def fail():
        raise OSError("the site's loader failed")

    Chat(guarded, identity_loader=fail)
    client = guarded.test_client()
    for path, status in (
        ("/chat/static/dist/missing.js", 404),
        ("/chat/static/missing.js", 404),
        ("/chat/metrics", 404),
        ("/chat/unknown", 404),
        ("/chat", 500),
    ):
        answer = client.get(path)
        assert (answer.status_code, answer.text) == (status, "<p>the site's own error page</p>")
        assert own_headers(answer) == set(), path


def test_what_a_before_request_of_the_site_answers_has_none_of_the_chats_headers(guarded):
    guarded.before_request(lambda: "<p>closed for today</p>")
    Chat(guarded)
    answer = guarded.test_client().get("/chat")
    assert (answer.text, own_headers(answer)) == ("<p>closed for today</p>", set())


def test_the_chats_own_responses_have_its_headers(guarded):
    Chat(guarded, identity_loader=anna)
    client = guarded.test_client()
    page = client.get("/chat")
    assert own_headers(page) == {"Content-Security-Policy", "X-Content-Type-Options", "Referrer-Policy"}
    for path in ("/chat/static/favicon.svg", "/chat/healthz", "/ws/chat", "/chat/api/rooms", "/socket.io/"):
        with client.get(path) as answer:
            assert own_headers(answer) == {"X-Content-Type-Options", "Referrer-Policy"}, path
    assert own_headers(client.get("/")) == set()


def test_the_site_may_change_the_headers(guarded):
    Chat(guarded, identity_loader=anna)

    @guarded.after_request
    def relax(response):
        response.headers["Content-Security-Policy"] = "default-src 'self'"
        return response

    assert guarded.test_client().get("/chat").headers["Content-Security-Policy"] == "default-src 'self'"


# -- CSRF


@pytest.mark.parametrize("first", ["csrf", "chat"])
def test_a_renamed_chat_is_exempt_from_csrf_protection_and_the_site_is_not(site, first):
    steps = [lambda: CSRFProtect(site), lambda: Chat(site, name="talk", identity_loader=anna)]
    for step in steps if first == "csrf" else reversed(steps):
        step()
    site.add_url_rule("/own", "own", lambda: "", methods=["POST"])
    client = site.test_client()
    assert client.post("/chat/token").status_code == 200
    assert client.post("/own").status_code == 400
