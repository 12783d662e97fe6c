"""Who may come in by name and password, and how often that may be tried."""

from __future__ import annotations

import ipaddress
from collections.abc import Callable

from chat import Chat, User
from chat.identity.names import clean, name_key
from chat.identity.passwords import Passwords

from .throttle import Throttle

#: Tries in so many seconds: wrong passwords for one account, and from one address; new accounts from one address.
PER_ACCOUNT = (10, 300)
PER_ADDRESS = (50, 300)
REGISTRATIONS = (30, 600)
#: No name is as long; what goes beyond is not looked at.
MOST_NAME_CHARS = 200


#: make_throttle(name, limit, seconds) returns a Throttle.
MakeThrottle = Callable[[str, int, float], Throttle]


class TooMany(Exception):
    """Tried too often; `retry_after` is the whole seconds to wait."""

    code = "too_many_attempts"

    def __init__(self, retry_after: int) -> None:
        super().__init__(f"Too many attempts; wait {retry_after} s.")
        self.retry_after = retry_after


class WrongCredentials(Exception):
    """No such user, or not that password: which of the two, nobody is told."""

    code = "wrong_credentials"


class Banned(Exception):
    """The name and password are right, and the user is not let in."""

    code = "banned"


class Door:
    """Check names and passwords, count the failures, create users."""

    def __init__(self, chat: Chat, make_throttle: MakeThrottle) -> None:
        self._chat = chat
        self._passwords = Passwords(chat.run_blocking)
        self._accounts = make_throttle("accounts", *PER_ACCOUNT)
        self._addresses = make_throttle("addresses", *PER_ADDRESS)
        self._registrations = make_throttle("registrations", *REGISTRATIONS)

    def enter(self, username: str, password: str, address: str) -> User:
        """Return the user of that name and password; raise TooMany, WrongCredentials or Banned.

        An unknown user takes the same steps and the same time as a known one.
        """
        username = username[:MOST_NAME_CHARS]
        account, network = name_key(username), _network(address)
        self._count(account, network)
        user = self._chat.users.by_name(username)
        if not self._passwords.verify(user.password_hash if user else None, password) or user is None:
            raise WrongCredentials
        self._accounts.give_back(account)
        self._addresses.give_back(network)
        if user.banned:
            raise Banned
        return self._renew_hash(user, password)

    def register(self, username: str, password: str, address: str) -> User:
        """Create a user; raise TooMany, BadName or NameTaken. The password has been checked."""
        clean(username)  # what the rules refuse costs neither a try nor a hash
        if wait := self._registrations.take(_network(address)):
            raise TooMany(wait)
        return self._chat.users.create(username, self._passwords.hash(password))

    def change_password(self, user: User, password: str) -> User:
        """Give the user a new password, end all sockets and void all tokens; return the user as it is now."""
        password_hash = self._passwords.hash(password)
        self._chat.users.set_password(user.id, password_hash)
        self._chat.revoke(user.id)
        return user._replace(password_hash=password_hash)

    def delete(self, user: User) -> None:
        """End the account, its sockets and its tokens; the name stays taken."""
        self._chat.users.delete(user.id)
        self._chat.revoke(user.id)

    def _count(self, account: str, network: str) -> None:
        # Counted before the slow check, or a hundred guesses at once would all be let through.
        if wait := self._addresses.take(network):
            raise TooMany(wait)
        if wait := self._accounts.take(account):
            raise TooMany(wait)

    def _renew_hash(self, user: User, password: str) -> User:
        old = user.password_hash or ""
        if not self._passwords.needs_rehash(old):
            return user
        new = self._passwords.hash(password)
        self._chat.users.rehash(user.id, old, new)
        return user._replace(password_hash=new)


def _network(address: str) -> str:
    """Return the address, of IPv6 the /64 that one customer has all to himself."""
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return address
    if parsed.version == 4:
        return address
    return str(parsed.ipv4_mapped or ipaddress.ip_network((parsed, 64), strict=False))
