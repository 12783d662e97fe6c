"""The protocol without I/O: WebSocket frames, JSON codec, envelopes, errors."""
