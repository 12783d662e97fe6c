"""Chat and its apps: initialised once, independent of each other, without changes to a site's own extensions."""

import gc
import weakref
from pathlib import Path

import jwt
import pytest
from flask import Flask
from flask_babel import Babel
from flask_jwt_extended import JWTManager, create_access_token, decode_token
from flask_login import LoginManager, UserMixin, login_user
from flask_wtf.csrf import CSRFProtect

from chat import Chat, ConfigError, Identity
from chat.wire.errors import ChatError

LONG = "a secret that is long enough for HS256, as it should be"
ANNA = Identity("1", "Anna")


@pytest.fixture
def new_app(tmp_path):
    """Make bare apps, each with a database of its own: new_app(**config)."""
    made = iter(range(100))

    def make(**config):
        app = Flask(__name__)
        app.config.update(
            {"CHAT_DATABASE_URL": f"sqlite:///{tmp_path}/{next(made)}.db", "SECRET_KEY": LONG} | config
        )
        return app

    return make


def state(app):
    return app.extensions["chat"]


def who(app, token):
    return state(app).guard.check(token).identity


# -- one chat per app


def test_a_second_chat_on_one_app_is_refused(new_app):
    app = new_app()
    Chat(app)
    with pytest.raises(RuntimeError, match="has a chat already"):
        Chat(app)


def test_init_app_serves_several_apps_which_share_nothing(new_app):
    chat, one, other = Chat(), new_app(), new_app(SECRET_KEY=LONG[::-1])
    chat.init_app(one, url_prefix="/one")
    chat.init_app(other, url_prefix="/other")
    assert state(one) is not state(other)
    assert state(one).handlers is not state(other).handlers
    state(one).users.create("Anna")
    assert state(other).users.by_name("Anna") is None
    with pytest.raises(ChatError, match="token_invalid"):
        who(other, state(one).token_for(ANNA))


def test_chat_acts_on_the_current_app(new_app):
    chat, one, other = Chat(), new_app(), new_app()
    chat.init_app(one)
    chat.init_app(other)
    with one.app_context():
        assert chat.service is state(one)
        assert chat.users is state(one).users
    with pytest.raises(RuntimeError, match="application context"):
        chat.send("lobby", "to whom?")


def test_chat_keeps_no_app_alive(new_app):
    chat, app = Chat(), new_app()
    chat.init_app(app)
    app.test_client().get("/chat/healthz")
    gone = weakref.ref(app)
    del app
    gc.collect()
    assert gone() is None


def test_the_chat_itself_need_not_be_kept(new_app):
    app = new_app()
    Chat(app, identity_loader=lambda: ANNA)
    gc.collect()
    assert app.test_client().post("/chat/token").status_code == 200


# -- who is logged in


def test_a_loader_set_after_init_app_is_used(new_app):
    app = new_app()
    chat = Chat(app)

    @chat.identity_loader
    def load_anna():
        return ANNA

    token = app.test_client().post("/chat/token").json["token"]
    assert who(app, token) == ANNA


def test_a_sites_numeric_ids_are_text_in_the_chat(new_app):
    app = new_app()
    Chat(app, identity_loader=lambda: Identity(7, "Anna"))
    client = app.test_client()
    assert who(app, client.post("/chat/token").json["token"]) == Identity("7", "Anna")
    # The page compares the two: a token of another user means that another user has logged in.
    assert '"user": {"id": "7", "username": "Anna"}' in client.get("/chat").text


# -- what a site's templates get


def widget_of(app, **options):
    """What chat_widget renders for Anna on a page of the site."""
    with app.test_request_context("/"):
        return app.jinja_env.globals["chat_widget"](**options)


def test_a_site_may_say_whether_its_pages_are_light(new_app):
    app = new_app()
    Chat(app, identity_loader=lambda: ANNA)
    assert "<div data-chat-widget>" in widget_of(app)
    assert '<div data-chat-widget data-theme="light">' in widget_of(app, theme="light")
    with pytest.raises(ValueError, match='write theme="light" or theme="dark"'):
        widget_of(app, theme="sepia")


