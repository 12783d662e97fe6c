"""A chat client for the terminal on python-socketio; docs/socketio.md explains the events.

    pip install "python-socketio[asyncio-client]"
    python client.py --user ann                     # the reference site on http://127.0.0.1:8000; asks for the password
    python client.py --token "$(flask --app app chat token ann)"
    python client.py --token … --path /talk/socket.io https://site.example

What is said is printed, and each line of the input is said: `/to ann psst` to ann alone, `/who` asks who is here.
It ends with its input (Ctrl-D) or when it is sent away. A restart of the server it survives: what is typed meanwhile
is said afterwards. CHAT_PASSWORD, where it is set, is the password.
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

#: Refusals that a fresh token may lift, and those that time does.
TOKEN = {"token_expired", "token_invalid"}
LATER = {"server_full", "too_many_for_user", "too_many_for_address", "flooding"}
#: Seconds that a connection may take, and an answer.
PATIENCE = 10
#: Seconds that whoever is refused for now waits, and up to as many more.
A_WHILE = 10


class LogInRefused(Exception):
    """The site knows no such user, or not with this password."""


class Tokens:
    """Good tokens: the one that was given, or the site's, asked for again when a good part of its life is over."""

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
        """Return the seconds until the next one is needed."""
        return float("inf") if self._given else self._renew_at - time.monotonic()

    def forget(self):
        """The server does not take the token in hand; tell whether another can be had."""
        self._renew_at = 0.0
        return not self._given

    async def _log_in(self):
        async with (
            aiohttp.ClientSession() as session,
            session.post(urljoin(self._site, "/api/login"), json=self._credentials) as answer,
        ):
            said = await answer.json()
        if not answer.ok:
            raise LogInRefused(said["error"])
        self._token = said["token"]
        self._renew_at = time.monotonic() + said["expires_in"] * 0.75


class Client:
    """One person in the chat. python-socketio reconnects by itself; we see to tokens, repeats and refusals."""

    def __init__(self, url, path, tokens):
        self._url = url
        self._path = path
        self._tokens = tokens
        self._sio = socketio.AsyncClient(handle_sigint=False)
        self._online = asyncio.Event()
        #: The last Error that came, which says why the server ends the connection.
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
            ("chat_error", self._complained),
            ("group_chat", show_group_chat),
            ("single_chat", show_single_chat),
            ("group_list", show_group_list),
            ("roster_diff", show_roster_diff),
        ):
            self._sio.on(event, handler)

    # ---- coming, staying, going --------------------------------------------------------------------------------

    async def stay(self):
        """Be there until the server sends us away for good; python-socketio itself comes back after a restart."""
        while await self._come():
            await self._sio.wait()
            if not await self._may_come_back():
                return

    async def _come(self):
        try:
            await self._sio.connect(
                self._url, auth=self._introduction, socketio_path=self._path, wait_timeout=PATIENCE
            )
        except exceptions.ConnectionError:
            return await self._may_come_back() and await self._come()
        return True

    async def _may_come_back(self):
        code = self._last.get("code")
        if code in TOKEN and not self._tried and self._tokens.forget():
            self._tried = True
            return True
        if code in LATER:
            await asyncio.sleep(A_WHILE * (1 + random.random()))
            return True
        return False

    async def _introduction(self):
        """What the server is told before each connection, the first and all later ones."""
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
            note(f"The connection is lost ({reason}).")

    def _complained(self, error):
        self._last = error
        note(error["data"])

    async def _refused(self, error):
        refusal = error if isinstance(error, dict) else {"message": error}
        note(refusal["message"])
        self._last = refusal.get("data") or {}
        if self._last:
            # A reconnection that the server refuses would be tried again for ever.
            self._ending = asyncio.create_task(self._sio.shutdown())

    async def renew(self):
        """Bring a fresh token in time, so that the connection outlives the one that it came with."""
        while self._tokens.renew_in() < float("inf"):
            await asyncio.sleep(max(1, self._tokens.renew_in()))
            if not self._online.is_set() or self._tokens.renew_in() > 0:
                continue
            try:
                await self._deliver("auth", {"data": await self._tokens.get()})
            except (LogInRefused, aiohttp.ClientError) as error:
                note(error)

    # ---- saying ------------------------------------------------------------------------------------------------

    async def speak(self, lines):
        """Say every line, in order, until None comes; then leave."""
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
        """Have it heard, and return the server's answer. It may be sent twice: the id tells the server so."""
        while True:
            await self._online.wait()
            with contextlib.suppress(exceptions.TimeoutError, exceptions.BadNamespaceError):
                answer = await self._sio.call(event, message, timeout=PATIENCE)
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
    print(f"[{user['username'] if user else '*'} in private] {message['data']}", flush=True)


def show_group_list(message):
    print("Here:", ", ".join(user["username"] for user in message["data"]), flush=True)


def show_roster_diff(message):
    for name in message["left"]:
        print(f"- {name}", flush=True)
    for user in message["joined"]:
        print(f"+ {user['username']}", flush=True)


def note(what):
    print(what, file=sys.stderr, flush=True)


def read_lines(loop, lines):
    """Hand the input's lines over to `loop`, which must not wait for a keyboard."""
    with contextlib.suppress(RuntimeError):  # the loop may be gone
        for line in sys.stdin:
            loop.call_soon_threadsafe(lines.put_nowait, line.rstrip("\n"))
        loop.call_soon_threadsafe(lines.put_nowait, None)


def arguments():
    parser = argparse.ArgumentParser(description="Chat from a terminal, over Socket.IO.")
    parser.add_argument("url", nargs="?", default="http://127.0.0.1:8000")
    parser.add_argument("--path", default="/socket.io")
    who = parser.add_mutually_exclusive_group(required=True)
    who.add_argument("--user", help="log in to the reference site")
    who.add_argument("--token", help="a token from `flask chat token NAME`, or of the site's own")
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
    speaking, staying = asyncio.create_task(client.speak(lines)), asyncio.create_task(client.stay())
    renewing = asyncio.create_task(client.renew())
    done, pending = await asyncio.wait((speaking, staying), return_when=asyncio.FIRST_COMPLETED)
    for task in (*pending, renewing):
        task.cancel()
    for task in done:
        task.result()
    return 0 if speaking in done else 1


if __name__ == "__main__":
    chosen = arguments()
    with contextlib.suppress(KeyboardInterrupt):
        sys.exit(asyncio.run(main(chosen, tokens_for(chosen))))
