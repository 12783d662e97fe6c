"""Clients and rooms in one process: hub, delivery, rosters, joining, group commit, access, limits, drain."""
