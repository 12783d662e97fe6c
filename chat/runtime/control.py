"""The control table: what other processes ask of this worker, and when it looks."""

from __future__ import annotations

import logging
import time
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from ..identity.guard import Guard
from ..loop.drivers import Driver
from ..socketio.packets import Prepared
from ..socketio.selection import Selection
from ..wire.envelope import Envelope, Identity, MessageType
from .revocation import Revocation
from .site_clients import SiteClients
from .site_messages import SiteMessages

if TYPE_CHECKING:
    from ..store.control import Control, Row

log = logging.getLogger("flask_chat")

#: Seconds for which rows are kept, and polls between two prunings.
KEEP_SECONDS = 3_600.0
PRUNE_EVERY = 1_200
#: Seconds between the bus message that announces a row and the poll: other rows of the same moment come with it.
ANNOUNCED_PAUSE = 0.01
#: Poll intervals to wait after the table could not be read.
ERROR_INTERVALS = 5

#: The kind of the rows that end a log-in session.
SESSION_END = "session_end"

Payload = dict[str, Any]


class ControlActions:
    """Carries out the rows of the control table; docs/operations.md lists the commands that write them."""

    def __init__(
        self,
        origin: int,
        table: Control,
        guard: Guard,
        messages: SiteMessages,
        clients: SiteClients,
        revocation: Revocation,
        roster: Callable[[str], list[Identity]],
    ) -> None:
        self._origin = origin
        self._table = table
        self._guard = guard
        self._messages = messages
        self._clients = clients
        self._revocation = revocation
        self._roster = roster
        self._actions: dict[str, Callable[[Payload], None]] = {
            "revoke": self._revoke,
            SESSION_END: self._end_session,
            "ban": lambda payload: guard.ban(payload["user_id"]),
            "unban": lambda payload: guard.unban(payload["user_id"]),
            "send": self._send,
            "direct": self._send_direct,
            "removed": self._unsubscribe,
            "tell": lambda payload: self._push(payload, [payload["user_id"]]),
            "tell_all": lambda payload: self._push(payload, payload["user_ids"]),
            "io_emit": self._emit,
            "io_change": self._change,
            "who": self._answer_roster,
        }

    def carry_out(self, row: Row) -> None:
        """Do what the row asks for; a row of an unknown kind is for other processes."""
        action = self._actions.get(row.kind)
        if action is not None:
            action(row.payload)

    def _revoke(self, payload: Payload) -> None:
        self._revocation.revoke(payload["user_id"], payload["at"], payload.get("failure", "token_invalid"))

    def _end_session(self, payload: Payload) -> None:
        self._revocation.end_session(payload["user_id"], payload["sid"])

    def _send(self, payload: Payload) -> None:
        envelope = Envelope(MessageType.GROUP_CHAT, payload["text"], payload["room"])
        self._messages.send(envelope, publish=False)

    def _send_direct(self, payload: Payload) -> None:
        envelope = Envelope(MessageType.SINGLE_CHAT, payload["text"], None, payload["to"])
        envelope.to_id = payload.get("to_id")
        self._messages.send(envelope, publish=False)

    def _unsubscribe(self, payload: Payload) -> None:
        if payload["origin"] != self._origin:
            self._revocation.unsubscribe_user(payload["user_id"], payload["room"])

    def _push(self, payload: Payload, user_ids: list[str]) -> None:
        if payload["origin"] != self._origin:
            self._messages.push_to_users(user_ids, payload["type"], payload["fields"])

    def _emit(self, payload: Payload) -> None:
        event = Prepared(payload["said"].encode(), [])
        self._clients.emit_here(Selection.of_json(payload["to"]), event, payload["volatile"])

    def _change(self, payload: Payload) -> None:
        self._clients.change_here(payload["action"], Selection.of_json(payload["to"]), *payload["args"])

    def _answer_roster(self, payload: Payload) -> None:
        users = [user._asdict() for user in self._roster(payload["room"])]
        self._table.post("who_reply", {"nonce": payload["nonce"], "users": users})


class ControlPoller:
    """Reads new rows every CHAT_CONTROL_INTERVAL seconds, and at once when a bus message announces some."""

    def __init__(
        self, driver: Driver, table: Control, interval: float, last_id: int, actions: ControlActions
    ) -> None:
        self._driver = driver
        self._table = table
        self._interval = interval
        self._last_id = last_id
        self._actions = actions
        self._announced = driver.event()
        self._polls = 0
        #: (monotonic seconds, id of the last row that had been read by then): what is old, whatever the clocks say.
        self._positions = deque([(time.monotonic(), last_id)])

    def wake(self) -> None:
        """Have the table read now: another process has announced a row; from any thread."""
        self._announced.set()

    def run(self) -> None:
        """Poll for ever; outside ticks."""
        while True:
            if self._announced.wait(self._interval):
                self._driver.sleep(ANNOUNCED_PAUSE)
                self._announced.clear()
            try:
                self._poll()
            except Exception:
                log.exception("the control table could not be read")
                self._driver.sleep(ERROR_INTERVALS * self._interval)

    def _poll(self) -> None:
        self._polls += 1
        for row in self._table.after(self._last_id):
            self._last_id = row.id
            self._carry_out(row)
        if self._polls % PRUNE_EVERY == 0:
            self._prune()

    def _prune(self) -> None:
        now, positions = time.monotonic(), self._positions
        positions.append((now, self._last_id))
        while positions[1][0] <= now - KEEP_SECONDS:
            positions.popleft()
        read_at, last_id = positions[0]
        if read_at <= now - KEEP_SECONDS:
            self._table.prune(last_id)

    def _carry_out(self, row: Row) -> None:
        try:
            self._actions.carry_out(row)
        except Exception:
            # Another version of the chat may have written it. The rows after it must not wait.
            log.exception("row %d of the control table could not be carried out", row.id)
