"""What many workers and machines hold: measured costs, closed forms, and a simulation that is held against them.

`python -m bench.scale` prints the tables of docs/scale.md; `python -m bench.scale.measure` measures the costs that no
scenario of the bench does: Valkey, PostgreSQL, and the kernel's share of a socket.
"""
