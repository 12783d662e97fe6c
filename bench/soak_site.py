"""The reference site with a page that counts what must not grow; only bench/soak.py serves it."""

import gc

from greenlet import greenlet

from wsgi import app


@app.get("/census")
def census():
    """Count live greenlets, objects tracked by the garbage collector, and users in the lobby."""
    gc.collect()
    objects = gc.get_objects()
    return {
        "greenlets": sum(isinstance(one, greenlet) and not one.dead for one in objects),
        "objects": len(objects),
        "roster": len(app.extensions["chat"].roster("lobby")),
    }
