"""gunicorn's server hooks for a site with the chat, in a configuration of the site's own.

    from flask_chat.gunicorn_hooks import on_starting, post_worker_init, worker_exit

Or `gunicorn -c python:flask_chat.gunicorn_hooks …` for a site without a configuration. A hook that the site has itself
calls the chat's. `on_starting` sees the settings of the environment only: a site that sets CHAT_REDIS_URL in
`app.config` leaves it out.

gunicorn's master imports this module, so it imports nothing that gevent must patch first.
"""

from __future__ import annotations

import gc
import logging
import os
import resource
import signal
import sys
import traceback
from typing import Any


def _raise_descriptor_limit() -> None:
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def on_starting(server: Any) -> None:
    """Refuse settings that cannot work, with one sentence instead of a worker's traceback.

    A child process checks: a module that the master imports would be imported in the worker before gevent has patched.
    """
    _raise_descriptor_limit()
    child = os.fork()
    if not child:
        os._exit(check_settings(server.cfg))
    if os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]):
        sys.exit(1)


def check_settings(cfg: Any) -> int:
    """Return 0, or print what is wrong with the settings or gunicorn's `cfg` and return 1."""
    from . import config

    try:
        settings = config.load({})
    except config.ConfigError as error:
        return _refuse(error)
    if cfg.workers > 1 and not settings.redis_url:
        return _refuse(f"gunicorn is set to {cfg.workers} workers. {config.SEVERAL_WORKERS}")
    limit, name = _kill_timeout(cfg)
    drain = settings.drain_seconds
    if drain >= limit:
        return _refuse(f"CHAT_DRAIN_SECONDS is {drain:g}. Set it below gunicorn's {name}, {limit}.")
    return 0


def _refuse(reason: object) -> int:
    print(reason, file=sys.stderr, flush=True)
    return 1


def _kill_timeout(cfg: Any) -> tuple[float, str]:
    """Return the seconds after which gunicorn kills a worker that was told to stop, and the name of that setting."""
    limits = [(cfg.graceful_timeout, "graceful_timeout")]
    if cfg.timeout:  # 0 means never
        limits.append((cfg.timeout, "timeout"))  # an exiting worker sends no heartbeat
    return min(limits)


def post_worker_init(worker: Any) -> None:
    """Make the worker close its parked sockets with 1012, in batches, as soon as it is told to stop."""
    _share_log_handlers(worker)
    chat = _chat_of(worker)
    if chat is not None:
        _limit_requests(worker, chat)
        chat.start()  # otherwise the first client waits for it
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGQUIT):
            _drain_on(worker, chat, number)


def _limit_requests(worker: Any, chat: Any) -> None:
    """End requests of slow clients, and refuse those of an address that has too many, in all of the site's views.

    gunicorn calls nothing of the site before a head has been read, so the worker's own method is wrapped.
    """
    from .web.request_limits import RequestLimits, proxies_of

    is_threaded = hasattr(worker, "tpool")
    capacity = worker.cfg.threads if is_threaded else worker.cfg.worker_connections
    proxies = chat.settings.trusted_proxies or proxies_of(worker.wsgi)
    limits = worker.wsgi = RequestLimits(worker.wsgi, chat.settings, capacity, proxies, chat.connects)
    handle = worker.handle

    def handle_limited(*args: Any) -> Any:
        sock, peer = (args[0].sock, args[0].client) if is_threaded else args[1:]
        address = peer[0] if isinstance(peer, tuple) else ""
        if not limits.begin_head(sock, address, PATIENCE if is_threaded else 0.0) and not is_threaded:
            return sock.close()  # without a look at what it has sent: there may be thousands a second
        try:
            return handle(*args)
        finally:
            limits.end_head(sock)

    _limit_heads()
    if is_threaded or GEVENT in sys.modules:
        worker.handle = handle_limited
    if GEVENT in sys.modules:
        _share_the_loop()
    worker.log.error_log.addFilter(_is_no_timeout)


#: Bytes that the head of a request may have, about: nginx's default. gunicorn's own is 820 KB, in which a view would
#: parse cookies for a second, and which gunicorn would copy for each further byte that arrives.
MAX_HEAD = 32_768


