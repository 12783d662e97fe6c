"""People in a chat: sockets with names, and what is to be read out of what they hear."""

import json
from contextlib import contextmanager

from tests.tokens import token


@contextmanager
def entering(server):
    """enter("ann", …) opens a socket for each name and returns them once each has seen all; closed at the end."""
    opened = []

    def enter(*names, query="", **options):
        clients = [come(server, name, query, **options) for name in names]
        opened.extend(clients)
        for client in clients:
            hear_of(client, *names)
        return clients[0] if len(clients) == 1 else clients

    yield enter
    for client in opened:
        client.sock.close()


def come(server, name, query="", **options):
    client = server.socket(token=token(name), query=query, **options)
    client.name = name
    return client


def names_in(message):
    """The user names that a GroupList, or the new ones that a RosterDiff, tells of."""
    if message["type"] == 1:
        return {user["username"] for user in json.loads(message["data"])}
    return {user["username"] for user in message.get("joined", ())}


def hear_of(client, *names):
    """Read until all of `names` have been told of."""
    missing = set(names)

    def all_told(message):
        missing.difference_update(names_in(message))
        return not missing

    client.recv_until(all_told)


def heard_before(client, text):
    """Every message before the group message `text`, but for those about the roster."""
    seen = client.recv_until(lambda message: message.get("data") == text and message["type"] == 2)[:-1]
    return [message for message in seen if message["type"] not in (1, 5)]


def settle(speaker, *others, text="settled"):
    """Let `speaker` say a word and everyone hear it; return what each of the others heard before it."""
    speaker.send_json({"type": 2, "data": text})
    heard_before(speaker, text)
    return [heard_before(other, text) for other in others]


def ask(server, method, path, body=None, name="ann"):
    """What the JSON API answers `name`."""
    headers = {"Authorization": f"Bearer {token(name)}", "Content-Type": "application/json"}
    text = None if body is None else json.dumps(body)
    status, _, answer = server.request(method, f"/chat/api{path}", text, headers)
    assert status < 300, answer
    return json.loads(answer) if answer else None


def make_room(server, title, **fields):
    """Make a public room."""
    return ask(server, "POST", "/rooms", {"title": title, "kind": "public", **fields})
