"""What somebody meets who starts the server for the first time, or in a way that cannot work."""

import ssl

import pytest
import trustme

from tests.servers import BIN, Server
from tests.wsclient import Closed, Refused

NO_CONFIGURATION = ("-c", "/dev/null")
TLS_KINDS = ("gunicorn-gevent", "gunicorn-geventwebsocket", "gunicorn-gthread")


def test_gunicorn_needs_no_option(tmp_path):
    server = Server("gunicorn-gevent", {"CHAT_DATABASE_URL": f"sqlite:///{tmp_path}/instance/chat.db"})
    server.command = [str(BIN / "gunicorn"), "wsgi:app"]
    server.env["PORT"] = str(server.port)
    with server, server.socket("alice") as alice:
        alice.recv_json(type=1)
        assert f"http://127.0.0.1:{server.port}" in server.log()
        assert "Using worker: gevent" in server.log()
        assert "MonkeyPatchWarning" not in server.log()


def test_ctrl_c_ends_it_without_a_traceback(make_server):
    server = make_server()
    with server.socket("alice") as alice:
        alice.recv_json(type=1)
        server.interrupt()
        assert alice.wait_closed()[0] == 1012
    assert server.wait_exit() == 0
    assert "Traceback" not in server.log()


def test_the_log_names_each_socket_and_no_token(make_server):
    server = make_server()
    with server.socket("alice") as alice, server.socket(token="stolen.or.bad") as stranger:
        alice.recv_json(type=1)
        stranger.wait_closed()
    with pytest.raises(Refused):
        server.socket("alice", headers={"Origin": "https://elsewhere.example"})
    log = server.wait_log("?[redacted]")
    assert '"GET /ws/chat" 101 user ' in log
    assert '"GET /ws/chat" 101 token_invalid' in log
    assert server.token("alice") not in log
    assert "stolen.or.bad" not in log


SECRET_QUERIES = (
    "token=s3cr3t",
    "%74oken=s3cr3t",
    "EIO=4&transport=polling&sid=s3cr3t",
    "a='&token=s3cr3t",
    "s3cr3t",
)


@pytest.mark.parametrize("kind", ["gunicorn-gevent", "gunicorn-gthread", "pywsgi", "flask-run"])
def test_no_server_logs_a_query(make_server, kind):
    """Of polls, sockets, pages and forms, with a Referer that has a query too."""
    server = make_server(kind)
    for path in ("/socket.io/", "/ws/chat", "/chat", "/login", "/nowhere"):
        for query in SECRET_QUERIES:
            server.get(f"{path}?{query}", {"Referer": f"{server.url}/login?key=s3cr3t"})
    with server.socket(token="s3cr3t") as stranger:
        stranger.wait_closed()
    server.get("/nowhere/last")
    log = server.wait_log("/nowhere/last")
    assert log.count("?[redacted]") >= 5 * len(SECRET_QUERIES)
    assert "s3cr3t" not in log


@pytest.mark.parametrize(
    ("kind", "env", "options"),
    [
        ("gunicorn-gevent", {"WEB_CONCURRENCY": "2"}, ()),
        ("gunicorn-gevent", {}, ("--workers", "3")),
        ("gunicorn-gthread", {"WEB_CONCURRENCY": "2"}, ()),
    ],
)
def test_several_workers_are_refused_with_a_message(kind, env, options):
    server = Server(kind, env, options=options)
    try:
        assert server.launch().wait_exit(30) != 0
        assert "WEB_CONCURRENCY=1" in server.log()
        assert "Traceback" not in server.log()
    finally:
        server.stop()


def test_several_workers_without_our_configuration_are_refused_at_the_first_socket(make_server):
    server = make_server(options=(*NO_CONFIGURATION, "--workers", "2"))
    with pytest.raises(Refused, match="WEB_CONCURRENCY=1") as refused:
        server.socket("alice")
    assert refused.value.status == 503


@pytest.fixture(scope="module")
def certificate(tmp_path_factory):
    """(gunicorn's options for a certificate of our own, a client's context that trusts it)."""
    authority, folder = trustme.CA(), tmp_path_factory.mktemp("tls")
    mine = authority.issue_cert("127.0.0.1")
    mine.private_key_pem.write_to_path(folder / "key.pem")
    mine.cert_chain_pems[0].write_to_path(folder / "cert.pem")
    context = ssl.create_default_context()
    authority.configure_trust(context)
    return ("--certfile", folder / "cert.pem", "--keyfile", folder / "key.pem"), context


@pytest.mark.parametrize("kind", TLS_KINDS)
def test_tls_by_gunicorn_itself_is_refused_with_a_message(kind, certificate):
    options, context = certificate
    server = Server(kind, options=options)
    server.tls = context
    with server, pytest.raises((Refused, Closed), match="proxy"), server.socket("alice") as alice:
        alice.recv()


def test_an_invalid_setting_stops_the_start_with_a_message():
    server = Server("gunicorn-gevent", {"CHAT_RATE_LIMIT": "many"})
    try:
        assert server.launch().wait_exit(30) != 0
        assert "CHAT_RATE_LIMIT" in server.log()
    finally:
        server.stop()