def _limit_heads() -> None:
    """Have gunicorn answer longer heads with an error; it computes its own limit for each request."""
    from gunicorn.http.message import Request

    Request.max_buffer_headers = property(lambda request: MAX_HEAD, lambda request, computed: None)


def _share_the_loop() -> None:
    """Have gevent's servers accept few connections in a row: all of their requests run before anything else does."""
    from gevent.baseserver import BaseServer

    BaseServer.max_accept = min(BaseServer.max_accept, ACCEPT)


#: Seconds that a thread waits for the head of a client whose address holds too many requests.
PATIENCE = 0.1
#: Connections that a worker accepts in a row. At gevent's 100, a flood of new ones delays every message by 150 ms.
ACCEPT = 2


def _is_no_timeout(record: logging.LogRecord) -> bool:
    """Let gunicorn log no traceback for a response that its client did not take in time, but those of the site."""
    if not record.exc_info or not isinstance(record.exc_info[1], TimeoutError):
        return True
    from .web import request_limits

    # gunicorn calls the site through it, and sends by itself.
    frames = traceback.walk_tb(record.exc_info[2])
    return any(frame.f_globals.get("__name__") == request_limits.__name__ for frame, _ in frames)


def worker_exit(server: Any, worker: Any) -> None:
    """Wait until the worker's clients have been closed.

    gunicorn's SIGTERM handler runs while the drain is still in progress. The worker then accepts no more connections,
    and clients reconnect to another worker or wait for one. Requests in progress are finished. gunicorn does not wait
    for parked sockets, because they are not requests. This also runs without a signal: after max_requests, and when the
    master has died.
    """
    chat = _chat_of(worker)
    if chat is not None:
        seconds = max(0, _kill_timeout(worker.cfg)[0] - MARGIN)
        try:
            chat.finish_drain(seconds)
        except SystemExit:
            chat.finish_drain(seconds)  # after a Ctrl-C meanwhile: closes the remaining clients at once


#: Seconds that a worker must have ended before gunicorn kills it.
MARGIN = 0.5


def _chat_of(worker: Any) -> Any:
    # The master also calls worker_exit for a worker that has died. A worker that failed to boot has no app.
    return getattr(getattr(worker, "wsgi", None), "extensions", {}).get("chat")


#: A Ctrl-C reaches the worker twice, from the terminal and from the master. The second would raise during its exit.
IMMEDIATE = (signal.SIGINT, signal.SIGQUIT)


def _drain_on(worker: Any, chat: Any, number: signal.Signals) -> None:
    stop: Any = signal.getsignal(number)

    def drain_and_stop(*args: Any) -> None:
        if number in IMMEDIATE:
            for again in IMMEDIATE:
                signal.signal(again, _ignore)  # not SIG_IGN: a pending signal would be reported as a race
        if GEVENT in sys.modules:
            sys.modules["gevent"].spawn(_stop_accepting, worker)
        chat.begin_drain(0 if number in IMMEDIATE else None)
        stop(*args)

    signal.signal(number, drain_and_stop)


#: gunicorn's module of the gevent worker and of classes derived from it.
GEVENT = "gunicorn.workers.ggevent"


def _stop_accepting(worker: Any) -> None:
    """Stop accepting, so that new connections go to the other workers.

    A gevent worker checks only once a second whether it must stop. Until then it would accept connections that it has
    to refuse. Only local variables of its run() refer to the accepting servers, so this finds them through gc.
    """
    from gevent.baseserver import BaseServer

    descriptors = {listener.fileno() for listener in worker.sockets}
    for one in gc.get_objects():
        # Not isinstance: proxy objects report the class of what they wrap.
        if issubclass(type(one), BaseServer) and one.started and one.socket.fileno() in descriptors:
            one.stop_accepting()


def _ignore(*args: Any) -> None:
    pass


def _share_log_handlers(worker: Any) -> None:
    logger = logging.getLogger("flask_chat")
    logger.handlers = worker.log.error_log.handlers
    logger.setLevel(worker.log.error_log.level)
    logger.propagate = False
