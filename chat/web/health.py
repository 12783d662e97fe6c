"""/healthz for load balancers and /metrics for Prometheus."""

from __future__ import annotations

from flask import Response, abort, jsonify

from .context import service
from .metrics import make_registry
from .metrics import show as show_metrics


def healthz() -> tuple[Response, int]:
    """Tell a load balancer whether this worker can serve sockets."""
    runtime = service().runtime
    if runtime is None:
        return jsonify(status="ok", connections=0, broker="none"), 200
    status = "draining" if runtime.hub.draining else "stalled" if runtime.hub.reactor.stalled() else "ok"
    answer = jsonify(status=status, connections=len(runtime.hub), broker=runtime.broker_state)
    return answer, 200 if status == "ok" else 503


def metrics() -> Response:
    """Show the chat's numbers to Prometheus, where CHAT_METRICS says so."""
    if not service().settings.metrics:
        abort(404)
    numbers = show_metrics(make_registry(service()))
    return Response(numbers, mimetype="text/plain", headers={"Cache-Control": "no-store"})
