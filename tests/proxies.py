"""nginx and Caddy as deploy/ has them, in front of servers under test.

Only what must differ on a test machine is written anew in their files: ports, folders, the certificate, and the
seconds that a test can wait. The rest is what people are told to run.
"""

import http.client
import shutil
import ssl
from pathlib import Path

import pytest
import trustme

from tests.servers import ROOT, Server, free_port

DEPLOY = ROOT / "deploy"
#: Debian keeps nginx where only root looks.
SEARCHED = "/usr/local/bin:/usr/bin:/usr/local/sbin:/usr/sbin"
NO_PROXIES = (
    "No nginx or no Caddy here: the tests of deploy/ behind it were skipped. Install both (Debian: apt-get install "
    "nginx-light caddy)."
)
#: Seconds of silence that nginx bears in a test, in place of 75.
READ_TIMEOUT = 3
#: nginx's main file, which Debian brings along; ours is a part of it.
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
    """nginx or Caddy (`kind`) before two nodes: addressed as a server is, over TLS; `http_port` is the one without.

    What it logs is in its folder, `home`.
    """

    def __init__(self, kind, nodes):
        program = find(kind)
        super().__init__("gunicorn-gevent")  # its folder, its log and its life are any server's
        self.kind, self.http_port = kind, free_port()
        self.url = f"https://127.0.0.1:{self.port}"
        self.tls = ssl.create_default_context(cafile=self._make_certificate())
        addresses = [f"127.0.0.1:{node.port}" for node in nodes]
        self.command = [program, *CONFIGURE[kind](self, *addresses)]

    def _healthy(self):
        try:
            return self.get("/metrics", timeout=5)[0] == 404  # its own answer, for which it asks no node
        except (OSError, http.client.HTTPException):
            return False

    @property
    def authority(self):
        """The file of the certificate authority that its clients have to trust."""
        return self.home / "authority.pem"

    def logged(self):
        """Everything that it has written to any log."""
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
    """The program's path; where there is none the test is skipped, and says so."""
    path = shutil.which(kind) or shutil.which(kind, path=SEARCHED)
    return path or pytest.skip(NO_PROXIES)


def rewrite(name, changes, target):
    """Write a file of deploy/ to `target` with `changes` {old text: new text}, each of which has to be in it."""
    text = (DEPLOY / name).read_text()
    for old, new in changes.items():
        assert old in text, f"deploy/{name} has no {old!r} to write anew"
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
        "health_interval 2s": "health_interval 5s",  # so that a test comes upon a dead node before Caddy does
        "\n{\n": f"\n{{\n\tadmin off\n\tdefault_bind 127.0.0.1\n\thttp_port {proxy.http_port}\n",
        site: f"{site}\ttls {proxy.home}/fullchain.pem {proxy.home}/privkey.pem\n",
    }
    rewrite("Caddyfile", changes, proxy.home / "Caddyfile")
    proxy.env |= {"SITE": proxy.url, "NODE_A": a, "NODE_B": b}
    proxy.env |= {"XDG_CONFIG_HOME": str(proxy.home), "XDG_DATA_HOME": str(proxy.home)}
    return ["run", "--config", str(proxy.home / "Caddyfile")]


CONFIGURE = {"nginx": configure_nginx, "caddy": configure_caddy}
KINDS = tuple(CONFIGURE)
