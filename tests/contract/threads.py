"""Threads for the stores' contract: functions that begin together."""

import threading
from concurrent.futures import ThreadPoolExecutor


def run(function):
    """Call `function` at once: the `run` of a store that is not told of an event loop."""
    return function()


def at_once(*functions):
    """Run functions in threads that begin together; return their results or exceptions, in order."""
    barrier = threading.Barrier(len(functions))

    def call(function):
        barrier.wait(10)
        try:
            return function()
        except Exception as error:
            return error

    with ThreadPoolExecutor(len(functions)) as pool:
        return list(pool.map(call, functions))
