"""The CHAT_* settings: where each comes from, and which values stop the start."""

from dataclasses import fields

import pytest

from chat.config import ConfigError, Settings, load, name_unknown

#: The keys and defaults that the documents promise.
PROMISED = {
    "CHAT_DATABASE_URL": "",
    "CHAT_REGISTRATION": True,
    "CHAT_TRUSTED_PROXIES": 0,
    "CHAT_TOKEN_TTL": 900,
    "CHAT_ALLOWED_ORIGINS": (),
    "CHAT_MAX_MESSAGE_CHARS": 10_000,
    "CHAT_MAX_MESSAGE_BYTES": 128 * 1024,
    "CHAT_ROSTER_GRACE": 3.0,
    "CHAT_ROSTER_BYTES_PER_S": 20_000_000,
    "CHAT_PING_INTERVAL": 25.0,
    "CHAT_PING_TIMEOUT": 20.0,
    "CHAT_MESSAGE_TIMEOUT": 30.0,
    "CHAT_OUTBOX_BYTES": 4 * 1024 * 1024,
    "CHAT_OUTBOX_SECONDS": 20.0,
    "CHAT_RATE_LIMIT": 20.0,
    "CHAT_RATE_BURST": 60,
    "CHAT_MAX_CONNECTIONS": 10_000,
    "CHAT_MAX_CONNECTIONS_PER_USER": 20,
    "CHAT_MAX_CONNECTIONS_PER_IP": 200,
    "CHAT_EPHEMERAL_ROOMS": (),
}


def field_of(key):
    return key.removeprefix("CHAT_").lower()


@pytest.mark.parametrize(("key", "default"), PROMISED.items())
def test_the_documented_defaults(key, default):
    assert getattr(load({}, {}), field_of(key)) == default


def test_every_key_has_a_comment():
    import inspect

    lines = [line.strip() for line in inspect.getsource(Settings).splitlines()]
    for field in fields(Settings):
        at = next(i for i, line in enumerate(lines) if line.startswith(f"{field.name}:"))
        assert lines[at - 1].startswith("#: "), field.name


def test_the_apps_config_takes_precedence_over_the_environment():
    config = {"CHAT_RATE_LIMIT": 5, "CHAT_PING_TIMEOUT": None}
    environ = {"CHAT_RATE_LIMIT": "7", "CHAT_PING_TIMEOUT": "9", "CHAT_PING_INTERVAL": "3"}
    settings = load(config, environ)
    assert (settings.rate_limit, settings.ping_timeout, settings.ping_interval) == (5, 9, 3)


def test_the_environment_of_the_process_is_read(monkeypatch):
    monkeypatch.setenv("CHAT_MAX_MESSAGE_CHARS", "77")
    assert load({}).max_message_chars == 77


GOOD = [
    *[("CHAT_REGISTRATION", raw, True) for raw in (True, 1, "1", "true", "YES", " on ")],
    *[("CHAT_REGISTRATION", raw, False) for raw in (False, 0, "0", "false", "No", "off", "")],
    ("CHAT_MAX_CONNECTIONS", " 20_000 ", 20_000),
    ("CHAT_TRUSTED_PROXIES", 2, 2),
    ("CHAT_ROSTER_GRACE", "0", 0.0),
    ("CHAT_ROSTER_GRACE", "0.25", 0.25),
    ("CHAT_RATE_LIMIT", 0, 0.0),
    ("CHAT_EPHEMERAL_ROOMS", "typing-*, cursors  positions", ("typing-*", "cursors", "positions")),
    ("CHAT_EPHEMERAL_ROOMS", ["a room", " b "], ("a room", "b")),
    ("CHAT_EPHEMERAL_ROOMS", "", ()),
    ("CHAT_ALLOWED_ORIGINS", "*", ("*",)),
    (
        "CHAT_ALLOWED_ORIGINS",
        "https://a.example http://b.example:8080/",
        ("https://a.example", "http://b.example:8080/"),
    ),
    ("CHAT_DATABASE_URL", "  sqlite:///x.db ", "sqlite:///x.db"),
    ("CHAT_NODE", " web1 ", "web1"),
]


@pytest.mark.parametrize(("key", "raw", "value"), GOOD)
def test_valid_values(key, raw, value):
    read = getattr(load({key: raw}, {}), field_of(key))
    assert read == value
    assert type(read) is type(value)


