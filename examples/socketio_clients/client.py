"""A chat client for the terminal on python-socketio; docs/socketio.md explains the events.

    pip install "python-socketio[asyncio-client]"
    python client.py --user ann                     # the reference site on http://127.0.0.1:8000; asks for the password
    python client.py --token "$(flask --app app chat token ann)"
    python client.py --token … --path /talk/socket.io https://site.example

It prints messages and sends each line of its input: `/to ann psst` goes to ann alone, `/who` lists who is online.
It ends with its input (Ctrl-D) or when the server refuses it for good. It survives a restart of the server: lines typed
meanwhile are sent afterwards. The environment variable CHAT_PASSWORD, if set, is the password.
"""

import argparse
import asyncio
import contextlib
import getpass
import os
import random
import sys
import threading
import time
import uuid
from urllib.parse import urljoin

import aiohttp
import socketio
from socketio import exceptions

#: Errors that a fresh token may solve, and errors that pass with time.
TOKEN = {"token_expired", "token_invalid"}
LATER = {"server_full", "too_many_for_user", "too_many_for_address", "flooding"}
#: Time limit in seconds for a connection and for an answer.
TIMEOUT = 10
#: Seconds to wait after a temporary refusal, plus up to as many more at random.
RETRY_AFTER = 10


class LogInRefused(Exception):
    """The site knows no such user, or not with this password."""


class Tokens:
    """Valid tokens: the given one, or the site's, renewed after three quarters of its lifetime."""

    def __init__(self, site, given, credentials):
        self._site = site
        self._given = given
        self._credentials = credentials
        self._token = None
        self._renew_at = 0.0

    async def get(self):
        if self._given:
            return self._given
        if self.renew_in() <= 0:
            await self._log_in()
        return self._token

    def renew_in(self):
        """Return the seconds until a new token is needed."""
        return float("inf") if self._given else self._renew_at - time.monotonic()

    def forget(self):
        """Drop a token that the server refused; return whether another one can be requested."""
        self._renew_at = 0.0
        return not self._given

    async def _log_in(self):
        async with (
            aiohttp.ClientSession() as session,
            session.post(urljoin(self._site, "/api/login"), json=self._credentials) as answer,
        ):
            body = await answer.json()
        if not answer.ok:
            raise LogInRefused(body["error"])
        self._token = body["token"]
        self._renew_at = time.monotonic() + body["expires_in"] * 0.75


class Client:
    """One user in the chat. python-socketio reconnects by itself; this class handles tokens, retries and refusals."""

    def __init__(self, url, path, tokens):
        self._url = url
        self._path = path
        self._tokens = tokens
        self._sio = socketio.AsyncClient(handle_sigint=False)
        self._online = asyncio.Event()
        #: The last Error received: it says why the server closes the connection.
        self._last = {}
        #: Whether a fresh token was tried since the last connection.
        self._tried = False
        self._ending = None
        self._listen()

    def _listen(self):
        for event, handler in (
            ("connect", self._connected),
            ("disconnect", self._disconnected),
            ("connect_error", self._refused),
            ("chat_error", self._error_received),
            ("group_chat", show_group_chat),
            ("single_chat", show_single_chat),
            ("group_list", show_group_list),
            ("roster_diff", show_roster_diff),
        ):
            self._sio.on(event, handler)

    # ---- the connection ----------------------------------------------------------------------------------------

    async def run(self):
        """Stay connected until the server refuses us for good; python-socketio itself reconnects after a restart."""
        while await self._connect():
            await self._sio.wait()
            if not await self._may_reconnect():
                return

    async def _connect(self):
        try:
            await self._sio.connect(
                self._url, auth=self._auth, socketio_path=self._path, wait_timeout=TIMEOUT
            )
        except exceptions.ConnectionError:
            return await self._may_reconnect() and await self._connect()
        return True

    async def _may_reconnect(self):
        code = self._last.get("code")
        if code in TOKEN and not self._tried and self._tokens.forget():
            self._tried = True
            return True
        if code in LATER:
            await asyncio.sleep(RETRY_AFTER * (1 + random.random()))
            return True
        return False

    async def _auth(self):
        """Return the auth data of each connection, first and later."""
        try:
            return {"token": await self._tokens.get(), "roster": "diff"}
        except (LogInRefused, aiohttp.ClientError) as error:
            self._tried = True
            note(error)
            return {}

    def _connected(self):
        self._last, self._tried = {}, False
        self._online.set()
        note("Connected.")

    def _disconnected(self, reason):
        self._online.clear()
        if reason != self._sio.reason.CLIENT_DISCONNECT:
            note(f"Connection lost ({reason}).")

    def _error_received(self, error):
        self._last = error
        note(error["data"])

    async def _refused(self, error):
        refusal = error if isinstance(error, dict) else {"message": error}
        note(refusal["message"])
        self._last = refusal.get("data") or {}
        if self._last:
            # python-socketio would retry a refused reconnection forever.
            self._ending = asyncio.create_task(self._sio.shutdown())

    async def renew(self):
        """Send a fresh token in time, so that the connection outlives its first token."""
        while self._tokens.renew_in() < float("inf"):
            await asyncio.sleep(max(1, self._tokens.renew_in()))
            if not self._online.is_set() or self._tokens.renew_in() > 0:
                continue
            try:
                await self._deliver("auth", {"data": await self._tokens.get()})
            except (LogInRefused, aiohttp.ClientError) as error:
                note(error)

    # ---- sending -----------------------------------------------------------------------------------------------

    async def send(self, lines):
        """Send every line, in order, until None; then disconnect."""
        while (line := await lines.get()) is not None:
            if line == "/who":
                answer = await self._deliver("group_list", {})
                if "data" in answer:
                    show_group_list(answer)
            elif line.startswith("/to ") and len(words := line.split(" ", 2)) == 3:
                await self._deliver(
                    "single_chat", {"to": words[1], "data": words[2], "id": str(uuid.uuid4())}
                )
            elif line.strip():
                await self._deliver("group_chat", {"data": line, "id": str(uuid.uuid4())})
        await self._sio.shutdown()

    async def _deliver(self, event, message):
        """Send a message until the server answers, and return the answer. The id lets the server drop duplicates."""
        while True:
            await self._online.wait()
            with contextlib.suppress(exceptions.TimeoutError, exceptions.BadNamespaceError):
                answer = await self._sio.call(event, message, timeout=TIMEOUT)
                if answer.get("error") != "rate_limited":
                    break
                await asyncio.sleep(answer["retry_after"])
        if "error" in answer:
            note(answer["data"])
        return answer


