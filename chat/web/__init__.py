"""HTTP: pages, the JSON API, the socket routes, metrics and redaction of logs."""
