"""/healthz for load balancers and /metrics for Prometheus."""

from __future__ import annotations

from flask import Response, abort, jsonify

from ..service import ChatService
from .context import service


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
    # Imported here because most sites never need prometheus_client.
    from .metrics import make_registry, show

    text = show(make_registry(service()))
    return Response(text, mimetype="text/plain", headers={"Cache-Control": "no-store"})


def serve_metrics(chat: ChatService) -> None:
    """Serve the metrics of this process at CHAT_METRICS_PORT."""
    from .metrics import make_registry, serve

    serve(make_registry(chat), chat.settings.metrics_port)
