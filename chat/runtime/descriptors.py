"""This process's limit of open file descriptors."""

from __future__ import annotations

import contextlib
import resource

#: Descriptors that the rest of the process may need beside the parked sockets.
SPARE = 200


def socket_limit() -> int:
    """Raise the soft limit of open files to the hard one; return how many sockets may be parked under it."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        with contextlib.suppress(ValueError, OSError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return resource.getrlimit(resource.RLIMIT_NOFILE)[0] - SPARE
