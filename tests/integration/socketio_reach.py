"""The site of socketio_reach_site.py as a process, and `chat.io` of it over HTTP."""

import json

from tests.integration.socketio_server import SocketIOServer
from tests.waiting import until


class ReachServer(SocketIOServer):
    """One server of that site; `io` calls a method of its `chat.io`."""

    app_factory = "tests.integration.socketio_reach_site:create_app()"

    def io(self, method, *args, **options):
        return self._post(f"/io/{method}", args=args, options=options)

    def remote(self, method, id, *args):
        """Call a method of the only session of that id: [its class, the result]."""
        return self._post(f"/remote/{method}", id=id, args=args)

    def notes(self, id=None):
        """What the site has noted, of one session where one is named: without its id."""
        entries = json.loads(self.get("/journal")[2])
        return entries if id is None else [[one[0], *one[2:]] for one in entries if one[1] == id]

    def wait_note(self, id, *note):
        """Wait until the site has noted that of a session."""
        until(lambda: list(note) in self.notes(id))
