"""/healthz for load balancers and /metrics for Prometheus."""

from __future__ import annotations

import logging
from importlib.util import find_spec

from flask import Response, abort, jsonify

from ..service import ChatService
from .context import service

log = logging.getLogger("flask_chat")

NO_PROMETHEUS = (
    "CHAT_METRICS or CHAT_METRICS_PORT is set, but prometheus-client is not installed, so there are no metrics: "
    'pip install "flask-chat[metrics]"'
)


def healthz() -> tuple[Response, int]:
    """Report to a load balancer whether this worker can serve sockets."""
    runtime = service().runtime
    if runtime is None:
        return jsonify(status="ok", connections=0, broker="none"), 200
    status = "draining" if runtime.hub.draining else "stalled" if runtime.hub.reactor.stalled() else "ok"
    answer = jsonify(status=status, connections=len(runtime.hub), broker=runtime.broker_state)
    return answer, 200 if status == "ok" else 503


def metrics() -> Response:
    """Return the chat's metrics in Prometheus' text format, if CHAT_METRICS is on."""
    if not service().settings.metrics:
        abort(404)
    if not _has_prometheus():
        return Response(NO_PROMETHEUS + "\n", 501, mimetype="text/plain")
    # Imported here because most sites never need prometheus_client.
    from .metrics import make_registry, show

    text = show(make_registry(service()))
    return Response(text, mimetype="text/plain", headers={"Cache-Control": "no-store"})


def prepare_metrics(chat: ChatService) -> None:
    """Serve the metrics of each process at CHAT_METRICS_PORT; log once if they are wanted but cannot be made."""
    settings = chat.settings
    if (settings.metrics or settings.metrics_port) and not _has_prometheus():
        log.warning(NO_PROMETHEUS)
    elif settings.metrics_port:
        chat.before_start.append(lambda: _serve_metrics(chat))


def _has_prometheus() -> bool:
    return find_spec("prometheus_client") is not None


def _serve_metrics(chat: ChatService) -> None:
    from .metrics import make_registry, serve

    serve(make_registry(chat), chat.settings.metrics_port)