BAD = [
    ("CHAT_REGISTRATION", "maybe"),
    ("CHAT_REGISTRATION", 2),
    ("CHAT_MAX_CONNECTIONS", "many"),
    ("CHAT_MAX_CONNECTIONS", "1.5"),
    ("CHAT_MAX_CONNECTIONS", 1.5),
    ("CHAT_MAX_CONNECTIONS", True),
    ("CHAT_MAX_CONNECTIONS", []),
    ("CHAT_MAX_CONNECTIONS", 0),
    ("CHAT_MAX_CONNECTIONS", -1),
    ("CHAT_MAX_CONNECTIONS", ""),
    ("CHAT_PING_INTERVAL", "nan"),
    ("CHAT_PING_INTERVAL", "inf"),
    ("CHAT_PING_INTERVAL", "0"),
    ("CHAT_PING_INTERVAL", True),
    ("CHAT_RATE_LIMIT", "-1"),
    ("CHAT_RATE_LIMIT", "20/s"),
    ("CHAT_ROSTER_GRACE", -0.1),
    ("CHAT_TRUSTED_PROXIES", -1),
    ("CHAT_TOKEN_TTL", "1"),
    ("CHAT_OUTBOX_BYTES", 10),
    ("CHAT_EPHEMERAL_ROOMS", 5),
    ("CHAT_EPHEMERAL_ROOMS", [5]),
    ("CHAT_ALLOWED_ORIGINS", "a.example"),
    ("CHAT_ALLOWED_ORIGINS", "https://a.example/page"),
    ("CHAT_ALLOWED_ORIGINS", "https://a.example?x"),
    ("CHAT_ALLOWED_ORIGINS", "https://[bad"),
    ("CHAT_ALLOWED_ORIGINS", "https://a.example:http"),
    ("CHAT_ALLOWED_ORIGINS", "null"),
    ("CHAT_ALLOWED_ORIGINS", "https://good@evil.example"),
    ("CHAT_ALLOWED_ORIGINS", "https://a.example\\b"),
    ("CHAT_ALLOWED_ORIGINS", "https://a.example:0"),
    ("CHAT_ALLOWED_ORIGINS", "https://a.example:"),
    ("CHAT_HOME", "javascript:alert(1)"),
    ("CHAT_HOME", "start"),
    ("CHAT_INVITATIONS", "sometimes"),
    ("CHAT_INVITATIONS_OPEN", "-1"),
    ("CHAT_NODE", "web-1"),
    ("CHAT_NODE", "机器"),
    ("CHAT_NODE", "x" * 17),
]


@pytest.mark.parametrize(("key", "raw"), BAD)
def test_an_invalid_value_stops_the_start_with_an_error_message(key, raw):
    with pytest.raises(ConfigError) as refused:
        load({key: raw}, {})
    sentence = str(refused.value)
    assert key in sentence
    assert sentence.endswith(".")


@pytest.mark.parametrize(
    ("room", "ephemeral"), [("typing-1", True), ("cursors", True), ("Cursors", False), ("lobby", False)]
)
def test_ephemeral_rooms_are_names_or_patterns(room, ephemeral):
    assert load({"CHAT_EPHEMERAL_ROOMS": "typing-*,cursors"}, {}).is_ephemeral(room) is ephemeral


def test_settings_do_not_change():
    with pytest.raises(AttributeError):
        load({}, {}).rate_limit = 5


# -- misspelt keys


def test_a_misspelt_key_is_named_with_the_nearest_one():
    config, environ = {"CHAT_DATABSE_URL": "sqlite:///x.db"}, {"CHAT_RATE_LIMITS": "5"}
    assert name_unknown(config, environ) == [
        "CHAT_DATABSE_URL is not a setting of the chat; did you mean CHAT_DATABASE_URL?",
        "CHAT_RATE_LIMITS is not a setting of the chat; did you mean CHAT_RATE_LIMIT?",
    ]


def test_a_key_that_is_like_no_other_is_named_alone():
    assert name_unknown({"CHAT_GPT": 1}, {}) == ["CHAT_GPT is not a setting of the chat."]


def test_known_keys_and_those_of_others_are_not_named():
    assert (
        name_unknown({"CHAT_RATE_LIMIT": 5, "CHATTY": 1, "chat_rate": 1}, {"CHAT_IO": "0", "PATH": ""}) == []
    )
