"""How many requests a user and an address may make of the API."""

from __future__ import annotations

from ...config import Settings
from ...identity.networks import network_of
from ...rooms.rate import Rate


class Rates:
    """The rates of one app's API."""

    def __init__(self, settings: Settings) -> None:
        self._users = Rate(settings.api_rate, settings.api_burst)
        self._addresses = Rate(settings.api_rate_per_ip, settings.api_burst_per_ip)

    def count_address(self, address: str | None) -> None:
        """Count a request from an address; a client behind a Unix socket has none."""
        self._addresses.count(network_of(address or ""))

    def count_user(self, user_id: str) -> None:
        """Count a request of a user."""
        self._users.count(user_id)
