"""WebSocket clients with user names, and what tests read from the messages that they receive."""

import json
from contextlib import contextmanager

from tests.tokens import token


@contextmanager
def entering(server):
    """enter("ann", …) opens a socket per name and returns them once each has seen all names; closed at the end."""
    opened = []

    def enter(*names, query="", **options):
        clients = [connect_as(server, name, query, **options) for name in names]
        opened.extend(clients)
        for client in clients:
            wait_for_users(client, *names)
        return clients[0] if len(clients) == 1 else clients

    yield enter
    for client in opened:
        client.sock.close()


def connect_as(server, name, query="", **options):
    client = server.socket(token=token(name), query=query, **options)
    client.name = name
    return client


def names_in(message):
    """The user names in a GroupList, or the new ones in a RosterDiff."""
    if message["type"] == 1:
        return {user["username"] for user in json.loads(message["data"])}
    return {user["username"] for user in message.get("joined", ())}


def wait_for_users(client, *names):
    """Read until all of `names` have been announced."""
    missing = set(names)

    def all_announced(message):
        missing.difference_update(names_in(message))
        return not missing

    client.recv_until(all_announced)


def received_before(client, text):
    """Every message before the group message `text`, except those about the roster."""
    seen = client.recv_until(lambda message: message.get("data") == text and message["type"] == 2)[:-1]
    return [message for message in seen if message["type"] not in (1, 5)]


def settle(sender, *others, text="settled"):
    """Let `sender` send a message and every client receive it; return what each of the others received before it."""
    sender.send_json({"type": 2, "data": text})
    received_before(sender, text)
    return [received_before(other, text) for other in others]


def ask(server, method, path, body=None, name="ann"):
    """The JSON API's answer to `name`."""
    headers = {"Authorization": f"Bearer {token(name)}", "Content-Type": "application/json"}
    text = None if body is None else json.dumps(body)
    status, _, answer = server.request(method, f"/chat/api{path}", text, headers)
    assert status < 300, answer
    return json.loads(answer) if answer else None


def make_room(server, title, **fields):
    """Create a public room."""
    return ask(server, "POST", "/rooms", {"title": title, "kind": "public", **fields})
