"""nginx and Caddy as deploy/ has them, in front of servers under test.

Only what must differ on a test machine is changed in their files: ports, folders, the certificate, and timeouts that
are too long for a test. The rest is what the documentation tells operators to run.
"""

import http.client
import shutil
import ssl
from pathlib import Path

import pytest
import trustme

from tests.servers import ROOT, Server, free_port

DEPLOY = ROOT / "deploy"
#: Debian installs nginx in a folder that is on root's PATH only.
SEARCHED = "/usr/local/bin:/usr/bin:/usr/local/sbin:/usr/sbin"
NO_PROXIES = (
    "No nginx or no Caddy here: the tests of deploy/ behind it were skipped. Install both (Debian: apt-get install "
    "nginx-light caddy)."
)
#: nginx's read timeout in seconds in a test, in place of 75.
READ_TIMEOUT = 3
#: nginx's main file, which comes with Debian; ours is included by it.
NGINX_MAIN = """\
daemon off;
master_process off;
pid {home}/nginx.pid;
error_log stderr;
events {{ worker_connections 1024; }}
http {{
    client_body_temp_path {home}/body;
    proxy_temp_path {home}/proxy;
    fastcgi_temp_path {home}/fastcgi;
    uwsgi_temp_path {home}/uwsgi;
    scgi_temp_path {home}/scgi;
    include {home}/site.conf;
}}
"""


class Proxy(Server):
    """nginx or Caddy (`kind`) before two nodes, used like a server, over TLS; `http_port` is the port without TLS.

    Its logs are in its folder, `home`.
    """

    def __init__(self, kind, nodes):
        program = find(kind)
        super().__init__("gunicorn-gevent")  # for its folder, its log and its start and end
        self.kind, self.http_port = kind, free_port()
        self.url = f"https://127.0.0.1:{self.port}"
        self.tls = ssl.create_default_context(cafile=self._make_certificate())
        addresses = [f"127.0.0.1:{node.port}" for node in nodes]
        self.command = [program, *CONFIGURE[kind](self, *addresses)]

    def _healthy(self):
        try:
            return self.get("/metrics", timeout=5)[0] == 404  # its own answer, without asking a node
        except (OSError, http.client.HTTPException):
            return False

    @property
    def authority(self):
        """The file of the certificate authority that its clients must trust."""
        return self.home / "authority.pem"

    def logged(self):
        """The contents of all its logs."""
        files = [self._log_path, *self.home.glob("flask-chat.*.log")]
        return "".join(file.read_text(errors="replace") for file in files)

    def _make_certificate(self):
        authority = trustme.CA()
        authority.cert_pem.write_to_path(self.authority)
        certificate = authority.issue_cert("127.0.0.1")
        certificate.private_key_pem.write_to_path(self.home / "privkey.pem")
        (self.home / "fullchain.pem").write_bytes(
            b"".join(pem.bytes() for pem in certificate.cert_chain_pems)
        )
        return self.authority


def find(kind):
    """The program's path; without one the test is skipped with a notice."""
    path = shutil.which(kind) or shutil.which(kind, path=SEARCHED)
    return path or pytest.skip(NO_PROXIES)


def rewrite(name, changes, target):
    """Write a file of deploy/ to `target` with `changes` {old text: new text}; each old text must occur in it."""
    text = (DEPLOY / name).read_text()
    for old, new in changes.items():
        assert old in text, f"deploy/{name} has no {old!r} to replace"
        text = text.replace(old, new)
    Path(target).write_text(text)


def configure_nginx(proxy, a, b):
    """Write nginx's files; return its arguments."""
    changes = {
        "listen 80;": f"listen 127.0.0.1:{proxy.http_port};",
        "listen 443 ssl http2;": f"listen 127.0.0.1:{proxy.port} ssl http2;",
        "listen [::]:80;": "",
        "listen [::]:443 ssl http2;": "",
        "127.0.0.1:8001": a,
        "127.0.0.1:8002": b,
        "/etc/letsencrypt/live/chat.example.com": str(proxy.home),
        "/var/log/nginx": str(proxy.home),
        "/var/cache": str(proxy.home),
        "75s": f"{READ_TIMEOUT}s",
    }
    rewrite("nginx.conf", changes, proxy.home / "site.conf")
    (proxy.home / "nginx.conf").write_text(NGINX_MAIN.format(home=proxy.home))
    return ["-e", "stderr", "-p", str(proxy.home), "-c", str(proxy.home / "nginx.conf")]


def configure_caddy(proxy, a, b):
    """Write Caddy's file and its environment; return its arguments."""
    site = "{$SITE:chat.example.com} {\n"
    changes = {
        "/var/log/caddy": str(proxy.home),
        "health_interval 2s": "health_interval 5s",  # so that a test uses a dead node before Caddy notices
        "\n{\n": f"\n{{\n\tadmin off\n\tdefault_bind 127.0.0.1\n\thttp_port {proxy.http_port}\n",
        site: f"{site}\ttls {proxy.home}/fullchain.pem {proxy.home}/privkey.pem\n",
    }
    rewrite("Caddyfile", changes, proxy.home / "Caddyfile")
    proxy.env |= {"SITE": proxy.url, "NODE_A": a, "NODE_B": b}
    proxy.env |= {"XDG_CONFIG_HOME": str(proxy.home), "XDG_DATA_HOME": str(proxy.home)}
    return ["run", "--config", str(proxy.home / "Caddyfile")]


CONFIGURE = {"nginx": configure_nginx, "caddy": configure_caddy}
KINDS = tuple(CONFIGURE)
