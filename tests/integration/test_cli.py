"""`flask chat …`: alone through Flask's runner, and beside a real server that it reaches through the control table."""

import subprocess
import time

import pytest
from flask import url_for
from flask_jwt_extended import decode_token

from chat.wire.envelope import Identity
from tests.servers import BIN, ROOT, ServerFailed
from tests.wsclient import Closed

PASSWORD = "correct horse"


@pytest.fixture
def run(app):
    """Run a command: run("token", "ada", stdin="…"); its result has exit_code, stdout, stderr."""

    def run(*words, stdin=None):
        return app.test_cli_runner().invoke(args=["chat", *words], input=stdin)

    return run


@pytest.fixture
def users(app):
    return app.extensions["chat"].users


def claims(app, token):
    with app.app_context():
        return decode_token(token)


# Users


def test_create_user_asks_for_the_password_twice(run, client, users):
    result = run("create-user", "Ada", stdin=f"{PASSWORD}\n{PASSWORD}\n")
    assert result.exit_code == 0
    assert PASSWORD not in result.output
    assert users.by_name("ada").id in result.stdout
    assert client.post("/login", data={"username": "ada", "password": PASSWORD}).status_code == 303


def test_create_user_takes_the_password_from_standard_input(run, client):
    assert run("create-user", "Ada", "--password-stdin", stdin=f"{PASSWORD}\nmore").exit_code == 0
    assert client.post("/login", data={"username": "ada", "password": PASSWORD}).status_code == 303


@pytest.mark.parametrize(
    ("name", "password", "sentence"),
    [
        ("bob", PASSWORD, "taken"),
        ("a\u202eb", PASSWORD, "U+202E"),
        ("eve", "short", "at least 8"),
        ("eve", "", "at least 8"),
        ("eve", "password1", "first that are guessed"),
        ("eve", "eve-19840101", "must not be the name"),
    ],
)
def test_create_user_reports_errors(run, users, name, password, sentence):
    users.create("Bob")
    result = run("create-user", name, "--password-stdin", stdin=password)
    assert result.exit_code == 1
    assert sentence in result.stderr
    assert "Traceback" not in result.stderr
    assert users.by_name("eve") is None


# Forgotten passwords


def test_reset_link_reports_errors(app, run, users):
    users.create_many(["Ada"])
    assert "no user named 'bob'" in run("reset-link", "bob").stderr
    assert run("reset-link", "ada", "--hours", "0").exit_code == 2
    app.extensions["chat"].load_reset_link = None
    refused = run("reset-link", "ada")
    assert refused.exit_code == 1
    assert "@chat.reset_link" in refused.stderr
    assert refused.stdout == ""


def test_reset_link_asks_the_sites_own_hook(app, run, users):
    (ada,) = users.create_many(["Ada"])
    asked = []

    def hook(user, hours):
        asked.append((user, hours))
        return url_for("static", filename="new-password", _external=True)

    app.extensions["chat"].load_reset_link = hook
    options = ("--id", "--hours", "2", "--site", "https://club.example/talk")
    result = run("reset-link", *options, "--", ada.id)  # an id may begin with a dash
    assert result.exit_code == 0, result.output
    assert result.stdout == "https://club.example/talk/static/new-password\n"
    assert asked == [(ada.identity, 2)]
    assert "within 2 hours" in result.stderr


# Tokens


def test_token_prints_one_per_line_in_order(app, run, users):
    users.create_many(["Ada", "bob"])
    result = run("token", "bob", "ADA")
    found = [claims(app, token) for token in result.stdout.splitlines()]
    assert [claim["username"] for claim in found] == ["bob", "Ada"]
    assert [claim["sub"] for claim in found] == [users.by_name(name).id for name in ("bob", "ada")]
    assert {claim["exp"] - claim["iat"] for claim in found} == {900}


def test_token_ttl(app, run, users):
    users.create("ada")
    claim = claims(app, run("token", "ada", "--ttl", "7200").stdout.strip())
    assert claim["exp"] - claim["iat"] == 7200


@pytest.mark.parametrize("ttl", ["0", "-5", "soon"])
def test_token_refuses_an_invalid_ttl(run, users, ttl):
    users.create("ada")
    assert run("token", "ada", "--ttl", ttl).exit_code == 2


def test_token_reads_names_from_standard_input(app, run):
    result = run("token", "--create", "first", "-", "last", stdin="ada\n\n  bob  \n小明\n")
    names = [claims(app, token)["username"] for token in result.stdout.splitlines()]
    assert names == ["first", "ada", "bob", "小明", "last"]


def test_token_for_an_unknown_user(run, users):
    users.create("ada")
    result = run("token", "ada", "eve")
    assert result.exit_code == 1
    assert "'eve'" in result.stderr
    assert result.stdout == ""
    assert users.by_name("eve") is None


def test_a_created_user_cannot_log_in(run, client, users):
    assert run("token", "--create", "ada").exit_code == 0
    assert users.by_name("ada").password_hash is None
    assert client.post("/api/login", json={"username": "ada", "password": ""}).status_code == 401


def test_token_for_ten_thousand_takes_seconds(server):
    names = [f"user{number:05d}" for number in range(10_000)]
    begun = time.monotonic()
    tokens = server.cli("token", "--create", "-", stdin="\n".join(names)).split()
    assert time.monotonic() - begun < 60
    assert len(tokens) == len(set(tokens)) == 10_000
    with server.socket(token=tokens[9_999]) as socket:
        assert '"username":"user09999"' in socket.recv_json(type=1)["data"]


# Who may come in


@pytest.mark.parametrize("command", ["kick", "ban", "unban"])
def test_unknown_users(run, command):
    result = run(command, "nobody")
    assert result.exit_code == 1
    assert "There is no user named 'nobody'" in result.stderr


