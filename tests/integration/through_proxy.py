"""Clients of a site behind a proxy of deploy/: over TLS, by each transport, from other addresses."""

import json
import socket
from contextlib import contextmanager

import requests
import socketio

from tests.tokens import token
from tests.wsclient import TIMEOUT, WSClient

POLLING = "/socket.io/?EIO=4&transport=polling"


def trusting(site):
    """An HTTP client with cookies, which trusts the proxy's certificate."""
    session = requests.Session()
    session.verify = str(site.authority)
    session.trust_env = False  # a bundle of certificates named there would take precedence
    return session


@contextmanager
def socketio_client(site, name, transports=None):
    """python-socketio's client, connected to the chat within the block."""
    session = trusting(site)
    client = connected(site, session, name, transports)
    try:
        yield client
    finally:
        client.shutdown()
        session.close()


def connected(site, session, name, transports, attempts=3):
    """python-socketio's client, connected to the chat.

    One in ten or so waits in vain for the answer to its CONNECT when it upgrades behind a proxy; the cause is not known
    yet, and 300 upgrades made by hand were all answered. As its own reconnection would, it tries once more then.
    """
    client = socketio.Client(handle_sigint=False, reconnection=False, http_session=session)
    try:
        client.connect(site.url, auth={"token": token(name)}, transports=transports, wait_timeout=TIMEOUT)
    except socketio.exceptions.ConnectionError:
        client.shutdown()
        if attempts == 1:
            raise
        return connected(site, session, name, transports, attempts - 1)
    return client


def enter(site, name="ann", **options):
    """A socket that has received its welcome."""
    client = site.socket(token=token(name), **options)
    client.recv_json(type=2, user=None)
    return client


def enter_from(address, site, name, headers):
    """The same from another of this machine's addresses."""
    connection = socket.create_connection(("127.0.0.1", site.port), TIMEOUT, (address, 0))
    client = WSClient(site.tls.wrap_socket(connection, server_hostname="127.0.0.1"), TIMEOUT, True)
    client.handshake(f"127.0.0.1:{site.port}", f"/ws/chat?token={token(name)}", headers, b"")
    client.recv_json(type=2, user=None)
    return client


def open_session(site):
    """The id of a new Socket.IO session."""
    status, _, body = site.get(POLLING)
    assert status == 200, body
    return json.loads(body[1:])["sid"]
