"""Rooms and their clients in one process: hub, delivery, joining, group commit, limits, drain."""
