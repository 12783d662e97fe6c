"""Registration and log-in by name and password, with limits on the number of attempts."""

from __future__ import annotations

from collections.abc import Callable

from chat import Chat, User
from chat.identity.names import name_key
from chat.identity.networks import network_of
from chat.identity.passwords import Passwords

from .throttle import Throttle

#: (attempts, seconds): wrong passwords for one account, and from one address; new accounts from one address.
PER_ACCOUNT = (10, 300)
PER_ADDRESS = (50, 300)
REGISTRATIONS = (30, 600)
#: The same for all attempts, right passwords too: each costs as much as a wrong one.
ALL_PER_ACCOUNT = (100, 300)
ALL_PER_ADDRESS = (1_000, 300)
#: Longer than any valid name; the rest is cut off.
MAX_NAME_CHARS = 200


#: make_throttle(name, limit, seconds) returns a Throttle.
MakeThrottle = Callable[[str, int, float], Throttle]


class TooManyAttempts(Exception):
    """Too many attempts; `retry_after` is the number of whole seconds to wait."""

    code = "too_many_attempts"

    def __init__(self, retry_after: int) -> None:
        super().__init__(f"Too many attempts; wait {retry_after} s.")
        self.retry_after = retry_after


class WrongCredentials(Exception):
    """Unknown user or wrong password; the error does not tell which."""

    code = "wrong_credentials"


class Banned(Exception):
    """Name and password are right, but the user is banned."""

    code = "banned"


class AccountService:
    """Creates users, checks names and passwords, and counts failed attempts."""

    def __init__(self, chat: Chat, make_throttle: MakeThrottle) -> None:
        self._chat = chat
        self._passwords = Passwords(chat.run_hashing)
        self._accounts = make_throttle("accounts", *PER_ACCOUNT)
        #: For each log-in session, so that strangers who guess at an account do not lock its user out of it.
        self._confirmations = make_throttle("confirmations", *PER_ACCOUNT)
        self._addresses = make_throttle("addresses", *PER_ADDRESS)
        self._registrations = make_throttle("registrations", *REGISTRATIONS)
        self._all_accounts = make_throttle("all-accounts", *ALL_PER_ACCOUNT)
        self._all_addresses = make_throttle("all-addresses", *ALL_PER_ADDRESS)

    def authenticate(self, username: str, password: str, address: str) -> User:
        """Return the user with this name and password; raise TooManyAttempts, WrongCredentials or Banned.

        An unknown user takes the same steps and the same time as a known one.
        """
        username = username[:MAX_NAME_CHARS]
        account, network = name_key(username), network_of(address)
        self._count(account, network)
        user = self._chat.users.by_name(username)
        if not self._passwords.verify(user.password_hash if user else None, password) or user is None:
            raise WrongCredentials
        self._accounts.give_back(account)
        self._addresses.give_back(network)
        if user.banned:
            raise Banned
        return self._renew_hash(user, password)

    def confirm(self, user: User, password: str, session_id: str) -> None:
        """Check the password of a logged-in user again; raise TooManyAttempts or WrongCredentials.

        Only the wrong passwords of this log-in session count.
        """
        key = f"{user.id} {session_id}"
        if wait := self._confirmations.take(key):
            raise TooManyAttempts(wait)
        if not self._passwords.verify(user.password_hash, password):
            raise WrongCredentials
        self._confirmations.give_back(key)

    def has_password(self, user: User, password: str) -> bool:
        """Return whether this is the user's password; for one who has proved to be the user."""
        return self._passwords.verify(user.password_hash, password)

    def register(self, username: str, password: str, address: str) -> User:
        """Create a user; raise TooManyAttempts, BadName or NameTaken. The caller has validated the password."""
        self._chat.check_new_name(username)  # an invalid name costs neither an attempt nor a hash
        if wait := self._registrations.take(network_of(address)):
            raise TooManyAttempts(wait)
        return self._chat.users.create(username, self._passwords.hash(password))

    def change_password(self, user: User, password: str) -> User:
        """Set a new password, close the user's sockets and invalidate all tokens; return the changed user."""
        password_hash = self._passwords.hash(password)
        self._chat.users.set_password(user.id, password_hash)
        self._chat.revoke(user.id)
        return user._replace(password_hash=password_hash)

    def reset_password(self, user: User, password: str) -> bool:
        """Set a new password as `change_password` does; return False if another one was set since `user` was read."""
        new = self._passwords.hash(password)
        if not self._chat.users.rehash(user.id, user.password_hash, new):
            return False
        self._chat.revoke(user.id)
        return True

    def delete(self, user: User) -> None:
        """Delete the account, end its memberships and its sockets; the name stays taken."""
        self._chat.delete_account(user.id)

    def _count(self, account: str, network: str) -> None:
        # Counted before the slow check; otherwise a hundred simultaneous guesses would all pass.
        if wait := self._addresses.take(network):
            raise TooManyAttempts(wait)
        if wait := self._accounts.take(account):
            raise TooManyAttempts(wait)
        if wait := self._all_accounts.take(account) or self._all_addresses.take(network):
            # Nothing is known about this password: it does not count as a wrong one.
            self._accounts.give_back(account)
            self._addresses.give_back(network)
            raise TooManyAttempts(wait)

    def _renew_hash(self, user: User, password: str) -> User:
        old = user.password_hash or ""
        if not self._passwords.needs_rehash(old):
            return user
        new = self._passwords.hash(password)
        self._chat.users.rehash(user.id, old, new)
        return user._replace(password_hash=new)
