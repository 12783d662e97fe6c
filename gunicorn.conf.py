"""gunicorn's configuration for the reference site. It works with every worker class, so it patches nothing."""

import gc
import os

from chat import gunicorn_hooks

# gunicorn calls the functions of this file by their names.
from chat.gunicorn_hooks import on_starting, worker_exit  # noqa: F401

host, port = os.environ.get("HOST", "127.0.0.1"), os.environ.get("PORT", "8000")
bind = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
worker_class = "gevent"
workers = int(os.environ.get("WEB_CONCURRENCY", "1"))
backlog = 4096
# Parked sockets do not count: this limits requests in progress and handshakes.
worker_connections = 4096
graceful_timeout = 30
control_socket_disable = True  # known from 25.1 on; older ones ignore the name
accesslog = os.environ.get("ACCESS_LOG", "-") or None


def post_fork(server, worker):
    # Until the app has been imported nothing can be freed: the collector would only delay the start, by a tenth.
    gc.disable()


def post_worker_init(worker):
    _tune_garbage_collector()
    gunicorn_hooks.post_worker_init(worker)


def _tune_garbage_collector():
    # Many connections at once create many long-lived objects: by default the collector would traverse all modules and
    # all clients again and again. Measured, this saves a tenth of the cost of a connection.
    gc.enable()
    gc.collect()
    gc.freeze()
    gc.set_threshold(10_000, 10, 10)
