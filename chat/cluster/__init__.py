"""This process among its peers: presence, bus messages, requests."""
