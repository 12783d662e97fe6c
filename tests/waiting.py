"""Waiting for conditions that raise no event."""

import time

#: Seconds that something may take on a busy machine.
PATIENCE = 20.0


def until(condition, patience=PATIENCE):
    """Poll until `condition()` holds; TimeoutError when it does not in time."""
    deadline = time.monotonic() + patience
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError(f"the condition did not hold within {patience} s")
        time.sleep(0.02)