def test_the_widget_comes_with_the_number_of_unread_messages(new_app):
    app = new_app()
    Chat(app, identity_loader=lambda: ANNA)
    assert '"unread": 0' in widget_of(app)
    state(app).users.ensure_many([ANNA])
    state(app).history.join(state(app).history.room("lobby").id, ANNA)
    state(app).send("lobby", "one")
    state(app).send("lobby", "two")
    assert '"unread": 2' in widget_of(app)


def test_a_failing_store_leaves_the_sites_pages_alone(new_app, tmp_path):
    app = new_app()
    Chat(app, identity_loader=lambda: ANNA)
    path = state(app).database_url.removeprefix("sqlite:///")
    Path(path).write_bytes(b"not a database" * 100)
    assert '"unread": 0' in widget_of(app)


@pytest.mark.parametrize(
    ("config", "root", "link"),
    [
        ({}, "", 'href="/" data-testid="home" title="Back to the site"'),
        ({}, "/shop", 'href="/shop/"'),
        ({"CHAT_HOME": "https://example.org/start"}, "", 'href="https://example.org/start"'),
        ({"CHAT_SITE_NAME": "Tea & more"}, "", ">Tea &amp; more</span>"),
        ({}, "", ">localhost</span>"),
    ],
)
def test_the_chat_page_leads_back_to_the_site(new_app, config, root, link):
    app = new_app(**config)
    app.add_url_rule("/", view_func=lambda: "", endpoint="start")
    Chat(app, identity_loader=lambda: ANNA)
    assert link in app.test_client().get("/chat", base_url=f"http://localhost{root}").text


def test_a_site_without_a_start_page_gets_no_link_to_it(new_app):
    app = new_app()
    Chat(app, identity_loader=lambda: ANNA)
    assert 'data-testid="home"' not in app.test_client().get("/chat").text


def test_flask_logins_user_is_the_default(new_app):
    app = new_app()
    LoginManager(app)
    Chat(app)

    class User(UserMixin):
        id, username = 7, "Anna"

    app.login_manager.user_loader(lambda user_id: User())
    app.add_url_rule("/enter", view_func=lambda: str(login_user(User())))
    client = app.test_client()
    assert client.post("/chat/token").status_code == 401
    client.get("/enter")
    assert who(app, client.post("/chat/token").json["token"]) == Identity("7", "Anna")


def test_without_a_log_in_there_is_no_identity(new_app):
    app = new_app()
    Chat(app)
    assert app.test_client().get("/chat").status_code == 401


# -- settings


def test_the_apps_config_takes_precedence_over_the_environment(new_app, monkeypatch):
    monkeypatch.setenv("CHAT_TOKEN_TTL", "60")
    monkeypatch.setenv("CHAT_RATE_LIMIT", "5")
    app = new_app(CHAT_TOKEN_TTL=120)
    Chat(app)
    settings = state(app).settings
    assert (settings.token_ttl, settings.rate_limit, settings.max_message_chars) == (120, 5.0, 10_000)


@pytest.mark.parametrize(
    ("key", "value", "sentence"),
    [
        ("CHAT_TOKEN_TTL", "soon", "Set it to a whole number"),
        ("CHAT_TOKEN_TTL", 0, "Set it to 10 or more"),
        ("CHAT_REGISTRATION", "perhaps", "Set it to 1 or 0"),
        ("CHAT_ALLOWED_ORIGINS", "example.org", "as https://host or"),
    ],
)
def test_an_invalid_value_stops_the_start_with_an_error_message(new_app, key, value, sentence):
    app = new_app(**{key: value})
    with pytest.raises(ConfigError, match=sentence) as error:
        Chat(app)
    assert key in str(error.value)
    assert "chat" not in app.extensions


