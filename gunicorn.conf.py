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
        os._exit(_complain(server.cfg))
    if os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]):
        sys.exit(1)


def _complain(cfg):
    try:
        from chat import config
        from chat.store.engine import parse_url
        from chat.web.sockets import MULTIPROCESS
    except ImportError:
        # This file is read for whatever is started in this folder; what is missing, the app will say.
        return 0

    try:
        settings = config.load({})
        if settings.database_url:
            parse_url(settings.database_url)
    except config.ConfigError as error:
        return _refuse(error)
    if cfg.workers > 1 and not settings.redis_url:
        return _refuse(f"gunicorn is set to {cfg.workers} workers. {MULTIPROCESS}")
    patience, name = _patience(cfg)
    drain = settings.drain_seconds
    if drain >= patience:
        return _refuse(f"CHAT_DRAIN_SECONDS is {drain:g}. Set it below gunicorn's {name}, {patience}.")
    return 0


def _refuse(sentence):
    print(sentence, file=sys.stderr, flush=True)
    return 1


def _patience(cfg):
    """Return after how many seconds gunicorn kills a worker that was told to stop, and the setting that says so."""
    limits = [(cfg.graceful_timeout, "graceful_timeout")]
    if cfg.timeout:  # 0 is for never
        limits.append((cfg.timeout, "timeout"))  # a worker in its exit shows no sign of life any more
    return min(limits)


def post_worker_init(worker):
    """Have the worker's parked sockets closed with 1012, batch by batch, as soon as it is told to stop."""
    _calm_the_collector()
    _log_the_chat(worker)
    chat = _chat_of(worker)
    if chat is not None:
        chat.start()  # or the first visitor would wait for it
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGQUIT):
            _drain_first(worker, chat, number)


def worker_exit(server, worker):
    """Let the worker end when its clients have been sent away, and no sooner.

    gunicorn's own handler of SIGTERM has run at once, beside the drain: so the worker accepts no more, and who comes
    back comes to another one, or waits for it. Requests under way are finished; parked sockets are none, or gunicorn
    would wait for them itself. A worker comes here without a signal too, after max_requests or when its master is gone.
    """
    chat = _chat_of(worker)
    if chat is not None:
        patience = max(0, _patience(worker.cfg)[0] - HEADWAY)
        try:
            chat.finish_drain(patience)
        except SystemExit:
            chat.finish_drain(patience)  # a Ctrl-C came meanwhile, and whoever was left goes at once


#: Seconds by which a worker wants to have ended before gunicorn kills it.
HEADWAY = 0.5


def _chat_of(worker):
    # The master, too, calls worker_exit for a worker that it finds gone; one that failed to boot has no app.
    return getattr(getattr(worker, "wsgi", None), "extensions", {}).get("chat")


#: A Ctrl-C reaches the worker twice, from the terminal and from the master; the second would be raised in its exit.
QUICK = (signal.SIGINT, signal.SIGQUIT)


def _drain_first(worker, chat, number):
    stop = signal.getsignal(number)

    def drain_and_stop(*args):
        if number in QUICK:
            for again in QUICK:
                signal.signal(again, _ignore)  # not SIG_IGN: one that is pending would be reported as a race
        if GEVENT in sys.modules:
            sys.modules["gevent"].spawn(_stop_accepting, worker)
        chat.begin_drain(0 if number in QUICK else None)
        stop(*args)

    signal.signal(number, drain_and_stop)


#: gunicorn's module of this worker, and of those that derive from it.
GEVENT = "gunicorn.workers.ggevent"


def _stop_accepting(worker):
    """Leave those who come from now on to the other workers.

    By itself a gevent worker looks once a second whether it is to stop; until then it would go on accepting, and have
    to refuse them. Nobody but its run() holds the servers that accept.
    """
    from gevent.baseserver import BaseServer

    descriptors = {listener.fileno() for listener in worker.sockets}
    for one in gc.get_objects():
        # Not isinstance: there are proxies, which would say what they stand for.
        if issubclass(type(one), BaseServer) and one.started and one.socket.fileno() in descriptors:
            one.stop_accepting()


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
