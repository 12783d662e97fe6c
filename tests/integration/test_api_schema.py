"""What openapi.json says is what the API does, and nothing is left out of it."""

import json
import os
import subprocess
from pathlib import Path

import pytest
from flask import Flask

import chat
from chat import Chat
from chat.web.api.answers import BAD_REQUEST, STATUS
from chat.web.api.routes import ROUTES
from chat.wire.errors import FAILURES
from tests.servers import BIN, ROOT, SECRET

DOCUMENT = json.loads((Path(chat.__file__).parent / "web/api/openapi.json").read_text())
METHODS = ("get", "post", "put", "patch", "delete")
#: Examples that schemathesis makes up for each operation, beside hundreds of those at the limits of its fields.
EXAMPLES = 8


def resolved(value):
    """`value`, or what it refers to."""
    while "$ref" in value:
        target = DOCUMENT
        for step in value["$ref"].removeprefix("#/").split("/"):
            target = target[step]
        value = target
    return value


def operations():
    for path, item in DOCUMENT["paths"].items():
        for method in METHODS:
            if method in item:
                yield f"{method.upper()} {path}", item[method]


def test_every_route_is_described_and_no_other():
    served = {
        f"{method} {rule.replace('<', '{').replace('>', '}')}"
        for rule, _, actions in ROUTES
        for method in actions
    }
    assert {label for label, _ in operations()} == {*served, "GET /openapi.json"}


def codes():
    """(status, code) of each failure that the document names."""
    for _, operation in operations():
        for status, response in operation["responses"].items():
            media = resolved(response).get("content", {}).get("application/json", {})
            for part in media.get("schema", {}).get("allOf", []):
                yield from (
                    (int(status), code) for code in part.get("properties", {}).get("code", {}).get("enum", ())
                )


def test_failures_have_the_documented_statuses():
    described = set(codes())
    assert described == {(STATUS.get(code, BAD_REQUEST), code) for _, code in described}
    assert {code for _, code in described} <= FAILURES.keys()
    # Of these no address that is described can know.
    assert STATUS.keys() - {code for _, code in described} == {"not_found", "method_not_allowed"}


@pytest.mark.parametrize(("prefix", "mount"), [("", ""), ("/talk", ""), ("/talk", "/site"), ("", "/站")])
def test_the_document_names_the_servers_address(tmp_path, prefix, mount):
    app = Flask("site")
    app.config.update(SECRET_KEY=SECRET, CHAT_DATABASE_URL=f"sqlite:///{tmp_path}/chat.db")
    Chat(app, url_prefix=prefix)
    answer = app.test_client().get(
        f"{prefix}/chat/api/openapi.json", environ_overrides={"SCRIPT_NAME": mount.encode().decode("latin-1")}
    )
    assert answer.mimetype == "application/json"
    assert answer.get_json()["servers"] == [{"url": f"{mount}{prefix}/chat/api"}]
    assert answer.get_json() | {"servers": 0} == DOCUMENT | {"servers": 0}


@pytest.fixture
def furnished(make_server):
    """A server with ann, bob, and the rooms that the document's examples and the hooks name."""
    # Odd addresses are for the API to answer, as long as gunicorn may let them in.
    server = make_server(
        env={"CHAT_API_RATE": 0, "CHAT_API_RATE_PER_IP": 0}, options=("--limit-request-line", 8190)
    )
    ann, bob = ({"Authorization": f"Bearer {server.token(name)}"} for name in ("ann", "bob"))
    for owner, guest, title in ((ann, bob, "tea"), (bob, ann, "den")):
        server.post_json("/chat/api/rooms", {"title": title, "kind": "public"}, owner)
        assert server.request("POST", f"/chat/api/rooms/{title}/join", headers=guest)[0] == 200
    with server.socket("bob") as socket:
        for room in ("lobby", "tea"):
            socket.send_json({"type": 6, "room": room})
            socket.recv_json(type=8)
            socket.send_json({"type": 2, "room": room, "id": room, "data": "Is there any tea left?"})
            socket.recv_json(type=4)
    return server


def test_a_server_answers_as_documented(furnished, tmp_path):
    """schemathesis asks for all of it, in good requests and in bad ones, the same in every run."""
    bob = json.loads(
        furnished.get("/chat/api/users/bob", {"Authorization": f"Bearer {furnished.token('ann')}"})[2]
    )["id"]
    done = subprocess.run(
        [
            BIN / "st",
            "run",
            f"{furnished.url}/chat/api/openapi.json",
            f"--header=Authorization: Bearer {furnished.token('ann')}",
            f"--max-examples={EXAMPLES}",
            "--generation-deterministic",
            "--warnings=off",
        ],
        cwd=tmp_path,
        env=os.environ
        | {
            "SCHEMATHESIS_HOOKS": str(ROOT / "tests/integration/api_hooks.py"),
            "PYTHONPATH": str(ROOT),
            "BOB": bob,
        },
        capture_output=True,
        text=True,
        timeout=170,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "21 selected" in done.stdout