# ---- the terminal ----------------------------------------------------------------------------------------------


def show_group_chat(message, offset=None):
    user = message["user"]
    print(f"[{user['username']}] {message['data']}" if user else f"* {message['data']}", flush=True)


def show_single_chat(message, offset=None):
    user = message["user"]
    print(f"[{user['username'] if user else '*'} (direct)] {message['data']}", flush=True)


def show_group_list(message):
    print("Online:", ", ".join(user["username"] for user in message["data"]), flush=True)


def show_roster_diff(message):
    for name in message["left"]:
        print(f"- {name}", flush=True)
    for user in message["joined"]:
        print(f"+ {user['username']}", flush=True)


def note(text):
    print(text, file=sys.stderr, flush=True)


def read_lines(loop, lines):
    """Pass the input's lines to `loop`, which must not block on the keyboard."""
    with contextlib.suppress(RuntimeError):  # the loop may be closed
        for line in sys.stdin:
            loop.call_soon_threadsafe(lines.put_nowait, line.rstrip("\n"))
        loop.call_soon_threadsafe(lines.put_nowait, None)


def arguments():
    parser = argparse.ArgumentParser(description="Chat from a terminal, over Socket.IO.")
    parser.add_argument("url", nargs="?", default="http://127.0.0.1:8000")
    parser.add_argument("--path", default="/socket.io")
    who = parser.add_mutually_exclusive_group(required=True)
    who.add_argument("--user", help="log in to the reference site")
    who.add_argument("--token", help="a token from `flask chat token NAME`, or one that the site issued")
    return parser.parse_args()


def tokens_for(options):
    credentials = None
    if options.user:
        password = os.environ.get("CHAT_PASSWORD") or getpass.getpass()
        credentials = {"username": options.user, "password": password}
    return Tokens(options.url, options.token, credentials)


async def main(options, tokens):
    client = Client(options.url, options.path, tokens)
    lines = asyncio.Queue()
    loop = asyncio.get_running_loop()
    threading.Thread(target=read_lines, args=(loop, lines), daemon=True).start()
    sending, connected = asyncio.create_task(client.send(lines)), asyncio.create_task(client.run())
    renewing = asyncio.create_task(client.renew())
    done, pending = await asyncio.wait((sending, connected), return_when=asyncio.FIRST_COMPLETED)
    for task in (*pending, renewing):
        task.cancel()
    for task in done:
        task.result()
    return 0 if sending in done else 1


if __name__ == "__main__":
    chosen = arguments()
    with contextlib.suppress(KeyboardInterrupt):
        sys.exit(asyncio.run(main(chosen, tokens_for(chosen))))