def test_a_name_of_several_users_is_refused_with_their_ids(run, users):
    for user in (Identity("7", "Bob"), Identity("8", "bob")):
        users.ensure(user)
    for command in ("kick", "ban", "unban", "token"):
        result = run(command, "BOB")
        assert result.exit_code == 1
        assert "The name 'BOB' fits 2 users: 'Bob' (id 7), 'bob' (id 8)." in result.stderr
    assert run("ban", "Bob").exit_code == run("ban", "--id", "8").exit_code == 0
    assert users.get("7").banned and users.get("8").banned
    assert run("unban", "8", "--id").exit_code == 0
    assert users.get("7").banned and not users.get("8").banned
    assert "There is no user" in run("ban", "--id", "Bob").stderr


def test_ban_and_unban(run, users):
    ada = users.create("Ada")
    assert run("ban", "ada").exit_code == 0
    assert users.get(ada.id).banned
    assert run("unban", "ada").exit_code == 0
    assert not users.get(ada.id).banned


def test_db_upgrade(run):
    for _ in range(2):
        result = run("db", "upgrade")
        assert result.exit_code == 0
        assert "up to date" in result.stdout


def test_db_upgrade_creates_the_tables(tmp_path, monkeypatch):
    from app import create_app

    monkeypatch.setenv("CHAT_UPGRADE_AT_START", "0")
    app = create_app({"CHAT_DATABASE_URL": f"sqlite:///{tmp_path}/chat.db", "SECRET_KEY": "x" * 40})
    runner = app.test_cli_runner()
    assert runner.invoke(args=["chat", "token", "--create", "ada"]).exit_code != 0
    assert runner.invoke(args=["chat", "db", "upgrade"]).exit_code == 0
    assert runner.invoke(args=["chat", "token", "--create", "ada"]).exit_code == 0


# Beside running servers


def test_who_reports_that_no_server_answers(run):
    begun = time.monotonic()
    result = run("who")
    assert result.exit_code == 1
    assert "No running server answered" in result.stderr
    assert time.monotonic() - begun < 4


def test_a_text_too_long_is_refused(run):
    result = run("send", "lobby", "x" * 10_001)
    assert result.exit_code == 1
    assert "10000" in result.stderr


# Accounts and rooms


def make_ownerless(app, title="tea"):
    """A room whose owner was lowered without a rule, as by an older version."""
    history, users = app.extensions["chat"].history, app.extensions["chat"].users
    ada, bob = (user.identity for user in users.create_many(["Ada", "Bob"]))
    room = history.create_room(title, "private", ada)
    history.join(room.id, bob)
    history.set_role(room.id, ada.id, "member")
    return room


def test_repair_owners_lists_first_and_changes_when_told(app, run):
    room, history = make_ownerless(app), app.extensions["chat"].history
    listed = run("repair-owners")
    assert listed.stdout == f"tea ({room.name})\n" and "--apply" in listed.stderr
    assert history.ownerless_rooms()
    ada = app.extensions["chat"].users.by_name("ada")
    assert (
        run("repair-owners", "--apply").stdout == f"tea ({room.name}): Ada (id {ada.id}) is the owner now\n"
    )
    assert history.role(room.id, ada.id) == "owner"
    assert run("repair-owners").stderr == "Every room has an owner.\n"


def test_delete_user_hands_rooms_on(app, run, users):
    room, history = make_ownerless(app), app.extensions["chat"].history
    bob = users.by_name("bob")
    run("repair-owners", "--apply")
    assert run("delete-user", "ADA").stdout.startswith("Deleted Ada (id ")
    assert users.by_name("ada") is None and history.role(room.id, bob.id) == "owner"
    assert run("delete-user", "ada").exit_code == 1
    assert run("delete-user", "--id", bob.id).exit_code == 0
    assert history.members(room.id, None, 10) == []


def closed_within(socket, seconds):
    end = time.monotonic() + seconds
    try:
        while True:
            socket.recv(timeout=end - time.monotonic())
    except Closed as closed:
        return closed.code


def test_a_running_server_carries_out_the_commands(make_server):
    server = make_server()
    with server.socket("alice") as alice, server.socket("bob") as bob:
        alice.recv_json(type=1)
        bob.recv_json(type=1)
        assert sorted(server.cli("who").split()) == ["alice", "bob"]
        server.cli("send", "lobby", "老师来了")
        for socket in (alice, bob):
            assert socket.recv_json(type=2, data="老师来了", timeout=3)["user"] is None
        server.cli("kick", "ALICE")
        assert closed_within(alice, 2) == 4403
        server.cli("ban", "bob")
        assert closed_within(bob, 2) == 4403
    with server.socket("alice") as alice:
        assert closed_within(alice, 2) == 4401  # the token of before the kick
    server.cli("unban", "bob")
    for name in ("alice", "bob"):
        with server.socket(token=server.cli("token", name).strip()) as socket:
            assert socket.recv_json(type=1)


def test_a_banned_user_cannot_connect(make_server):
    server = make_server()
    server.cli("token", "--create", "bob")
    server.cli("ban", "bob")
    with server.socket(token=server.cli("token", "bob").strip()) as socket:
        assert closed_within(socket, 2) == 4403


def test_the_command_works_on_the_patched_app_too(server):
    command = [BIN / "flask", "--app", "wsgi", "chat", "token", "--create", "-"]
    done = subprocess.run(
        [str(part) for part in command],
        cwd=ROOT,
        env=server.env,
        input="ada\nbob",
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    assert len(done.stdout.split()) == 2


def test_an_error_reaches_the_shell(server):
    with pytest.raises(ServerFailed, match="ended with 1: Error: There is no user named 'nobody'"):
        server.cli("kick", "nobody")