def test_a_misspelt_key_is_logged_at_the_start(new_app, caplog):
    Chat(new_app(CHAT_TOKEN_TLL=60))
    assert "CHAT_TOKEN_TLL is not a setting of the chat; did you mean CHAT_TOKEN_TTL?" in caplog.messages


def test_every_route_has_the_prefix(new_app):
    app = new_app()
    Chat(app, url_prefix="/talk")
    paths = {rule.rule for rule in app.url_map.iter_rules() if rule.endpoint.startswith("chat.")}
    assert paths
    assert all(path.startswith("/talk/") for path in paths)


# -- keys and a site's own tokens


@pytest.mark.parametrize(
    "config", [{"SECRET_KEY": "hiking"}, {"SECRET_KEY": b"hiking"}, {"JWT_SECRET_KEY": "hi"}]
)
def test_a_long_key_is_derived_from_a_short_secret(new_app, config):
    app, again = new_app(**config), new_app(**config)
    again.config["CHAT_DATABASE_URL"] = app.config["CHAT_DATABASE_URL"]  # another worker of the same site
    Chat(app)
    Chat(again)
    token = state(app).token_for(ANNA)
    assert who(app, token) == ANNA
    assert who(again, token) == ANNA, "the same secret gives the same key"
    assert len(app.config["JWT_SECRET_KEY"]) >= 32
    assert app.config["SECRET_KEY"] == (config.get("SECRET_KEY") or LONG)


def test_a_long_secret_is_the_key(new_app):
    app = new_app()
    Chat(app)
    assert jwt.decode(state(app).token_for(ANNA), LONG, algorithms=["HS256"])["username"] == "Anna"


def test_a_key_in_the_environment_is_used(new_app, monkeypatch):
    monkeypatch.setenv("JWT_SECRET_KEY", LONG[::-1])
    app = new_app()
    Chat(app)
    assert jwt.decode(state(app).token_for(ANNA), LONG[::-1], algorithms=["HS256"])["sub"] == "1"


@pytest.fixture
def site_with_tokens(new_app):
    """A site with tokens of its own, set up as flask-jwt-extended's documentation shows."""
    app = new_app(JWT_SECRET_KEY="the site's own key, known to its other services too")
    manager = JWTManager(app)
    manager.user_identity_loader(lambda user: user.id)
    manager.additional_claims_loader(lambda user: {"club": "hikers"})
    return app


def test_a_sites_own_jwt_manager_is_not_changed(site_with_tokens):
    app = site_with_tokens
    before, key = app.extensions["flask-jwt-extended"], app.config["JWT_SECRET_KEY"]
    Chat(app)
    assert app.extensions["flask-jwt-extended"] is before
    assert app.config["JWT_SECRET_KEY"] == key


def test_a_sites_short_key_is_not_changed(new_app):
    app = new_app(JWT_SECRET_KEY="short")
    JWTManager(app)
    Chat(app)
    assert app.config["JWT_SECRET_KEY"] == "short"


@pytest.mark.filterwarnings("ignore:The HMAC key is 5 bytes long")  # as the site wants it
@pytest.mark.parametrize("key", ["short", "the site's own key, known to its other services too"])
def test_a_jwt_manager_made_after_the_chat_is_the_sites_own(new_app, key):
    app = new_app(JWT_SECRET_KEY=key)
    Chat(app, claims_loader=lambda claims: Identity(claims["sub"], claims["nick"]))
    manager = JWTManager(app)
    manager.user_identity_loader(lambda user: user.id)
    with app.app_context():
        theirs = create_access_token(ANNA, additional_claims={"nick": "Anna"})
    assert who(app, theirs) == ANNA
    assert who(app, state(app).token_for(ANNA)) == ANNA
    assert jwt.decode(theirs, key, algorithms=["HS256"])["sub"] == "1", "other services know the site's key"
    assert app.extensions["flask-jwt-extended"] is manager


