"""Forwards a session's requests to the worker of this machine that holds the session."""
