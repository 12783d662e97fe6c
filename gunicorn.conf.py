"""How gunicorn serves the reference site. It patches nothing: it is read for every worker class."""

import gc
import logging
import os
import resource
import signal
import sys

host, port = os.environ.get("HOST", "127.0.0.1"), os.environ.get("PORT", "8000")
bind = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
worker_class = "gevent"
workers = int(os.environ.get("WEB_CONCURRENCY", "1"))
backlog = 4096
# Parked sockets count no more once they are parked: this bounds requests under way and handshakes.
worker_connections = 4096
graceful_timeout = 30
control_socket_disable = True
accesslog = os.environ.get("ACCESS_LOG", "-") or None


def _raise_descriptor_limit():
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def on_starting(server):
    """Refuse what cannot work, with one sentence instead of a worker's traceback.

    A child looks: what the master imports, the worker would find imported before gevent has patched it.
    """
    _raise_descriptor_limit()
    child = os.fork()
    if not child:
        os._exit(_complain(server.cfg.workers))
    if os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]):
        sys.exit(1)


def _complain(workers):
    try:
        from chat import config
        from chat.store.engine import parse_url
        from chat.views import MULTIPROCESS
    except ImportError:
        # This file is read for whatever is started in this folder; what is missing, the app will say.
        return 0

    try:
        settings = config.load({})
        if settings.database_url:
            parse_url(settings.database_url)
    except config.ConfigError as error:
        print(error, file=sys.stderr, flush=True)
        return 1
    if workers > 1:
        print(f"gunicorn is set to {workers} workers. {MULTIPROCESS}", file=sys.stderr, flush=True)
        return 1
    return 0


def post_worker_init(worker):
    """Have the worker's parked sockets closed with 1012 as soon as it is told to stop."""
    _calm_the_collector()
    _log_the_chat(worker)
    chat = getattr(worker.wsgi, "extensions", {}).get("chat")
    if chat is not None:
        chat.start()  # or the first visitor would wait for it
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGQUIT):
            _drain_first(chat, number)


#: A Ctrl-C reaches the worker twice, from the terminal and from the master; the second would be raised in its exit.
QUICK = (signal.SIGINT, signal.SIGQUIT)


def _drain_first(chat, number):
    stop = signal.getsignal(number)

    def drain_and_stop(*args):
        if number in QUICK:
            for again in QUICK:
                signal.signal(again, _ignore)  # not SIG_IGN: one that is pending would be reported as a race
        chat.begin_drain()
        stop(*args)

    signal.signal(number, drain_and_stop)


def _ignore(*args):
    pass


def _calm_the_collector():
    # A rush of connections makes many objects that stay: by default the collector would walk over all modules and
    # all clients again and again. Measured, it takes a tenth off the cost of a connection.
    gc.collect()
    gc.freeze()
    gc.set_threshold(10_000, 10, 10)


def _log_the_chat(worker):
    logger = logging.getLogger("chat")
    logger.handlers = worker.log.error_log.handlers
    logger.setLevel(worker.log.error_log.level)
    logger.propagate = False