def test_a_jwt_manager_with_keys_of_its_own_may_come_after_the_chats_first_token(new_app):
    app = new_app()
    Chat(app)
    assert who(app, state(app).token_for(ANNA)) == ANNA
    manager = JWTManager(app)
    manager.encode_key_loader(lambda identity: LONG[::-1])
    manager.decode_key_loader(lambda header, payload: LONG[::-1])
    token = state(app).token_for(ANNA)
    assert who(app, token) == ANNA
    assert jwt.decode(token, LONG[::-1], algorithms=["HS256"])["sub"] == "1"


def test_the_first_token_may_come_after_the_first_request(new_app):
    app = new_app()
    Chat(app)
    app.add_url_rule("/own", view_func=lambda: "")
    app.test_client().get("/own")
    assert who(app, state(app).token_for(ANNA)) == ANNA


def test_the_chat_installs_no_jwt_manager_at_the_start(new_app):
    app = new_app()
    before = set(app.config)
    Chat(app)
    assert "flask-jwt-extended" not in app.extensions
    assert not {key for key in set(app.config) - before if key.startswith("JWT_")}


def test_the_chats_tokens_work_with_a_sites_loaders(site_with_tokens):
    Chat(site_with_tokens)
    assert who(site_with_tokens, state(site_with_tokens).token_for(ANNA)) == ANNA


def test_a_claims_loader_gets_only_the_sites_tokens(site_with_tokens):
    app = site_with_tokens
    chat = Chat(app)

    @chat.claims_loader
    def member(claims):
        return Identity(claims["sub"], claims["nick"])

    with app.app_context():
        theirs = create_access_token(Identity("7", ""), additional_claims={"nick": "Berta"})
        assert decode_token(theirs)["club"] == "hikers"
    assert who(app, theirs) == Identity("7", "Berta")
    assert who(app, state(app).token_for(ANNA)) == ANNA


def test_a_site_token_without_an_identity_is_refused(site_with_tokens):
    app = site_with_tokens
    Chat(app, claims_loader=lambda claims: Identity(claims["sub"], claims["nick"]))
    with app.app_context():
        nameless = create_access_token(ANNA)
    with pytest.raises(ChatError, match="token_invalid"):
        who(app, nameless)


# -- a site's other extensions


def test_a_sites_own_babel_is_not_changed(new_app):
    app = new_app()
    Babel(app, locale_selector=lambda: "zh")
    before = app.extensions["babel"]
    Chat(app, identity_loader=lambda: ANNA)
    assert app.extensions["babel"] is before
    assert '"locale": "zh"' in app.test_client().get("/chat", headers={"Accept-Language": "en"}).text


@pytest.mark.parametrize("first", ["csrf", "chat"])
def test_csrf_protection_exempts_the_token_view_in_either_order(new_app, first):
    app = new_app()
    steps = [lambda: CSRFProtect(app), lambda: Chat(app, identity_loader=lambda: ANNA)]
    for step in steps if first == "csrf" else reversed(steps):
        step()
    app.add_url_rule("/own", view_func=lambda: "", methods=["POST"])
    client = app.test_client()
    assert client.post("/chat/token").status_code == 200
    assert client.post("/own").status_code == 400


def test_the_secret_key_defaults_to_the_environments(new_app, monkeypatch):
    monkeypatch.setenv("SECRET_KEY", "from the environment, and quite long enough")
    app = new_app(SECRET_KEY=None)
    Chat(app)
    assert app.config["SECRET_KEY"] == "from the environment, and quite long enough"


def test_a_long_key_is_also_derived_from_a_secret_set_after_the_chat(new_app, monkeypatch):
    monkeypatch.delenv("SECRET_KEY", raising=False)
    app = new_app(SECRET_KEY=None)
    Chat(app)
    app.config["SECRET_KEY"] = "hiking"
    state = app.extensions["chat"]
    assert state.guard.check(state.token_for(Identity("1", "ann"))).identity == ("1", "ann")
    assert len(app.config["JWT_SECRET_KEY"]) == 64
